"""Tests of automatic incidents: when probes open, raise and close them, and when they do not."""

import pytest

from harness.status import MINUTE, Status, at
from harness.status_world import report


def incidents(status: Status) -> list[tuple[str, str, int]]:
    return status.rows("SELECT id, status, impact FROM incidents ORDER BY started_at, id")


def updates(status: Status) -> list[tuple[str, str]]:
    return status.rows("SELECT subject, type FROM updates ORDER BY at, id")


def test_one_failed_check_opens_no_incident(status: Status) -> None:
    status.cron(0)
    status.world.database_down()
    status.cron(1)
    status.world.well()
    status.crons(range(2, 5))
    assert incidents(status) == []


def test_two_failed_checks_open_an_incident_and_two_good_ones_close_it(status: Status) -> None:
    status.cron(0)
    status.world.database_down()
    status.cron(1)
    assert incidents(status) == []
    status.cron(2)
    name = f"database-{MINUTE + 1}"
    assert incidents(status) == [(name, "investigating", 3)]
    status.crons(range(3, 6))
    status.world.well()
    status.cron(6)
    assert incidents(status) == [(name, "investigating", 3)]
    status.cron(7)
    assert incidents(status) == [(name, "resolved", 3)]
    assert updates(status) == [(name, "incident.opened"), (name, "incident.resolved")]
    assert status.rows("SELECT resolved_at - started_at FROM incidents") == [(6 * 60_000,)]


def test_unreachable_api_opens_a_single_incident(status: Status) -> None:
    status.world.silent()
    status.crons(range(4))
    assert incidents(status) == [(f"api-{MINUTE}", "investigating", 3)]


