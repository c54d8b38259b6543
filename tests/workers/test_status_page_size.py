"""Tests that the size of the status page is limited, for any number and length of incidents."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest

from harness.status import MINUTE, Status
from harness.status_rows import announcements, days, incident
from harness.status_world import COMPONENTS, World, start_status
from harness.workerd import Host

BYTES, COMPRESSED = 15 * 1024, 4352  # 4.25 KiB


def page_of(status: Status, path: str = "/") -> str:
    body: str = status.get(path)["body"]
    if path == "/":
        assert len(body.encode()) <= BYTES
        assert len(gzip.compress(body.encode())) <= COMPRESSED
    return body


def test_page_of_twenty_components_with_many_bad_days_is_small(host: Host) -> None:
    names = ["Console", "Webhooks", "Sign-in", "Search", "Reports", "Exports", "Imports", "Billing", "Invoices"]
    names += ["Payments", "E-mail", "Audit", "Files", "Sandbox"]
    added = [{"id": name.lower(), "name": name, "url": f"http://{name.lower()}.example/up"} for name in names]
    world = World(components={f"{name.lower()}.example": 200 for name in names})
    with world.serving() as address:
        start_status(host, address, COMPONENTS=added)
        status = Status(host, world)
        status.cron(0)
        everything = ["api", *COMPONENTS, *(one["id"] for one in added)]
        assert len(everything) == 20
        for number, name in enumerate(everything):
            bad: dict[int, dict[str, Any]] = {
                ago: {"down": 1 + (ago + number) % 3} for ago in range(2 + number % 5, 90, 5)
            }
            days(status, name, trouble=bad)
        host.sql("UPDATE days SET ok = 600 WHERE ok = 1")  # of today, by ten o'clock
        days(status, "platform", trouble={4: {"down": 12}, 40: {"down": 120}})
        status.host.sql(f"INSERT INTO samples SELECT {MINUTE - 89 * 1440}, component, status FROM samples")
        announcements(status)
        page = page_of(status)
    assert page.count("<svg ") == 21  # 20 components, and the tab's icon
    assert page.count("<article") == 5
    assert page.count(" bad days") == 20


def test_number_of_incidents_shown_is_limited(status: Status) -> None:
    """500 incidents with long texts."""
    status.cron(0)
    status.host.sql(
        f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499) INSERT INTO incidents "
        f"SELECT 'past-' || i, '{'T' * 200}', i % 4, 'resolved', '[\"database\"]', 0, t, t, t + 60000 "
        f"FROM (SELECT i, ({MINUTE} - (i + 1) * 240) * 60000 AS t FROM n)"
    )
    status.host.sql(
        "INSERT INTO updates SELECT id || '-1', 'incident.opened', id, 'investigating', impact, components, "
        f"'{'word ' * 999}', started_at FROM incidents"
    )
    assert page_of(status).count("<li><a href") == 5
    history = page_of(status, "/history")
    assert history.count("<article") == 51  # 50 incidents, and a month
    assert "450 more not shown." in history
    assert "450 more not shown" in page_of(status, "/feed.atom")


@pytest.mark.long
def test_length_of_an_incident_shown_is_limited(status: Status) -> None:
    """The updates of each incident are longer than the limit of a row in D1."""
    status.cron(0)
    for number in range(4):
        incident(status, f"open-{number}", *(["\u6570" * 5_000] * 250), impact=3, components=("edge",))
    page = page_of(status)
    assert "Critical incident in progress" in page
    assert page.count("<article") == 5
    assert page.count("249 earlier updates") == 3
    assert "1 more" in page
    history = page_of(status, "/history")
    assert history.count("230 earlier updates not shown.") == 4
    assert len(re.findall('<article id="?open', history)) == 4


def test_page_answers_while_the_database_hangs(status: Status) -> None:
    status.cron(0)
    for path in ("/", "/badge.svg", "/api/v2/status.json"):
        assert status.get(path, silent=["DB"])["status"] == 200, path
        assert 0 < status.host.passed() < 6, path
    assert "history is unavailable" in status.get("/", silent=["DB"])["body"]
