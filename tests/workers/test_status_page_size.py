"""How small the status page is."""

import gzip

from .page_fixtures import days, incident
from .status_fixtures import MINUTE, Status
from .workerd import Host
from .world import World, start_status


def test_twenty_components_and_ninety_days_stay_small(host: Host) -> None:
    names = (
        "Console Webhooks Sign-in Search Reports Exports Imports Billing Invoices Payments E-mail Audit Files Sandbox"
    )
    added = [{"id": name.lower(), "name": name, "url": f"http://{name.lower()}.example/up"} for name in names.split()]
    world = World(components={f"{name.lower()}.example": 200 for name in names.split()})
    with world.serving() as address:
        start_status(host, address, COMPONENTS=added)
        status = Status(host, world)
        status.cron(0)
        everything = [
            "api",
            "edge",
            "database",
            "replication",
            "objectStorage",
            "backups",
            *(one["id"] for one in added),
        ]
        assert len(everything) == 20
        for number, name in enumerate(everything):
            trouble = {5 + 13 * number % 80: {"down": 3 + number}} if number % 2 else {}
            days(status, name, trouble={**trouble, **({61: {"degraded": 9}} if number % 5 == 0 else {})})
        host.sql("UPDATE days SET ok = 600 WHERE ok = 1")  # of today, by ten o'clock
        days(status, "platform", trouble={4: {"down": 12}, 40: {"down": 120}})
        status.host.sql(f"INSERT INTO samples SELECT {MINUTE - 89 * 1440}, component, status FROM samples")
        incident(
            status,
            "0b0f6a52-1d5c-4a0e-8a6e-3f0d8a3c2b11",
            "Queries take longer than usual since 09:00 UTC. We are looking for the cause.",
            "An index was dropped by mistake. It is being rebuilt.\nWrites are not affected.",
            title="Slow queries on the EU database",
            components=("database", "api"),
        )
        page = status.get("/")["body"].encode()
    assert page.count(b"<svg ") == 21  # and the tab's icon
    assert len(page) <= 15_000
    assert len(gzip.compress(page)) <= 4_096
