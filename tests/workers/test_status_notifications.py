"""Tests of notifications: each contact is notified of each event exactly once, despite failures."""

import email
import email.policy
import email.utils
import itertools
from email.message import EmailMessage

import pytest

from harness.status import MINUTE, Status, at
from harness.status_world import report
from harness.webhooks import Hook

HOOK = "https://hook.example/status"
ANN = "ann@customer.example"


def mail(status: Status, count: int = 0) -> list[EmailMessage]:
    return [email.message_from_string(raw, policy=email.policy.default) for raw in status.host.emails(count)]


def outage(status: Status, minutes: range) -> None:
    status.world.database_down()
    status.crons(minutes)


def states(status: Status) -> list[tuple[str, str, int]]:
    return status.rows("SELECT contact, state, attempts FROM deliveries ORDER BY 1, update_id")


@pytest.fixture
def watched(status: Status) -> Status:
    """The status Worker after one minute without events."""
    status.cron(0)
    return status


def test_email_has_event_time_components_and_contact(watched: Status) -> None:
    watched.contact("ann", ANN)
    outage(watched, range(1, 3))
    (message,) = mail(watched, 1)
    assert message["subject"] == "New incident: Database is not available"
    assert message["from"].addresses[0].addr_spec == "notifications@status.example"
    assert message["from"].addresses[0].display_name == "Ledger & <Sons> status"
    assert message["to"] == ANN
    assert message["reply-to"] == "availability@example.com"
    assert message["message-id"].endswith("@status.example>")
    assert message["date"].datetime.isoformat() == "2026-11-24T10:02:00+00:00"
    assert message["auto-submitted"] == "auto-generated"
    text = message.get_content()
    assert "Our checks have not passed since 2026-11-24 10:01 UTC." in text
    assert "Impact: critical" in text
    assert "Affects: Database" in text
    assert "https://status.example/incidents/database-" in text
    assert "Questions: availability@example.com" in text
    watched.world.well()
    watched.crons(range(3, 5))
    (message,) = mail(watched, 1)
    assert message["subject"] == "Resolved: Database is not available"


TITLES = ["Two\r\nBcc: eve@evil.example", "Ärger mit 数据库 " * 12, "=?utf-8?q?x?=", '"<>,;']


@pytest.mark.parametrize("title", TITLES)
def test_titles_cannot_inject_headers(watched: Status, title: str) -> None:
    watched.contact("ann", ANN)
    watched.incident("one", "database")
    quoted = title.replace("'", "''")
    watched.host.sql(f"UPDATE incidents SET title = '{quoted}'")
    watched.host.sql("INSERT INTO updates VALUES ('u', 'incident.opened', 'one', 'identified', 2, '[]', 'Body.', 0)")
    watched.cron(1)
    (raw,) = watched.host.emails(1)
    message = email.message_from_string(raw, policy=email.policy.default)
    assert "bcc" not in message
    assert email.header.make_header(email.header.decode_header(str(message.get("subject")))) is not None
    decoded = str(email.header.make_header(email.header.decode_header(email.message_from_string(raw)["subject"])))
    assert decoded == f"New incident: {title}"
    assert all(len(line) <= 78 for line in raw.split("\r\n"))


def test_webhook_is_signed_and_has_the_same_content(watched: Status) -> None:
    watched.contact("hook", HOOK)
    outage(watched, range(1, 3))
    (hook,) = watched.world.hooks
    assert hook.host == "hook.example"
    assert hook.signed_for("hook")
    assert not hook.signed_for("another")
    assert hook.headers["webhook-timestamp"] == "1795514520"  # the time of sending, 10:02
    assert hook.event["type"] == "incident.opened"
    assert hook.event["timestamp"] == "2026-11-24T10:02:00.000Z"
    data = hook.event["data"]
    assert (data["title"], data["status"], data["impact"]) == ("Database is not available", "investigating", "critical")
    assert data["components"] == ["database"]
    assert data["startsAt"] == "2026-11-24T10:01:00.000Z"
    assert data["url"] == f"https://status.example/incidents/{data['subject']}"


