"""The status page: what is seen now, and what was recorded."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Host
from .stubs import Api

AT = "2026-11-24T10:00:30.000Z"
BINDINGS = {
    "HEALTH_URL": "http://api.example/health",
    "CONTACT": "availability@example.com",
    "PLATFORM": "Ledger & <Sons>",
    "CLOCK": AT,
}
WELL = {"edge": {"status": "ok"}, "database": {"status": "ok"}, "objectStorage": {"status": "ok"}}


def report(status: str, **changes: str) -> str:
    components = {**WELL, **{name: {"status": value} for name, value in changes.items()}}
    return json.dumps({"status": status, "components": components, "version": "v1", "time": AT})


@pytest.fixture
def api(host: Host) -> Iterator[Api]:
    """A stub in place of the whole outside world, and the status Worker before it."""
    api = Api()
    with api.serving() as address:
        outbound: dict[str, Any] = {"external": {"address": address, "http": {}}}
        host.start("status", bindings=BINDINGS, d1Databases=["DB"], outboundService=outbound)
        yield api


def words(page: str) -> str:
    """Return what a person reads."""
    body = page.split("</style>")[1]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)))


def test_page_shows_what_the_api_says_now(host: Host, api: Api) -> None:
    api.body = report("ok")
    response = host.fetch("/")
    assert response["status"] == 200
    assert api.asked == ["api.example /health"]
    seen = words(response["body"])
    assert "All systems operational" in seen
    for component in ("API", "Edge", "Database", "Object storage"):
        assert f"{component} Operational" in seen
    assert "Checked live at 2026-11-24 10:00:30 UTC" in seen
    assert "none has been recorded yet" in seen
    assert 'href="mailto:availability@example.com"' in response["body"]


def test_page_turns_at_once(host: Host, api: Api) -> None:
    api.body = report("ok")
    host.fetch("/")
    api.status, api.body = 503, report("down", database="down")
    seen = words(host.fetch("/")["body"])
    assert "The platform is not available" in seen
    assert "API Operational" in seen
    assert "Database Down" in seen
    assert "Edge Operational" in seen


@pytest.mark.parametrize("body", [None, "", "null", "<p>oops", "[]", '{"status": "fine"}'])
def test_no_health_report_is_an_outage_of_the_api_and_nothing_more_is_claimed(
    host: Host, api: Api, body: str | None
) -> None:
    api.body = body
    seen = words(host.fetch("/")["body"])
    assert "The API did not answer the check with a health report" in seen
    assert "API Down" in seen
    assert "Database Unknown" in seen


def test_report_cannot_put_anything_of_its_own_on_the_page(host: Host, api: Api) -> None:
    api.body = json.dumps(
        {
            "status": "degraded",
            "components": {"database": {"status": "<b>x</b>"}, "10.0.0.7": {"status": "ok"}, "edge": None},
        }
    )
    response = host.fetch("/")
    seen = words(response["body"])
    assert "Not everything is confirmed to work" in seen
    assert "Database Unknown" in seen
    assert "Edge Unknown" in seen
    assert "<b>" not in response["body"]
    assert "10.0.0.7" not in response["body"]


def test_page_is_never_stored_refreshes_and_runs_no_script(host: Host, api: Api) -> None:
    api.body = report("ok")
    response = host.fetch("/")
    assert response["headers"]["cache-control"] == "no-store"
    assert response["headers"]["refresh"] == "60"
    policy = response["headers"]["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "script-src" not in policy
    assert "<script" not in response["body"]
    nonce = re.search("'nonce-([^']+)'", policy)
    assert nonce is not None
    assert f'<style nonce="{nonce[1]}">' in response["body"]
    assert host.fetch("/")["headers"]["content-security-policy"] != policy
    assert "Ledger &#38; &#60;Sons&#62; status" in response["body"]
    assert len(response["body"]) < 15_000


def test_each_minute_is_recorded_once(host: Host, api: Api) -> None:
    api.body = report("ok")
    assert host.scheduled("2026-11-24T09:58:00Z") == "ok"
    api.status, api.body = 503, report("down", database="down")
    assert host.scheduled("2026-11-24T09:59:00Z") == "ok"
    assert host.scheduled("2026-11-24T09:59:04Z") == "ok"
    rows = host.sql("SELECT minute, component, status FROM samples ORDER BY minute, component")
    minute = 1_795_514_280 // 60  # 2026-11-24T09:58Z
    assert [(row["minute"] - minute, row["component"], row["status"]) for row in rows] == [
        (0, "api", "ok"),
        (0, "database", "ok"),
        (0, "edge", "ok"),
        (0, "objectStorage", "ok"),
        (1, "api", "ok"),
        (1, "database", "down"),
        (1, "edge", "ok"),
        (1, "objectStorage", "ok"),
    ]
    seen = words(host.fetch("/")["body"])
    assert "Database Down Last 24 hours: operational in 1 of 2 recorded minutes (50 %)" in seen
    assert "Edge Operational Last 24 hours: operational in 2 of 2 recorded minutes (100 %)" in seen
    assert "The history begins with the first recorded minute, 2026-11-24 09:58:00 UTC" in seen


def test_a_share_is_of_the_last_day_and_never_rounded_up(host: Host, api: Api) -> None:
    api.body = report("ok")
    assert host.scheduled("2026-11-22T00:00:00Z") == "ok"
    now = 1_795_514_400 // 60
    host.sql(
        f"WITH RECURSIVE m(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM m WHERE i < 1439) INSERT INTO samples "
        f"SELECT {now} - i, 'api', iif(i = 7, 'down', 'ok') FROM m"
    )
    seen = words(host.fetch("/")["body"])
    assert "operational in 1439 of 1440 recorded minutes (99.93 %)" in seen
    assert "first recorded minute, 2026-11-22 00:00:00 UTC" in seen


def test_page_lives_without_its_database(host: Host, api: Api) -> None:
    host.sql("CREATE TABLE samples (unusable)")
    api.body = report("ok")
    response = host.fetch("/")
    assert response["status"] == 200
    seen = words(response["body"])
    assert "All systems operational" in seen
    assert "The history is unavailable at the moment" in seen


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (report("ok"), {"indicator": "none", "description": "All Systems Operational"}),
        (report("degraded"), {"indicator": "minor", "description": "Partially Degraded Service"}),
        (None, {"indicator": "critical", "description": "Major Service Outage"}),
    ],
)
def test_status_json_speaks_statuspage(host: Host, api: Api, body: str | None, status: dict[str, str]) -> None:
    api.body = body
    response = host.fetch("/api/v2/status.json")
    assert response["headers"]["access-control-allow-origin"] == "*"
    assert json.loads(response["body"]) == {
        "page": {
            "id": "worker.example",
            "name": "Ledger & <Sons>",
            "url": "https://worker.example",
            "time_zone": "Etc/UTC",
            "updated_at": AT,
        },
        "status": status,
    }
