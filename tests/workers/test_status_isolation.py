"""One component's trouble costs no other component its minute, and a minute that fails in part is seen to fail."""

import pytest

from harness.status import MINUTE, Status, at
from harness.status_world import COMPONENTS, World, report, start_status
from harness.webhooks import ALARM_SECRET
from harness.workerd import Host

IDS = ["api", *COMPONENTS, "platform"]


def refuse(status: Status, when: str, table: str, operation: str = "INSERT") -> None:
    """Make the database refuse some rows of a table."""
    status.host.sql(
        f"CREATE TRIGGER refusal BEFORE {operation} ON {table} WHEN {when} "
        "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
    )


def outcome(status: Status, minute: float) -> str:
    return status.host.scheduled(at(minute), clock=at(minute))


@pytest.mark.parametrize("letters", [38, 39, 63])
def test_minutes_are_recorded_however_long_a_components_id_is(host: Host, letters: int) -> None:
    name = "x" * letters
    world = World(components={"long.example": 503})
    with world.serving() as address:
        start_status(host, address, COMPONENTS=[{"id": name, "name": "Long", "url": "http://long.example/"}])
        status = Status(host, world)
        status.crons(range(4))
        world.components["long.example"] = 200
        status.crons(range(4, 8))
    assert status.rows("SELECT COUNT(DISTINCT minute) FROM samples") == [(8,)]
    assert status.rows("SELECT id, status FROM incidents") == [(f"{name}-{MINUTE}", "resolved")]


def test_a_sample_that_is_refused_costs_no_other_one(status: Status) -> None:
    status.cron(0)
    refuse(status, "NEW.component = 'backups'", "samples")
    status.world.database_down()
    assert [outcome(status, minute) for minute in (1, 2)] == ["exception", "exception"]
    stored = status.rows(f"SELECT component FROM samples WHERE minute = {MINUTE + 2} ORDER BY component")
    assert [component for (component,) in stored] == sorted(set(IDS) - {"backups"})
    assert status.rows("SELECT id FROM incidents") == [(f"database-{MINUTE + 1}",)]
    assert "Not recorded in the latest minute: Backups." in status.get("/", 2.5)["body"]
    status.host.sql("DROP TRIGGER refusal")
    status.cron(3)
    assert "Not recorded" not in status.get("/", 3.5)["body"]


@pytest.mark.parametrize("table", ["incidents", "updates", "deliveries"])
def test_an_incident_that_cannot_be_opened_holds_back_no_other_one(status: Status, table: str) -> None:
    status.cron(0)
    status.contact("hook", "http://hook.example/")
    column = {"incidents": "id", "updates": "subject", "deliveries": "update_id"}[table]
    refuse(status, f"instr(NEW.{column}, 'objectStorage') = 1", table)
    status.world.status, status.world.body = 503, report(database="down", objectStorage="down")
    assert [outcome(status, minute) for minute in (1, 2, 3)] == ["ok", "exception", "exception"]
    assert status.rows("SELECT id FROM incidents") == [(f"database-{MINUTE + 1}",)]
    assert [hook.event["data"]["subject"] for hook in status.world.hooks] == [f"database-{MINUTE + 1}"]
    status.host.sql("DROP TRIGGER refusal")
    status.cron(4)
    assert status.rows("SELECT id FROM incidents ORDER BY id DESC") == [
        (f"objectStorage-{MINUTE + 3}",),
        (f"database-{MINUTE + 1}",),
    ]
    assert status.rows("SELECT COUNT(DISTINCT minute) FROM samples") == [(5,)]


def test_maintenance_that_cannot_begin_holds_back_no_incident_and_no_other_maintenance(status: Status) -> None:
    status.cron(0)
    status.maintenance("stuck", 1, 9, "backups")
    status.maintenance("well", 1, 9, "edge")
    refuse(status, "NEW.subject = 'stuck'", "updates")
    status.world.database_down()
    assert [outcome(status, minute) for minute in (1, 2)] == ["exception", "exception"]
    assert status.rows("SELECT id, status FROM maintenances ORDER BY id") == [
        ("stuck", "scheduled"),
        ("well", "in_progress"),
    ]
    assert status.rows("SELECT id FROM incidents") == [(f"database-{MINUTE + 1}",)]


def test_old_samples_that_cannot_be_deleted_cost_no_minute(status: Status) -> None:
    status.cron(0)
    status.host.sql(f"INSERT INTO samples VALUES ({MINUTE - 500 * 1440}, 'api', 'ok')")
    refuse(status, "OLD.component = 'api'", "samples", "DELETE")
    assert outcome(status, 1) == "exception"
    assert status.rows("SELECT MAX(minute) FROM samples") == [(MINUTE + 1,)]


def test_what_was_owed_is_delivered_in_a_minute_that_fails(status: Status) -> None:
    status.cron(0)
    status.contact("hook", "http://hook.example/")
    status.world.database_down()
    status.crons(range(1, 3))
    status.world.hooks.clear()
    status.host.sql("UPDATE deliveries SET state = 'pending', due_at = 0")
    refuse(status, "1", "samples")
    assert outcome(status, 3) == "exception"
    assert len(status.world.hooks) == 1


def test_half_an_hour_that_is_not_recorded_is_unknown_and_no_month_is_met(status: Status) -> None:
    """Whatever it was that failed: the page says so while it lasts, and the account says so afterwards."""
    status.crons(range(3))
    refuse(status, "1", "samples")
    status.world.silent()
    assert {outcome(status, minute) for minute in range(3, 33, 6)} == {"exception"}
    status.world.well()
    page = status.get("/", 33)["body"]
    assert "Recording is late: the last recorded minute is" in page
    assert "All systems operational" not in page
    status.host.sql("DROP TRIGGER refusal")
    status.crons(range(33, 35))
    page = status.get("/", 35)["body"]
    assert "unknown so far" in page
    assert "30 minutes are unknown; if all were down, uptime would be 14.2857 %." in page


def alarms(status: Status) -> list[str]:
    """Take what operators were told since the last time, by webhook."""
    hooks = [hook for hook in status.world.hooks if hook.event["type"] == "status.alarm"]
    assert all(hook.signed_with(ALARM_SECRET) == [True] for hook in hooks)
    told = [hook.event["text"] for hook in hooks]
    status.world.hooks.clear()
    return told


def test_operators_are_told_within_a_quarter_of_an_hour_while_minutes_fail(status: Status) -> None:
    status.crons(range(2))
    assert (alarms(status), status.host.emails()) == ([], [])
    refuse(status, "NEW.component = 'backups'", "samples")
    for minute in range(2, 17):
        outcome(status, minute)
    (text,) = alarms(status)
    assert "The status page's run at 2026-11-24 10:15 UTC did not complete (failed: backups)" in text
    (letter,) = status.host.emails(1)
    assert "To: <oncall@operator.example>" in letter
    status.host.sql("DROP TRIGGER refusal")
    status.cron(30)
    assert (alarms(status), status.host.emails()) == ([], [])


@pytest.mark.parametrize("instruction", [{"broken": ["DB"]}, {"broken": ["DB", "EMAIL"]}])
def test_operators_are_told_without_the_database(status: Status, instruction: dict[str, list[str]]) -> None:
    status.cron(0)
    status.world.hooks.clear()
    assert status.host.scheduled(at(15), clock=at(15), **instruction) == "exception"
    assert len(alarms(status)) == 1
    assert len(status.host.emails()) == (0 if "EMAIL" in instruction["broken"] else 1)
