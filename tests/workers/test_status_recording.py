"""Tests of recording: one sample for each component and minute, and the days that are computed from them."""

import json
import random

import pytest

from harness.status import MINUTE, START, Status, at
from harness.status_world import COMPONENTS, World, report, start_status
from harness.workerd import Host

IDS = ["api", *COMPONENTS, "platform"]


def samples(status: Status) -> dict[int, dict[str, str]]:
    seen: dict[int, dict[str, str]] = {}
    for minute, component, state in status.rows("SELECT minute, component, status FROM samples"):
        seen.setdefault(minute - MINUTE, {})[component] = state
    return seen


def test_first_sample_of_each_minute_is_recorded(status: Status) -> None:
    status.cron(0)
    status.world.database_down()
    status.cron(1)
    status.world.well()
    status.cron(1.9)
    assert samples(status) == {
        0: dict.fromkeys(IDS, "ok"),
        1: {**dict.fromkeys(IDS, "ok"), "database": "down", "platform": "down"},
    }


@pytest.mark.parametrize("body", [None, "", "null", "<p>oops", "[]", '{"status": "fine"}'])
def test_missing_health_report_is_an_outage_of_the_api_only(status: Status, body: str | None) -> None:
    status.world.body = body
    status.cron(0)
    assert samples(status)[0] == {**dict.fromkeys(COMPONENTS, "unknown"), "api": "down", "platform": "down"}


def test_good_report_with_a_redirect_or_error_status_is_rejected(status: Status) -> None:
    status.world.status = 302
    status.cron(0)
    status.world.status = 500
    status.cron(1)
    assert [seen["platform"] for seen in samples(status).values()] == ["down", "down"]


def test_unknown_components_in_the_report_are_ignored(status: Status) -> None:
    components = {"database": {"status": "<b>x</b>"}, "10.0.0.7": {"status": "ok"}, "edge": None}
    status.world.body = json.dumps({"status": "degraded", "components": components})
    status.cron(0)
    expected = {**dict.fromkeys(COMPONENTS, "unknown"), "api": "ok", "platform": "degraded"}
    assert samples(status)[0] == expected


def test_added_components_are_probed_directly(host: Host) -> None:
    world = World(components={"console.example": 200, "billing.example": 503, "moved.example": 301})
    added = [
        {"id": name.split(".")[0], "name": name, "url": f"http://{name}/up"}
        for name in (*world.components, "gone.example")
    ]
    with world.serving() as address:
        start_status(host, address, COMPONENTS=added)
        world.silent()
        status = Status(host, world)
        status.cron(0)
    seen = samples(status)[0]
    assert (seen["console"], seen["billing"], seen["moved"], seen["gone"]) == ("ok", "down", "down", "down")


def test_an_added_component_that_is_down_degrades_the_platform(host: Host) -> None:
    world = World(components={"billing.example": 503})
    with world.serving() as address:
        start_status(host, address, COMPONENTS=[{"id": "billing", "name": "Billing", "url": "http://billing.example/"}])
        status = Status(host, world)
        status.cron(0)
    assert samples(status)[0]["platform"] == "degraded"


def test_days_are_the_sum_of_samples(status: Status) -> None:
    chance = random.Random(4)
    for minute in chance.sample(range(-4_000, 4_000), 60):
        body = report(**{name: chance.choice(["ok", "degraded", "down", "unknown"]) for name in COMPONENTS})
        status.world.status, status.world.body = (503, body) if '"status": "down", "c' in body else (200, body)
        status.cron(minute)
    counted = """SELECT minute / 1440, component, SUM(status = 'ok'), SUM(status = 'degraded'), SUM(status = 'down'),
        SUM(status = 'unknown') FROM samples GROUP BY 1, 2 ORDER BY 1, 2"""
    days = status.rows("SELECT day, component, ok, degraded, down, unknown FROM days ORDER BY 1, 2")
    assert days == status.rows(counted)
    assert sum(sum(day[2:]) for day in days) == 60 * len(IDS)


def test_samples_of_an_earlier_version_count(without_tables: Status) -> None:
    status = without_tables
    status.host.sql(
        "CREATE TABLE samples (minute INTEGER NOT NULL, component TEXT NOT NULL, status TEXT NOT NULL, "
        "PRIMARY KEY (minute, component)) WITHOUT ROWID"
    )
    status.host.sql(f"INSERT INTO samples VALUES ({MINUTE - 2}, 'api', 'ok'), ({MINUTE - 1}, 'api', 'down')")
    status.cron(0)
    assert status.rows("SELECT ok, down FROM days WHERE component = 'api'") == [(2, 1)]


def test_samples_are_deleted_by_whole_months_and_days_are_kept(status: Status) -> None:
    status.cron(0)
    kept, gone = [
        int(START.replace(year=2025, month=month, day=day).timestamp()) // 60 for month, day in ((10, 1), (9, 30))
    ]
    kept -= 600  # from 10:00 to midnight
    status.host.sql(f"INSERT INTO samples VALUES ({kept}, 'api', 'ok'), ({gone + 839}, 'api', 'ok')")
    status.cron(1)
    assert status.rows("SELECT MIN(minute) FROM samples") == [(kept,)]
    assert status.rows("SELECT COUNT(*) FROM days WHERE component = 'api'") == [(3,)]


def test_minute_without_database_is_unknown(status: Status) -> None:
    status.cron(0)
    # The run fails, so Cloudflare's metrics show the failure.
    assert status.host.scheduled(at(1), clock=at(1), broken=["DB"]) != "ok"
    status.cron(2)
    assert sorted(samples(status)) == [0, 2]


def test_two_concurrent_runs_of_one_minute_record_it_once(status: Status) -> None:
    status.host.together(
        *({"op": "scheduled", "time": START.isoformat(), "instruction": {"clock": START.isoformat()}},) * 6
    )
    assert status.rows("SELECT COUNT(*) FROM samples") == [(len(IDS),)]
    assert status.rows("SELECT SUM(ok) FROM days") == [(len(IDS),)]


def test_final_month_does_not_change_when_older_samples_are_deleted(status: Status) -> None:
    """The month starts with minutes without samples: they are unknown, even after the month before is deleted."""
    october, november = -24 * 24 * 60 - 600, -23 * 24 * 60 - 600 + 45
    status.cron(october)
    status.cron(november)
    status.cron(0)
    before = status.get("/sla/2026-11.json", 1)["body"]
    assert json.loads(before)["statement"]["from"] == "2026-11-01T00:00:00.000Z"
    assert status.get("/sla/2026-10.json", 1)["status"] == 200
    status.host.sql(f"DELETE FROM samples WHERE minute < {MINUTE + november}")
    assert status.get("/sla/2026-11.json", 1)["body"] == before
    assert status.get("/sla/2026-10.json", 1)["status"] == 404


def test_a_minute_counts_once_it_is_recorded(status: Status) -> None:
    status.cron(0)
    statement = json.loads(status.get("/sla/2026-11.json", 0.5)["body"])["statement"]
    assert (statement["to"], statement["minutes"]["up"]) == (at(1).replace("Z", ".000Z"), 1)


def test_parallel_probes_stay_within_the_connection_limit(host: Host) -> None:
    world = World(components={f"c{number}.example": 200 for number in range(14)}, crowd=5)
    added = [{"id": name.split(".")[0], "name": name, "url": f"http://{name}/"} for name in world.components]
    with world.serving() as address:
        start_status(host, address, COMPONENTS=added)
        Status(host, world).cron(0)
    assert len(world.asked) == 15
    assert world.busiest == 5