def test_unknown_state_neither_opens_nor_closes_an_incident(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.world.silent()
    status.crons(range(2, 6))
    assert incidents(status) == [(f"database-{MINUTE}", "investigating", 3), (f"api-{MINUTE + 2}", "investigating", 3)]
    status.world.well()
    status.crons(range(6, 8))
    assert [state for _, state, _ in incidents(status)] == ["resolved", "resolved"]


def test_worse_state_is_announced_once(status: Status) -> None:
    status.world.body = report(database="degraded")
    status.crons(range(3))
    name = f"database-{MINUTE}"
    assert incidents(status) == [(name, "investigating", 1)]
    status.world.database_down()
    status.crons(range(3, 6))
    assert incidents(status) == [(name, "investigating", 3)]
    assert status.rows("SELECT title FROM incidents") == [("Database is not available",)]
    status.world.body, status.world.status = report(database="degraded"), 200
    status.crons(range(6, 9))
    status.world.database_down()
    status.crons(range(9, 12))
    assert updates(status) == [(name, "incident.opened"), (name, "incident.updated")]


def test_two_different_checks_count_as_the_milder_one(status: Status) -> None:
    status.world.body = report(database="degraded")
    status.cron(0)
    status.world.database_down()
    status.cron(1)
    assert incidents(status) == [(f"database-{MINUTE}", "investigating", 1)]
    status.cron(2)
    assert incidents(status) == [(f"database-{MINUTE}", "investigating", 3)]


def test_flapping_opens_an_incident_at_the_third_failure(status: Status) -> None:
    for minute in range(0, 4, 2):
        status.world.database_down()
        status.cron(minute)
        status.world.well()
        status.cron(minute + 1)
    assert incidents(status) == []
    status.world.database_down()
    status.cron(4)
    assert incidents(status) == [(f"database-{MINUTE + 4}", "investigating", 3)]
    assert "intermittently" in status.rows("SELECT body FROM updates")[0][0]
    status.world.well()
    status.cron(5)
    status.world.database_down()
    status.cron(6)
    assert [state for _, state, _ in incidents(status)] == ["investigating"]
    status.world.well()
    status.crons(range(7, 9))
    assert [state for _, state, _ in incidents(status)] == ["resolved"]


def test_checks_far_apart_are_not_consecutive(status: Status) -> None:
    status.world.database_down()
    status.cron(0)
    status.cron(20)
    assert incidents(status) == []
    status.cron(24)  # late, but still consecutive
    assert incidents(status) == [(f"database-{MINUTE + 20}", "investigating", 3)]


def test_operators_incident_prevents_automatic_ones(status: Status) -> None:
    status.cron(0)
    status.incident("declared", "database", "edge")
    status.world.database_down()
    status.crons(range(1, 4))
    status.world.well()
    status.crons(range(4, 7))
    assert incidents(status) == [("declared", "identified", 2)]
    assert updates(status) == []


def test_maintenance_begins_and_ends_on_time_and_covers_its_components(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 3, 8, "database")
    status.crons(range(1, 3))
    assert updates(status) == []
    status.world.database_down()
    status.crons(range(3, 7))
    assert updates(status) == [("upgrade", "maintenance.started")]
    status.world.well()
    status.crons(range(7, 9))
    assert updates(status) == [("upgrade", "maintenance.started"), ("upgrade", "maintenance.completed")]
    assert incidents(status) == []


def test_component_still_down_after_maintenance_opens_an_incident(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 1, 3, "database")
    status.world.database_down()
    status.crons(range(1, 4))
    assert incidents(status) == [(f"database-{MINUTE + 2}", "investigating", 3)]


def test_maintenance_does_not_cover_other_components(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 1, 9, "objectStorage")
    status.world.database_down()
    status.crons(range(1, 4))
    assert [name for name, _, _ in incidents(status)] == [f"database-{MINUTE + 1}"]


def test_maintenance_between_two_runs_is_started_and_completed(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 3, 8, "database")
    status.cron(30)
    assert sorted(updates(status)) == [("upgrade", "maintenance.completed"), ("upgrade", "maintenance.started")]
    assert status.rows("SELECT status, end_minute FROM maintenances") == [("completed", MINUTE + 8)]


def test_concurrent_runs_announce_an_incident_once(status: Status) -> None:
    status.cron(-30)
    status.contact("ann", "ann@customer.example")
    status.world.database_down()
    calls = [
        {"op": "scheduled", "time": at(minute), "instruction": {"clock": at(minute)}} for minute in (0, 1, 1, 2, 2, 3)
    ]
    status.host.together(*calls)
    status.cron(4)
    assert [kind for _, kind in updates(status)] == ["incident.opened"]


def test_clock_that_goes_back_changes_nothing(status: Status) -> None:
    status.world.database_down()
    status.crons(range(60, 62))
    status.world.well()
    status.crons(range(3))  # an hour back: these checks pass
    status.crons(range(62, 64))
    assert incidents(status) == [(f"database-{MINUTE + 60}", "resolved", 3)]
    assert status.rows("SELECT resolved_at >= started_at FROM incidents") == [(1,)]


@pytest.mark.parametrize("wrong", [-2, 11, 24 * 60, 400 * 24 * 60])
def test_clock_that_differs_from_the_schedule_records_nothing(status: Status, wrong: int) -> None:
    status.cron(0)
    status.host.scheduled(at(1), clock=at(1 + wrong))
    assert status.rows("SELECT DISTINCT minute FROM samples") == [(MINUTE,)]


def test_late_run_announces_nothing(status: Status) -> None:
    status.cron(0)
    status.cron(1)
    status.world.database_down()
    status.crons(range(2, 4))
    status.world.well()
    status.crons(range(2))
    assert updates(status) == [(f"database-{MINUTE + 2}", "incident.opened")]


def test_corrected_incident_closes_when_all_its_components_work(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.host.sql('UPDATE incidents SET components = \'["database", "replication"]\'')
    status.crons(range(2, 4))
    assert [state for _, state, _ in incidents(status)] == ["investigating"]
    status.world.well()
    status.crons(range(4, 6))
    assert [state for _, state, _ in incidents(status)] == ["resolved"]


def test_lowered_impact_is_raised_only_by_a_worse_state(status: Status) -> None:
    status.world.body = report(database="degraded")
    status.crons(range(2))
    status.host.sql("UPDATE incidents SET impact = 0")
    status.crons(range(2, 4))
    assert [impact for _, _, impact in incidents(status)] == [0]
    status.world.database_down()
    status.crons(range(4, 6))
    assert [impact for _, _, impact in incidents(status)] == [3]
    status.host.sql("UPDATE incidents SET impact = 1")
    status.crons(range(6, 9))
    assert [impact for _, _, impact in incidents(status)] == [1]
    assert [kind for _, kind in updates(status)] == ["incident.opened", "incident.updated"]


def enter(status: Status, name: str, components: str) -> None:
    """Insert an open incident like one that probes opened."""
    time = MINUTE * 60_000
    status.host.sql(
        f"INSERT INTO incidents VALUES ('{name}', 'It is not available', 2, 'investigating', '{components}', 1, "
        f"{time}, {time}, NULL); INSERT INTO updates VALUES ('{name}-opened', 'incident.opened', '{name}', "
        f"'investigating', 2, '{components}', 'We are looking into it.', {time})"
    )


def test_incident_of_a_removed_component_is_closed_with_a_reason(status: Status) -> None:
    """A component is removed from the settings while it is down."""
    status.cron(0)
    status.contact("hook", "http://hook.example/", components=["legacy"])
    enter(status, "legacy-1", '["legacy"]')
    before = status.get("/")["body"]  # the new version answers before its first minute
    assert "All systems operational" in before
    assert "We are looking into it." not in before
    status.cron(1)
    assert incidents(status) == [("legacy-1", "resolved", 2)]
    assert [hook.event["type"] for hook in status.world.hooks] == ["incident.opened", "incident.resolved"]
    assert "was removed from this page" in status.world.hooks[-1].event["data"]["body"]
    assert "All systems operational" in status.get("/", 1.5)["body"]


def test_incident_with_one_probed_component_ends_when_that_works(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.host.sql('UPDATE incidents SET components = \'["legacy", "database"]\'')
    status.crons(range(2, 4))
    assert [state for _, state, _ in incidents(status)] == ["investigating"]
    status.world.well()
    status.crons(range(4, 6))
    assert [state for _, state, _ in incidents(status)] == ["resolved"]
    assert status.rows("SELECT body FROM updates ORDER BY at DESC LIMIT 1") == [("Our checks pass again.",)]


def test_incident_without_components_ends_when_all_components_work(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.host.sql("UPDATE incidents SET components = '[]'")
    status.crons(range(2, 4))
    assert [state for _, state, _ in incidents(status)] != ["resolved"]
    status.world.well()
    status.crons(range(4, 6))
    assert {state for _, state, _ in incidents(status)} == {"resolved"}


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_operators_incident_does_not_keep_an_automatic_one_open(status: Status, name: str) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.incident(name, "database")
    status.world.well()
    status.crons(range(2, 4))
    assert (f"database-{MINUTE}", "resolved", 3) in incidents(status)
    assert (name, "identified", 2) in incidents(status)