def test_contacts_are_notified_of_their_components_and_severities_only(watched: Status) -> None:
    watched.contact("all", HOOK)
    watched.contact("database", HOOK, components=["database", "edge"])
    watched.contact("storage", HOOK, components=["objectStorage"])
    watched.contact("grave", HOOK, minimum=3)
    watched.world.body = report(objectStorage="degraded")
    watched.crons(range(1, 3))
    assert [contact for contact, _, _ in states(watched)] == ["all", "storage"]
    outage(watched, range(3, 5))
    heard = watched.rows("SELECT contact FROM deliveries WHERE update_id LIKE 'database-%-opened' ORDER BY 1")
    assert heard == [("all",), ("database",), ("grave",)]


def test_contact_notified_of_the_start_is_notified_of_the_end(watched: Status) -> None:
    watched.contact("grave", HOOK, minimum=3)
    outage(watched, range(1, 3))
    watched.host.sql("UPDATE incidents SET impact = 1")
    watched.world.well()
    watched.crons(range(3, 5))
    assert [hook.event["type"] for hook in watched.world.hooks] == ["incident.opened", "incident.resolved"]


def test_later_contact_gets_later_updates(watched: Status) -> None:
    outage(watched, range(1, 3))
    watched.contact("late", HOOK)
    watched.world.well()
    watched.crons(range(3, 5))
    assert [hook.event["type"] for hook in watched.world.hooks] == ["incident.resolved"]


def test_maintenance_notifies_all_contacts_of_its_components_and_marks_emergencies(watched: Status) -> None:
    watched.contact("ann", ANN, components=["database"], minimum=3)
    watched.contact("bob", "bob@customer.example", components=["edge"])
    watched.maintenance("upgrade", 2, 4, "database", emergency=True)
    watched.crons(range(1, 6))
    messages = mail(watched, 2)
    assert [message["subject"] for message in messages] == [
        "Emergency maintenance has begun: upgrade",
        "Emergency maintenance is over: upgrade",
    ]
    assert "Planned: 2026-11-24 10:02 UTC to 2026-11-24 10:04 UTC" in messages[0].get_content()
    assert "without the usual notice" in messages[0].get_content()
    assert {message["to"] for message in messages} == {ANN}


@pytest.mark.parametrize("answer", [500, 404, 302, None])
def test_failed_delivery_is_retried_with_back_off_and_becomes_a_dead_letter(
    watched: Status, answer: int | None
) -> None:
    watched.contact("hook", HOOK)
    watched.world.answer = lambda _hook: answer
    watched.world.components["elsewhere.example"] = 200  # target of the redirect
    outage(watched, range(1, 3))
    tried = [2.0]
    for _ in range(20):
        ((due,),) = watched.rows("SELECT due_at FROM deliveries")
        if states(watched) != [("hook", "pending", len(tried))]:
            break
        minute = due / 60_000 - 29925240
        watched.cron(minute - 0.1)
        assert len(watched.world.hooks) == len(tried)
        watched.cron(minute)
        tried.append(minute)
    assert states(watched) == [("hook", "dead", 10)]
    waits = [after - before for before, after in itertools.pairwise(tried)]
    assert waits == [1, 5, 30, 120, 300, 600, 840, 1_200, 1_440]
    assert len({hook.id for hook in watched.world.hooks}) == 1
    assert len({hook.headers["webhook-signature"] for hook in watched.world.hooks}) == 10
    watched.cron(10_000)
    assert len(watched.world.hooks) == 10


def test_receiver_that_answers_410_is_not_retried(watched: Status) -> None:
    watched.contact("hook", HOOK)
    watched.world.answer = lambda _hook: 410
    outage(watched, range(1, 9))
    assert states(watched) == [("hook", "dead", 1)]
    assert len(watched.world.hooks) == 1


def test_recovered_receiver_gets_all_updates_in_order(watched: Status) -> None:
    watched.contact("hook", HOOK)
    watched.world.answer = lambda _hook: 503
    outage(watched, range(1, 3))
    watched.world.well()
    watched.crons(range(3, 5))
    watched.world.answer = lambda _hook: 204
    watched.cron(60)
    heard = [hook.event["type"] for hook in watched.world.hooks if hook.headers["webhook-timestamp"] == "1795518000"]
    assert heard == ["incident.opened", "incident.resolved"]


def test_updates_of_unattended_maintenance_are_sent_in_order(watched: Status) -> None:
    watched.contact("hook", HOOK)
    watched.maintenance("upgrade", 2, 4, "database")
    watched.crons(range(30, 32))
    assert [hook.event["type"] for hook in watched.world.hooks] == ["maintenance.started", "maintenance.completed"]


