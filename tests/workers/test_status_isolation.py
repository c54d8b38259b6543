"""Tests of partial failures: other components are still recorded, and the run counts as failed."""

import pytest

from harness.status import MINUTE, Status, at
from harness.status_world import COMPONENTS, World, report, start_status
from harness.webhooks import ALARM_SECRET
from harness.workerd import Host

IDS = ["api", *COMPONENTS, "platform"]


def refuse(status: Status, when: str, table: str, operation: str = "INSERT") -> None:
    """Make the database reject some rows of a table."""
    status.host.sql(
        f"CREATE TRIGGER refusal BEFORE {operation} ON {table} WHEN {when} "
        "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
    )


def outcome(status: Status, minute: float) -> str:
    return status.host.scheduled(at(minute), clock=at(minute))


@pytest.mark.parametrize("letters", [38, 39, 63])
def test_minutes_are_recorded_for_component_ids_of_any_length(host: Host, letters: int) -> None:
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


def test_rejected_sample_does_not_affect_others(status: Status) -> None:
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
def test_incident_that_cannot_be_opened_does_not_block_others(status: Status, table: str) -> None:
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


def test_maintenance_that_cannot_start_does_not_block_others(status: Status) -> None:
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


def test_minutes_are_recorded_if_old_samples_cannot_be_deleted(status: Status) -> None:
    status.cron(0)
    status.host.sql(f"INSERT INTO samples VALUES ({MINUTE - 500 * 1440}, 'api', 'ok')")
    refuse(status, "OLD.component = 'api'", "samples", "DELETE")
    assert outcome(status, 1) == "exception"
    assert status.rows("SELECT MAX(minute) FROM samples") == [(MINUTE + 1,)]


def test_pending_deliveries_are_sent_in_a_failed_run(status: Status) -> None:
    status.cron(0)
    status.contact("hook", "http://hook.example/")
    status.world.database_down()
    status.crons(range(1, 3))
    status.world.hooks.clear()
    status.host.sql("UPDATE deliveries SET state = 'pending', due_at = 0")
    refuse(status, "1", "samples")
    assert outcome(status, 3) == "exception"
    assert len(status.world.hooks) == 1


def test_unrecorded_half_hour_is_unknown_and_the_month_is_not_met(status: Status) -> None:
    """The page shows late recording while it lasts, and unknown minutes afterwards."""
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
    """Return the webhooks to operators since the last call."""
    hooks = [hook for hook in status.world.hooks if hook.event["type"] == "status.alarm"]
    assert all(hook.signed_with(ALARM_SECRET) == [True] for hook in hooks)
    texts = [hook.event["text"] for hook in hooks]
    status.world.hooks.clear()
    return texts


def test_operators_are_alerted_every_15_minutes_while_runs_fail(status: Status) -> None:
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
def test_operators_are_alerted_without_the_database(status: Status, instruction: dict[str, list[str]]) -> None:
    status.cron(0)
    status.world.hooks.clear()
    assert status.host.scheduled(at(15), clock=at(15), **instruction) == "exception"
    assert len(alarms(status)) == 1
    assert len(status.host.emails()) == (0 if "EMAIL" in instruction["broken"] else 1)
