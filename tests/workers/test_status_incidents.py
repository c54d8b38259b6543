"""When probes open, raise and close incidents, and when they hold their tongue."""

import pytest

from harness.status import MINUTE, Status, at
from harness.status_world import report


def incidents(status: Status) -> list[tuple[str, str, int]]:
    return status.rows("SELECT id, status, impact FROM incidents ORDER BY started_at, id")


def said(status: Status) -> list[tuple[str, str]]:
    return status.rows("SELECT subject, type FROM updates ORDER BY at, id")


def test_one_failing_look_is_not_believed(status: Status) -> None:
    status.cron(0)
    status.world.database_down()
    status.cron(1)
    status.world.well()
    status.crons(range(2, 5))
    assert incidents(status) == []


def test_an_outage_is_an_incident_within_two_minutes_and_ends_likewise(status: Status) -> None:
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
    assert said(status) == [(name, "incident.opened"), (name, "incident.resolved")]
    assert status.rows("SELECT resolved_at - started_at FROM incidents") == [(6 * 60_000,)]


def test_an_unreachable_api_is_one_incident_not_one_for_everything_behind_it(status: Status) -> None:
    status.world.silent()
    status.crons(range(4))
    assert incidents(status) == [(f"api-{MINUTE}", "investigating", 3)]