def test_recently_failed_receivers_are_sent_last(watched: Status) -> None:
    for number in range(9):
        watched.contact(f"bad-{number}", "https://bad.example/")
    watched.contact("zoe", HOOK)
    watched.world.answer = lambda hook: 500 if hook.host == "bad.example" else 204
    outage(watched, range(1, 3))
    watched.world.well()
    watched.crons(range(3, 5))
    watched.world.hooks.clear()
    outage(watched, range(15, 17))
    opened = [hook.host for hook in watched.world.hooks if hook.id.startswith(f"database-{MINUTE + 15}-opened")]
    assert len(opened) >= 10
    assert "hook.example" in opened[:3]  # three are sent in parallel


def test_hung_mail_does_not_delay_webhooks(watched: Status) -> None:
    for name in "abc":
        watched.contact(name, ANN)
    watched.contact("hook", HOOK)
    watched.world.database_down()
    watched.cron(1)
    watched.cron(2, silent=["EMAIL"])
    assert [hook.event["type"] for hook in watched.world.hooks] == ["incident.opened"]
    assert watched.rows("SELECT contact, failure FROM deliveries WHERE state = 'pending'") == [
        (name, "TimedOut") for name in "abc"
    ]


def test_failed_receiver_does_not_block_others(watched: Status) -> None:
    for number in range(30):
        watched.contact(f"bad-{number:02}", f"https://bad.example/{number}")
    watched.contact("zoe", HOOK)
    watched.world.answer = lambda hook: 500 if hook.host == "bad.example" else 204
    outage(watched, range(1, 3))
    assert ("zoe", "delivered", 1) in states(watched)


def test_rejected_email_is_retried(watched: Status) -> None:
    watched.contact("ann", ANN)
    watched.world.database_down()
    watched.crons(range(1, 2))
    watched.cron(2, broken=["EMAIL"])
    assert states(watched) == [("ann", "pending", 1)]
    assert watched.rows("SELECT failure FROM deliveries") == [("Error",)]
    watched.cron(3)
    assert states(watched) == [("ann", "delivered", 2)]
    assert len(mail(watched, 1)) == 1


def heard_of(hooks: list[Hook], messages: list[EmailMessage]) -> tuple[set[str], set[str]]:
    return {hook.id for hook in hooks}, {message["message-id"] for message in messages}


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True])
def test_crash_at_any_step_loses_no_notification(watched: Status, *, after: bool) -> None:
    """The run that opens an incident, and the run that closes it, crash once at each of their steps."""
    for contact in ("one", "two"):
        watched.contact(contact, HOOK)
        watched.contact(f"{contact}-by-mail", ANN)
    copies = messages = 0
    for at_step in range(16):
        start = at_step * 40
        first = len(watched.world.hooks)
        mail(watched)
        watched.world.database_down()
        watched.cron(start + 1)
        fall = {"at": at_step, "after": after}
        watched.host.scheduled(at(start + 2), clock=at(start + 2), fall=fall)
        watched.crons(range(start + 3, start + 7))  # the lease of a delivery expires after two minutes
        watched.world.well()
        watched.cron(start + 7)
        watched.host.scheduled(at(start + 8), clock=at(start + 8), fall=fall)
        watched.crons(range(start + 9, start + 13))
        hooks, letters = watched.world.hooks[first:], mail(watched)
        assert tuple(map(len, heard_of(hooks, letters))) == (4, 4), at_step
        copies += len(hooks) + len(letters)
        messages += 8
    assert watched.rows("SELECT DISTINCT state FROM deliveries") == [("delivered",)]
    assert watched.rows("SELECT COUNT(*) FROM deliveries") == [(messages,)]
    assert watched.rows("SELECT COUNT(*), COUNT(DISTINCT subject) FROM updates") == [(32, 16)]
    # A crash between sending and recording sends one duplicate: at most one for each crash.
    assert messages <= copies <= messages + 2 * 16


def test_concurrent_runs_send_each_delivery_once(watched: Status) -> None:
    for number in range(50):
        watched.contact(f"hook-{number}", HOOK)
    outage(watched, range(1, 2))
    call = {"op": "scheduled", "time": at(2), "instruction": {"clock": at(2)}}
    watched.host.together(*[call] * 5)
    assert len(watched.world.hooks) == len({hook.id for hook in watched.world.hooks}) == 50
    assert {state for _, state, _ in states(watched)} == {"delivered"}
