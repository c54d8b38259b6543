"""Tests of requests by browsers, crawlers, feed readers and strict JSON decoders."""

from __future__ import annotations

import email.utils
import json
from datetime import datetime
from typing import Any

import pytest

from harness.status import MINUTE, Status, at

from .operators import INCIDENT, PLAN, made, post

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
DAY = 1_440


def ask(status: Status, path: str, minute: float = 0.5, method: str = "GET", **headers: str) -> dict[str, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return status.host.fetch(path, method, headers=sent, instruction={"clock": at(minute)})


@pytest.mark.parametrize("path", ["/history", "/badge.svg", "/feed.atom", "/sla/2026-11.json", "/incidents/x"])
def test_trailing_slash_redirects_to_the_page(status: Status, path: str) -> None:
    for slashes in ("/", "//"):
        answer = ask(status, f"{path}{slashes}?x=1")
        assert (answer["status"], answer["headers"]["location"]) == (308, f"{path}?x=1")


@pytest.mark.parametrize(
    "path", ["/histroy", "//", "//evil.example/", "/history//x", "/incidents/nothing", "/sla/2020-01.json"]
)
def test_unknown_address_gets_a_page_in_browsers_and_json_in_programs(status: Status, path: str) -> None:
    status.cron(0)
    page = ask(status, path, **HTML)
    assert page["status"] == 404
    assert page["headers"]["content-type"] == "text/html; charset=utf-8"
    assert "<h1>Page not found</h1>" in page["body"]
    assert "<script" not in page["body"]
    assert "location" not in page["headers"]
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        answer = ask(status, path, **headers)
        assert (answer["status"], json.loads(answer["body"])) == (404, {"error": "not found"})


def test_robots_and_security_txt_are_served(status: Status) -> None:
    assert ask(status, "/robots.txt")["body"] == "User-agent: *\nDisallow: /admin/\n"
    answer = ask(status, "/.well-known/security.txt")
    assert answer["headers"]["content-type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in answer["body"].splitlines())
    assert fields["Contact"] == "mailto:availability@example.com"
    assert fields["Canonical"] == "https://status.example/.well-known/security.txt"
    assert 0 < (datetime.fromisoformat(fields["Expires"]) - datetime.fromisoformat(at(0))).days < 365


def test_incident_page_outlives_the_history(status: Status) -> None:
    status.cron(0)
    name = made(status, "incidents", {**INCIDENT, "title": "Slow <b>logins</b>"})["id"]
    plan = made(status, "maintenances", PLAN)["id"]
    made(status, f"incidents/{name}/updates", {"status": "resolved", "body": "Over."})
    later = 500 * DAY
    assert name not in ask(status, "/history", later)["body"]
    page = ask(status, f"/incidents/{name}", later)
    assert page["status"] == 200
    assert "<title>Slow &#60;b&#62;logins&#60;/b&#62; \N{EN DASH} " in page["body"]
    assert INCIDENT["body"] in page["body"]
    assert "Over." in page["body"]
    assert PLAN["body"] in ask(status, f"/maintenance/{plan}", later)["body"]
    assert ask(status, f"/maintenance/{name}", later)["status"] == 404
    feed = ask(status, "/feed.atom", 1)["body"]
    assert f'href="https://status.example/incidents/{name}"' in feed
    assert f'href="https://status.example/maintenance/{plan}"' in feed
    down = status.get(f"/incidents/{name}", later, broken=["DB"])
    assert (down["status"], "history is unavailable" in down["body"]) == (503, True)


def test_unchanged_feed_gets_304(status: Status) -> None:
    status.cron(0)
    name = made(status, "incidents", INCIDENT, minute=1)["id"]
    first = ask(status, "/feed.atom", 2)
    etag, changed = first["headers"]["etag"], first["headers"]["last-modified"]
    assert email.utils.parsedate_to_datetime(changed).isoformat() == "2026-11-24T10:01:00+00:00"
    earlier = email.utils.format_datetime(datetime.fromisoformat(at(0)), usegmt=True)
    for headers in ({"if_none_match": etag}, {"if_none_match": f'"x", W/{etag}'}, {"if_modified_since": changed}):
        answer = ask(status, "/feed.atom", 60, **headers)
        assert (answer["status"], answer["body"], answer["headers"]["etag"]) == (304, "", etag)
    for headers in (
        {"if_none_match": '"x"', "if_modified_since": changed},
        {"if_modified_since": earlier},
        {"if_modified_since": "soon"},
    ):
        assert ask(status, "/feed.atom", 60, **headers)["status"] == 200
    post(status, f"incidents/{name}/updates", {"status": "resolved", "body": "Over."}, minute=61)
    again = ask(status, "/feed.atom", 62, if_none_match=etag)
    assert (again["status"], again["headers"]["etag"] != etag) == (200, True)
    assert ask(status, "/feed.atom", 62, if_modified_since=changed)["status"] == 200
    assert "etag" not in status.get("/feed.atom", 62, broken=["DB"])["headers"]


def test_json_has_no_extra_fields(status: Status) -> None:
    status.cron(0)
    for broken, known in (([], "true"), (["DB"], "false")):
        answer = status.get("/api/v2/summary.json", broken=broken)
        assert answer["headers"]["x-history-available"] == known
        assert answer["headers"]["access-control-expose-headers"] == "x-history-available"
        assert set(json.loads(answer["body"])) == {
            "page",
            "components",
            "incidents",
            "scheduled_maintenances",
            "status",
        }


def test_history_lists_older_months_and_bad_days_with_their_reasons(status: Status) -> None:
    status.cron(0)
    status.host.sql(f"INSERT INTO samples SELECT {MINUTE - 100 * DAY}, component, status FROM samples")
    for ago, what in ((3, "down"), (9, "degraded")):
        status.host.sql(
            f"WITH RECURSIVE m(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM m WHERE i < 11) "
            f"INSERT INTO samples SELECT {MINUTE - ago * DAY} + i, 'edge', '{what}' FROM m"
        )
    began = (MINUTE - 3 * DAY) * 60_000
    status.host.sql(
        f"INSERT INTO incidents VALUES ('edge-1', 'Edge is not available', 3, 'resolved', '[\"edge\"]', 1, {began}, "
        f"{began + 720_000}, {began + 720_000})"
    )
    page = ask(status, "/history")["body"]
    assert '<li>21 Nov 12 min down: <a href="/incidents/edge-1" dir=auto>Edge is not available</a>' in page
    assert "<li>15 Nov 12 min degraded: our checks failed; no incident was declared" in page
    for month, named in (("2026-09", "September 2026"), ("2026-08", "August 2026")):
        assert f"<a href=/sla/{month}.json>{named}</a>" in page
        assert ask(status, f"/sla/{month}.json")["status"] == 200
    assert "/sla/2026-07.json" not in page