def test_what_is_unknown_neither_opens_nor_closes(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.world.silent()
    status.crons(range(2, 6))
    assert incidents(status) == [(f"database-{MINUTE}", "investigating", 3), (f"api-{MINUTE + 2}", "investigating", 3)]
    status.world.well()
    status.crons(range(6, 8))
    assert [state for _, state, _ in incidents(status)] == ["resolved", "resolved"]


def test_it_becomes_worse_and_that_is_said_once(status: Status) -> None:
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
    assert said(status) == [(name, "incident.opened"), (name, "incident.updated")]


def test_two_looks_that_differ_are_believed_as_the_milder_one(status: Status) -> None:
    status.world.body = report(database="degraded")
    status.cron(0)
    status.world.database_down()
    status.cron(1)
    assert incidents(status) == [(f"database-{MINUTE}", "investigating", 1)]
    status.cron(2)
    assert incidents(status) == [(f"database-{MINUTE}", "investigating", 3)]


def test_what_comes_and_goes_is_an_incident_at_the_third_time_and_ends_with_two_looks_that_pass(status: Status) -> None:
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


def test_looks_that_lie_far_apart_are_not_two_in_a_row(status: Status) -> None:
    status.world.database_down()
    status.cron(0)
    status.cron(20)
    assert incidents(status) == []
    status.cron(24)  # late, but near enough
    assert incidents(status) == [(f"database-{MINUTE + 20}", "investigating", 3)]


def test_where_an_operator_speaks_the_probes_do_not(status: Status) -> None:
    status.cron(0)
    status.incident("declared", "database", "edge")
    status.world.database_down()
    status.crons(range(1, 4))
    status.world.well()
    status.crons(range(4, 7))
    assert incidents(status) == [("declared", "identified", 2)]
    assert said(status) == []


def test_maintenance_begins_and_ends_on_time_and_covers_its_components(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 3, 8, "database")
    status.crons(range(1, 3))
    assert said(status) == []
    status.world.database_down()
    status.crons(range(3, 7))
    assert said(status) == [("upgrade", "maintenance.started")]
    status.world.well()
    status.crons(range(7, 9))
    assert said(status) == [("upgrade", "maintenance.started"), ("upgrade", "maintenance.completed")]
    assert incidents(status) == []


def test_what_is_still_down_after_maintenance_is_an_incident(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 1, 3, "database")
    status.world.database_down()
    status.crons(range(1, 4))
    assert incidents(status) == [(f"database-{MINUTE + 2}", "investigating", 3)]


def test_maintenance_of_one_component_covers_no_other(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 1, 9, "objectStorage")
    status.world.database_down()
    status.crons(range(1, 4))
    assert [name for name, _, _ in incidents(status)] == [f"database-{MINUTE + 1}"]


def test_maintenance_that_nobody_watched_is_begun_and_ended(status: Status) -> None:
    status.cron(0)
    status.maintenance("upgrade", 3, 8, "database")
    status.cron(30)
    assert sorted(said(status)) == [("upgrade", "maintenance.completed"), ("upgrade", "maintenance.started")]
    assert status.rows("SELECT status, end_minute FROM maintenances") == [("completed", MINUTE + 8)]


def test_calls_at_once_say_it_once(status: Status) -> None:
    status.cron(-30)
    status.contact("ann", "ann@customer.example")
    status.world.database_down()
    calls = [
        {"op": "scheduled", "time": at(minute), "instruction": {"clock": at(minute)}} for minute in (0, 1, 1, 2, 2, 3)
    ]
    status.host.together(*calls)
    status.cron(4)
    assert [kind for _, kind in said(status)] == ["incident.opened"]


def test_a_clock_that_goes_back_does_no_harm(status: Status) -> None:
    status.world.database_down()
    status.crons(range(60, 62))
    status.world.well()
    status.crons(range(3))  # an hour back: those looks say that all is well
    status.crons(range(62, 64))
    assert incidents(status) == [(f"database-{MINUTE + 60}", "resolved", 3)]
    assert status.rows("SELECT resolved_at >= started_at FROM incidents") == [(1,)]


@pytest.mark.parametrize("wrong", [-2, 11, 24 * 60, 400 * 24 * 60])
def test_a_clock_that_the_schedule_contradicts_records_nothing(status: Status, wrong: int) -> None:
    status.cron(0)
    status.host.scheduled(at(1), clock=at(1 + wrong))
    assert status.rows("SELECT DISTINCT minute FROM samples") == [(MINUTE,)]


def test_a_call_that_comes_after_later_ones_says_nothing(status: Status) -> None:
    status.cron(0)
    status.cron(1)
    status.world.database_down()
    status.crons(range(2, 4))
    status.world.well()
    status.crons(range(2))
    assert said(status) == [(f"database-{MINUTE + 2}", "incident.opened")]


def test_what_an_operator_corrects_closes_only_when_all_of_it_is_well(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.host.sql('UPDATE incidents SET components = \'["database", "replication"]\'')
    status.crons(range(2, 4))
    assert [state for _, state, _ in incidents(status)] == ["investigating"]
    status.world.well()
    status.crons(range(4, 6))
    assert [state for _, state, _ in incidents(status)] == ["resolved"]


def test_what_an_operator_sets_lower_is_raised_only_by_what_is_worse_than_before(status: Status) -> None:
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
    assert [kind for _, kind in said(status)] == ["incident.opened", "incident.updated"]


def enter(status: Status, name: str, components: str) -> None:
    """Enter an open incident as probes have opened it."""
    time = MINUTE * 60_000
    status.host.sql(
        f"INSERT INTO incidents VALUES ('{name}', 'It is not available', 2, 'investigating', '{components}', 1, "
        f"{time}, {time}, NULL); INSERT INTO updates VALUES ('{name}-opened', 'incident.opened', '{name}', "
        f"'investigating', 2, '{components}', 'We are looking into it.', {time})"
    )


def test_an_incident_of_what_is_no_longer_watched_is_closed_and_says_why(status: Status) -> None:
    """As when a component is taken out of the settings while it is down."""
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


def test_an_incident_of_which_something_is_watched_ends_when_that_works(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.host.sql('UPDATE incidents SET components = \'["legacy", "database"]\'')
    status.crons(range(2, 4))
    assert [state for _, state, _ in incidents(status)] == ["investigating"]
    status.world.well()
    status.crons(range(4, 6))
    assert [state for _, state, _ in incidents(status)] == ["resolved"]
    assert status.rows("SELECT body FROM updates ORDER BY at DESC LIMIT 1") == [("Our checks pass again.",)]


def test_an_incident_without_components_ends_when_everything_works(status: Status) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.host.sql("UPDATE incidents SET components = '[]'")
    status.crons(range(2, 4))
    assert [state for _, state, _ in incidents(status)] != ["resolved"]
    status.world.well()
    status.crons(range(4, 6))
    assert {state for _, state, _ in incidents(status)} == {"resolved"}


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_an_operators_incident_beside_it_does_not_hold_an_automatic_one_open(status: Status, name: str) -> None:
    status.world.database_down()
    status.crons(range(2))
    status.incident(name, "database")
    status.world.well()
    status.crons(range(2, 4))
    assert (f"database-{MINUTE}", "resolved", 3) in incidents(status)
    assert (name, "identified", 2) in incidents(status)
