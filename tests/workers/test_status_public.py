"""Tests of public responses: they reveal no internals, and do not need the platform to be up."""

import json
import re
from typing import Any

import pytest

from harness.status import Status, at
from harness.status_world import BINDINGS, TOKEN, report
from harness.webhooks import WEBHOOK_KEY
from tests.lanes import first

MONTHS = ["/sla/2026-11.json", "/sla/2026-10.json", "/sla/1970-01.json", "/sla/2026-13.json", "/sla/2026-11"]
FILES = [
    "summary",
    "status",
    "components",
    "incidents",
    "incidents/unresolved",
    "scheduled-maintenances",
    "scheduled-maintenances/upcoming",
    "scheduled-maintenances/active",
    "constructor",
    "../admin/contacts",
]
PATHS = [
    "/",
    "/history",
    "/feed.atom",
    "/incidents/nothing",
    "/robots.txt",
    "/.well-known/security.txt",
    "/badge.svg",
    *MONTHS,
    *(f"/api/v2/{file}.json" for file in FILES),
    "/admin/contacts",
    "/admin/audit",
    "/admin/nothing",
    "/nothing",
    "/%00",
    "//",
    "/api/v2/",
    "/?x=<script>alert(1)</script>",
]
# Texts that no response may contain: people, secrets, internal addresses, and error details.
SECRETS = [
    "ann@customer.example",
    "customer.example",
    "hook.example",
    "secret-path",
    TOKEN,
    WEBHOOK_KEY,
    BINDINGS["OPERATORS"],
    *json.loads(BINDINGS["OPERATORS"]).values(),
    "api.example",
    "10.20.0.7",
    "notifications@",
    "D1_ERROR",
    "SQLITE",
    "broken by the test",
    "taken_by",
    "    at ",
    ".js:",
]


@pytest.fixture
def after_outage(status: Status) -> Status:
    """The status Worker after an outage, maintenance and deliveries to contacts."""
    status.cron(0)
    status.contact("ann", "ann@customer.example")
    status.contact("hook", "https://hook.example/secret-path")
    status.maintenance("upgrade", 6, 60, "objectStorage")
    status.world.answer = lambda _hook: 500
    # A health report with additional fields.
    leaky = {
        "status": "down",
        "components": {"database": {"status": "down", "host": "10.20.0.7"}},
        "error": "at x.js:1",
    }
    status.world.status, status.world.body = 503, json.dumps(leaky)
    status.crons(range(1, 8))
    return status


def text_of(response: dict[str, Any]) -> str:
    return f"{response['headers']}\n{response['body']}"


@pytest.mark.parametrize("broken", first(2, [[], ["DB"], ["ADMIN_LIMIT"]]))
@pytest.mark.parametrize("path", PATHS)
def test_no_response_reveals_internals(after_outage: Status, path: str, broken: list[str]) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
        response = after_outage.host.fetch(path, method, instruction={"clock": at(7.5), "broken": broken})
        seen = text_of(response)
        assert [secret for secret in SECRETS if secret in seen] == []
        assert "<script>alert" not in seen
        assert response["headers"]["cache-control"] == "no-store"
        assert response["headers"]["x-content-type-options"] == "nosniff"
        assert response["status"] in (200, 401, 404, 405, 429, 500, 503)


def test_public_pages_answer_while_the_platform_is_down(after_outage: Status) -> None:
    after_outage.world.silent()
    for path in ("/", "/history", "/feed.atom", "/badge.svg", "/api/v2/summary.json", "/sla/2026-11.json"):
        assert after_outage.get(path, 8)["status"] == 200, path


def test_page_without_database_shows_the_live_check_and_a_notice(after_outage: Status) -> None:
    after_outage.world.well()
    page = after_outage.get("/", 8, broken=["DB"])
    assert page["status"] == 200
    text = re.sub(r"\s+", " ", re.sub(r"<(style|script)[^>]*>.*?</\1>|<[^>]*>", " ", page["body"], flags=re.DOTALL))
    assert "istory is unavailable" in text
    assert "Operational" in text
    after_outage.world.database_down()
    answer = after_outage.get("/api/v2/summary.json", 8, broken=["DB"])
    assert json.loads(answer["body"])["status"]["indicator"] == "critical"
    assert answer["headers"]["x-history-available"] == "false"


def test_only_the_health_report_and_receivers_are_called(after_outage: Status) -> None:
    for path in PATHS:
        after_outage.get(path, 8)
    assert set(after_outage.world.asked) == {"api.example /health"}


def test_page_shows_an_outage_at_once(status: Status) -> None:
    status.cron(0)
    assert "All systems operational" in status.get("/")["body"]
    status.world.status, status.world.body = 503, report(database="down")
    body = status.get("/", 0.6)["body"]
    assert "All systems operational" not in body
    assert json.loads(status.get("/api/v2/status.json", 0.6)["body"])["status"]["indicator"] == "critical"
