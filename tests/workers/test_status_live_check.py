"""Tests of the live check: only pages that show it probe, concurrent readers share it, and it has a short timeout."""

import json
import re

import pytest

from harness.status import Status, at
from harness.status_world import World, report, start_status
from harness.waiting import until
from harness.workerd import Host

API = "api.example"
NOT_SHOWN = [
    "/history",
    "/feed.atom",
    "/sla/2026-11.json",
    "/nothing",
    "/admin/nothing",
    *(
        f"/api/v2/{name}.json"
        for name in (
            "incidents",
            "incidents/unresolved",
            "scheduled-maintenances",
            "scheduled-maintenances/upcoming",
            "scheduled-maintenances/active",
            "nothing",
        )
    ),
]
SHOWN = ["/", "/badge.svg", *(f"/api/v2/{name}.json" for name in ("summary", "status", "components"))]


def headline(page: str) -> tuple[str, str]:
    """Return the state and the words of the page's headline."""
    found = re.search(r"<section id=now class=(\w+)>.*?<h1>(.*?)</h1>", page, re.DOTALL)
    assert found
    return found[1], found[2]


def test_pages_without_the_live_check_do_not_probe(status: Status) -> None:
    status.cron(0)
    status.world.asked.clear()
    for path in NOT_SHOWN:
        status.get(path)
    for path in SHOWN:
        status.host.fetch(path, "POST")
    assert status.world.asked == []
    for number, path in enumerate(SHOWN, 1):
        status.get(path)
        assert len(status.world.asked) == number, path


def test_hung_api_does_not_delay_pages(status: Status) -> None:
    """The API never answers, so every response here was made without it."""
    status.cron(0)
    status.world.hanging.add(API)
    for path in NOT_SHOWN:
        assert status.get(path)["status"] in {200, 401, 404}, path
    for path in SHOWN:
        assert status.get_while_hanging(path)["status"] == 200, path
    page = status.get_while_hanging("/", 1.5)["body"]
    assert headline(page) == ("degraded", "Not everything is confirmed to work")
    assert "The API has not answered the live check yet; this is the state recorded at" in page
    assert '<time datetime="2026-11-24T10:00Z">' in page
    assert page.count("<b class=unknown>Operational at 10:00 UTC</b>") == 6  # as recorded
    assert "did not answer the check with a health report" not in page
    summary = json.loads(status.get_while_hanging("/api/v2/summary.json", 1.5)["body"])
    assert summary["status"]["indicator"] == "minor"
    assert {one["status"] for one in summary["components"]} == {"operational"}
    assert summary["page"]["updated_at"] == summary["components"][0]["updated_at"] == "2026-11-24T10:00:00.000Z"
    assert ">unknown</text>" in status.get_while_hanging("/badge.svg", 1.5)["body"]


def test_recorded_state_is_shown_while_the_api_hangs(status: Status) -> None:
    status.world.database_down()
    status.cron(0)
    status.world.hanging.add(API)
    page = status.get_while_hanging("/")["body"]
    assert headline(page) == ("down", "The platform is not available")
    assert "Database: down." in page
    status.world.hanging.clear()
    status.world.status, status.world.body = 200, report(objectStorage="down")
    status.cron(1)
    status.world.hanging.add(API)
    assert headline(status.get_while_hanging("/", 1.5)["body"]) == ("degraded", "Object storage is not available")


@pytest.mark.parametrize("instruction", [{"minute": 10}, {"broken": ["DB"]}])
def test_state_is_unknown_without_a_recent_minute(status: Status, instruction: dict[str, object]) -> None:
    status.cron(0)
    status.world.hanging.add(API)
    page = status.get_while_hanging("/", **instruction)["body"]
    assert headline(page) == ("degraded", "Not everything is confirmed to work")
    assert "The API has not answered the live check yet; nothing recent is recorded." in page
    assert page.count("Unknown</b>") == 6


def test_hung_component_is_shown_with_its_recorded_state(host: Host) -> None:
    world = World(components={"billing.example": 200})
    with world.serving() as address:
        start_status(host, address, COMPONENTS=[{"id": "billing", "name": "Billing", "url": "http://billing.example/"}])
        status = Status(host, world)
        status.cron(0)
        world.hanging.add("billing.example")
        page = status.get_while_hanging("/")["body"]
        assert headline(page) == ("ok", "All systems operational")
        assert "Billing <b class=unknown>Operational at 10:00 UTC</b>" in page
        assert page.count("<b class=ok>Operational</b>") == 6
        world.hanging.clear()
        world.components["billing.example"] = 503
        status.cron(1)
        world.hanging.add("billing.example")
        page = status.get_while_hanging("/", 1.5)["body"]
        assert headline(page) == ("degraded", "Billing is not available")
        assert "Billing <b class=down>Down at 10:01 UTC</b>" in page


def test_concurrent_readers_share_one_check(status: Status) -> None:
    """The API answers after all requests have arrived."""
    status.cron(0)
    status.world.asked.clear()
    status.world.hanging.add(API)

    def all_are_there() -> None:
        until(lambda: status.host.working() == 20, "20 readers at once")
        status.world.release()

    asked = {"op": "fetch", "path": "/", "method": "GET", "instruction": {"clock": at(0.5)}}
    pages = status.host.do_while({"op": "together", "requests": [asked] * 20}, all_are_there)
    assert {headline(page["body"])[1] for page in pages} == {"All systems operational"}
    assert len(status.world.asked) == 1
