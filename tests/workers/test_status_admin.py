"""Tests of the admin API: each action is carried out exactly once, completely, and is in the audit log."""

import base64
import hmac
import json
from typing import Any

import pytest

from harness.status import MINUTE, Status, at
from harness.status_world import OPERATOR, TOKEN
from harness.webhooks import WEBHOOK_KEY

from .operators import EMAIL, HOUR, INCIDENT, PLAN, UPDATE, WEBHOOK, ask, key, made, post, problems, request

# Incidents.


def test_incident_is_declared_updated_and_resolved(status: Status) -> None:
    status.cron(0)
    status.contact("ann", "ann@customer.example", components=["database"])
    declared = made(status, "incidents", INCIDENT, minute=1)
    name = declared["id"]
    assert declared == {"id": name, "update": f"{name}-opened", "at": "2026-11-24T10:01:00.000Z"}
    changes = {**UPDATE, "impact": "critical", "components": ["database", "edge"], "title": "No logins"}
    said = made(status, f"incidents/{name}/updates", changes, minute=2)
    assert said["id"] == name
    made(status, f"incidents/{name}/updates", {"status": "resolved", "body": "Over."}, minute=9)
    (incident,) = ask(status, "GET", "incidents")[1]["incidents"]
    assert incident == {
        "id": name,
        "title": "No logins",
        "status": "resolved",
        "impact": "critical",
        "components": ["database", "edge"],
        "automatic": False,
        "startedAt": "2026-11-24T10:01:00.000Z",
        "updatedAt": "2026-11-24T10:09:00.000Z",
        "resolvedAt": "2026-11-24T10:09:00.000Z",
    }
    assert status.rows("SELECT type, impact, body FROM updates ORDER BY at") == [
        ("incident.opened", 1, "We are looking."),
        ("incident.updated", 3, "Found it."),
        ("incident.resolved", 3, "Over."),
    ]
    assert status.rows("SELECT COUNT(*) FROM deliveries") == [(3,)]
    status.cron(10)
    assert len(status.host.emails(3)) == 3
    code, answer = post(status, f"incidents/{name}/updates", UPDATE, minute=11)
    assert (code, answer) == (409, {"error": f"incident {name} was resolved at 2026-11-24T10:09:00.000Z"})
    log = status.rows("SELECT operator, action, subject FROM audit ORDER BY id")
    assert log == [(OPERATOR, action, name) for action in ("incident.declare", "incident.update", "incident.update")]


def test_open_incidents_are_listed_first(status: Status) -> None:
    names = [made(status, "incidents", INCIDENT, minute=minute)["id"] for minute in range(3)]
    made(status, f"incidents/{names[2]}/updates", {"status": "resolved", "body": "Over."}, minute=4)
    listed = ask(status, "GET", "incidents")[1]["incidents"]
    assert [incident["id"] for incident in listed] == [names[1], names[0], names[2]]


def test_texts_are_stored_unchanged(status: Status) -> None:
    title = "<script>alert('1')</script> & \"quotes\"; DROP TABLE incidents; -- ?1 \U0001f525"
    body = "First line\n\tsecond \u202e\u0627\r\nthird" + "\u00e9" * 4_900
    made(status, "incidents", json.dumps({**INCIDENT, "title": title, "body": body}, ensure_ascii=False))
    assert status.rows("SELECT title FROM incidents") == [(title,)]
    assert status.rows("SELECT body FROM updates") == [(body,)]
    assert "<script>alert" not in status.get("/history")["body"]


@pytest.mark.parametrize("text", ["7", "!", "+", "\u6771", "\U0001f525", "\u0627\u200f", "\u200be\u0301"])
def test_text_of_one_visible_character_is_accepted(status: Status, text: str) -> None:
    made(status, "incidents", {**INCIDENT, "title": text, "body": text})
    assert status.rows("SELECT title, body FROM incidents, updates") == [(text, text)]


def test_limits_count_characters_and_the_last_duplicate_key_counts(status: Status) -> None:
    longest = {**INCIDENT, "title": "\U0001f525" * 200, "body": "\U0001f525" * 5_000, "components": []}
    assert len(json.dumps(longest)) > 12 * 5_200  # each character is escaped as two \uXXXX
    made(status, "incidents", longest)
    assert status.rows("SELECT body FROM updates") == [(longest["body"],)]
    twice = json.dumps(INCIDENT).replace('"impact": "minor"', '"impact": "minor", "impact": 7')
    assert list(problems(status, "incidents", twice)) == ["impact"]
    made(status, "incidents", twice.replace("7", '"critical"'))
    assert status.rows("SELECT impact FROM incidents ORDER BY impact") == [(1,), (3,)]


# Maintenance.


def test_maintenance_is_planned_started_and_completed(status: Status) -> None:
    planned = made(status, "maintenances", {**PLAN, "startsAt": "2026-11-27T11:00+01:00"})
    name = planned["id"]
    assert status.rows("SELECT type, status FROM updates") == [("maintenance.scheduled", "scheduled")]
    path = f"maintenances/{name}/updates"
    made(status, path, {"body": "Tomorrow."}, minute=60)
    code, answer = post(status, path, {"status": "completed", "body": "?"}, minute=61)
    assert (code, answer["error"]) == (409, f"maintenance {name} is scheduled; it cannot become completed")
    made(status, path, {"status": "in_progress", "body": "Now."}, minute=72 * HOUR)
    made(status, path, {"status": "completed", "body": "Done."}, minute=72 * HOUR + 9.5)
    for late in ({"body": "more"}, {"status": "cancelled", "body": "no"}):
        assert post(status, path, late, minute=72 * HOUR + 20)[0] == 409
    (listed,) = ask(status, "GET", "maintenances")[1]["maintenances"]
    assert listed == {
        "id": name,
        "title": "Upgrade",
        "status": "completed",
        "components": ["database", "edge"],
        "emergency": False,
        "announcedAt": "2026-11-24T10:00:00.000Z",
        "startsAt": "2026-11-27T10:00:00.000Z",
        "endsAt": "2026-11-27T10:10:00.000Z",
        "updatedAt": "2026-11-27T10:09:30.000Z",
    }
    assert len(status.rows("SELECT 1 FROM audit")) == len(status.rows("SELECT 1 FROM updates")) == 4


def test_emergency_maintenance_starts_at_once(status: Status) -> None:
    change = {"emergency": True, "startsAt": at(-5), "endsAt": at(30)}
    name = made(status, "maintenances", {**PLAN, **change})["id"]
    assert status.rows("SELECT id, status, emergency FROM maintenances") == [(name, "in_progress", 1)]
    assert status.rows("SELECT type FROM updates") == [("maintenance.started",)]
    later = {**PLAN, "emergency": True, "startsAt": at(40), "endsAt": at(50)}
    made(status, "maintenances", later)
    assert status.rows("SELECT status FROM maintenances ORDER BY start_minute") == [("in_progress",), ("scheduled",)]


def test_overlapping_maintenance_is_rejected_with_its_id(status: Status) -> None:
    name = made(status, "maintenances", PLAN)["id"]
    beside = {**PLAN, "startsAt": at(73 * HOUR), "endsAt": at(75 * HOUR), "components": ["database", "backups"]}
    code, answer = post(status, "maintenances", beside)
    assert (code, answer["conflicts"]) == (409, [{"id": name, "title": "Upgrade"}])
    made(status, "maintenances", {**beside, "components": ["backups"]})
    made(status, "maintenances", {**PLAN, "startsAt": at(74 * HOUR), "endsAt": at(75 * HOUR), "components": ["edge"]})
    made(status, f"maintenances/{name}/updates", {"status": "cancelled", "body": "Not then."})
    made(status, "maintenances", {**beside, "components": ["database"]})
    assert len(status.rows("SELECT 1 FROM audit WHERE action = 'maintenance.plan'")) == 4


def test_maintenance_started_early_overlaps_from_that_time(status: Status) -> None:
    name = made(status, "maintenances", PLAN)["id"]
    made(status, f"maintenances/{name}/updates", {"status": "in_progress", "body": "Early."}, minute=10)
    beside = {**PLAN, "emergency": True, "startsAt": at(20), "endsAt": at(40)}
    code, answer = post(status, "maintenances", beside, minute=20)
    assert (code, answer["conflicts"]) == (409, [{"id": name, "title": "Upgrade"}])
    made(status, "maintenances", {**beside, "components": ["backups"]}, minute=20)
    made(status, "maintenances", {**PLAN, "startsAt": at(74 * HOUR), "endsAt": at(75 * HOUR)}, minute=20)
    made(status, f"maintenances/{name}/updates", {"status": "completed", "body": "Done."}, minute=30)
    ended = f"SELECT status, start_minute - {MINUTE}, end_minute - {MINUTE} FROM maintenances WHERE id = '{name}'"
    assert status.rows(ended) == [("completed", 72 * HOUR, 72 * HOUR)]
    made(status, "maintenances", beside, minute=30)


def test_maintenance_cannot_start_early_during_another_one(status: Status) -> None:
    later = made(status, "maintenances", PLAN)["id"]
    before = {**PLAN, "title": "Repair", "emergency": True, "startsAt": at(20), "endsAt": at(40)}
    sooner = made(status, "maintenances", {**before, "components": ["edge", "backups"]})["id"]
    made(status, "maintenances", {**PLAN, "startsAt": PLAN["endsAt"], "endsAt": at(75 * HOUR)})
    path, begin = f"maintenances/{later}/updates", {"status": "in_progress", "body": "Early."}
    for minute in (10, 30):
        code, answer = post(status, path, begin, minute=minute)
        assert code == 409
        assert answer == {
            "error": "it overlaps other maintenance of the same components",
            "conflicts": [{"id": sooner, "title": "Repair"}],
        }
        status.cron(20)
    made(status, path, begin, minute=40)
    assert len(status.rows("SELECT 1 FROM audit WHERE action = 'maintenance.update'")) == 1


def test_maintenance_starts_on_time_even_during_another_one(status: Status) -> None:
    status.cron(0)
    status.maintenance("longer", 1, 60, "backups")
    status.maintenance("shorter", 2, 30, "backups")
    status.crons(range(1, 4))
    assert status.rows("SELECT id, status FROM maintenances") == [("longer", "in_progress"), ("shorter", "in_progress")]


def test_one_of_several_concurrent_plans_succeeds(status: Status) -> None:
    made(status, "incidents", INCIDENT)  # makes the tables
    plans = [
        {"op": "fetch", **request("POST", "maintenances", {**PLAN, "title": f"Plan {number}"}, key=key())}
        for number in range(8)
    ]
    answers = status.host.together(*plans)
    assert sorted(answer["status"] for answer in answers) == [201] + [409] * 7
    (winner,) = (json.loads(answer["body"])["id"] for answer in answers if answer["status"] == 201)
    assert status.rows("SELECT id FROM maintenances") == [(winner,)]
    assert status.rows("SELECT subject FROM audit WHERE action = 'maintenance.plan'") == [(winner,)]
    lost = [json.loads(answer["body"]) for answer in answers if answer["status"] == 409]
    assert all([conflict["id"] for conflict in answer["conflicts"]] == [winner] for answer in lost)


# Contacts and deliveries.


def test_removing_a_contact_cancels_its_pending_deliveries(status: Status) -> None:
    ann = made(status, "contacts", EMAIL)
    assert set(ann) == {"id", "at"}
    bot = made(status, "contacts", {**WEBHOOK, "components": ["database"], "minimum": "none"})
    secret = hmac.digest(WEBHOOK_KEY.encode(), f"webhook:{bot['id']}".encode(), "sha256")
    assert bot["secret"] == f"whsec_{base64.b64encode(secret).decode()}"
    listed = ask(status, "GET", "contacts")[1]["contacts"]
    assert [{**contact, "id": "", "createdAt": ""} for contact in listed] == [
        {**EMAIL, "id": "", "components": None, "minimum": "major", "createdAt": ""},
        {**WEBHOOK, "id": "", "components": ["database"], "minimum": "none", "createdAt": ""},
    ]
    made(status, "incidents", {**INCIDENT, "impact": "major"})
    assert status.rows("SELECT contact FROM deliveries ORDER BY 1") == sorted([(ann["id"],), (bot["id"],)])
    assert ask(status, "DELETE", f"contacts/{bot['id']}")[0] == 200
    assert dict(status.rows("SELECT contact, state FROM deliveries")) == {ann["id"]: "pending", bot["id"]: "cancelled"}
    assert ask(status, "DELETE", f"contacts/{bot['id']}")[0] == 404
    status.cron(1)
    assert status.world.hooks == []
    log = json.dumps(status.rows("SELECT * FROM audit"))
    assert "hook.example" in log
    for secret_text in ("of-the-customer", "/in", "whsec_", "ann@", TOKEN):
        assert secret_text not in log


@pytest.mark.parametrize("contact", [EMAIL, {**WEBHOOK, "components": ["database"]}])
def test_the_same_contact_cannot_be_added_twice(status: Status, contact: dict[str, Any]) -> None:
    first = made(status, "contacts", contact)["id"]
    again = {**contact, "name": "Other", "address": contact["address"].replace("customer.", "CUSTOMER.")}
    assert problems(status, "contacts", again) == {
        "address": f"is already the address of contact {first}, with the same components"
    }
    made(status, "contacts", {**contact, "components": ["backups"]})


@pytest.mark.parametrize(
    "contact",
    [
        {**EMAIL, "address": "a.n-n.o'neil+status@mail.customer-2.example"},
        {**EMAIL, "address": "a" * 64 + "@customer.example"},
        {**WEBHOOK, "address": "https://hook.example:443/in?of=status.example"},
        {**WEBHOOK, "address": "https://other.status.example:443/"},
    ],
)
def test_valid_addresses_are_accepted(status: Status, contact: dict[str, Any]) -> None:
    made(status, "contacts", contact)
    assert status.rows("SELECT address FROM contacts") == [(contact["address"].replace(":443", ""),)]


def test_new_contact_is_notified(status: Status) -> None:
    contact = made(status, "contacts", {**WEBHOOK, "minimum": "minor"})["id"]
    made(status, "incidents", INCIDENT)
    status.cron(1)
    (hook,) = status.world.hooks
    assert hook.signed_for(contact)


def test_dead_letters_are_listed_and_sent_again(status: Status) -> None:
    status.world.answer = lambda _hook: 410
    contact = made(status, "contacts", WEBHOOK)["id"]
    update = made(status, "incidents", {**INCIDENT, "impact": "critical"})["update"]
    assert len(ask(status, "GET", "deliveries?state=pending")[1]["deliveries"]) == 1
    status.cron(1)
    (dead,) = ask(status, "GET", "deliveries?state=dead")[1]["deliveries"]
    assert (dead["update"], dead["contact"], dead["name"], dead["failure"]) == (update, contact, "Bot", "HTTP 410")
    status.world.answer = lambda _hook: 204
    retry = {"update": update, "contact": contact}
    code, answer = post(status, "deliveries/retry", retry, minute=2)
    assert (code, answer) == (200, {**retry, "at": "2026-11-24T10:02:00.000Z"})
    code, answer = post(status, "deliveries/retry", retry, minute=2)
    assert (code, answer) == (409, {"error": "the delivery is pending, not dead"})
    status.cron(3)
    ask(status, "DELETE", f"contacts/{contact}")  # completed deliveries do not change
    assert [hook.id for hook in status.world.hooks] == [f"{update}_{contact}"] * 2
    assert status.rows("SELECT state, attempts FROM deliveries") == [("delivered", 1)]
    assert post(status, "deliveries/retry", {**retry, "contact": "nobody"})[0] == 404


def test_dead_letters_of_a_removed_contact_are_not_retried(status: Status) -> None:
    status.world.answer = lambda _hook: 410
    contact = made(status, "contacts", WEBHOOK)["id"]
    update = made(status, "incidents", {**INCIDENT, "impact": "critical"})["update"]
    status.cron(1)
    ask(status, "DELETE", f"contacts/{contact}")
    code, answer = post(status, "deliveries/retry", {"update": update, "contact": contact})
    assert (code, answer) == (409, {"error": f"contact {contact} was removed"})


# Repeated calls.


def repeatable(status: Status) -> list[tuple[str, str, Any]]:
    """Return one call of each kind."""
    status.host.sql("INSERT INTO updates VALUES ('said', 'incident.opened', 'old', 'identified', 2, '[]', 'Body.', 0)")
    status.host.sql("UPDATE deliveries SET state = 'dead'")
    incident = made(status, "incidents", INCIDENT)["id"]
    maintenance = made(status, "maintenances", PLAN)["id"]
    return [
        ("POST", "incidents", INCIDENT),
        ("POST", f"incidents/{incident}/updates", UPDATE),
        ("POST", f"incidents/{incident}/updates", {"status": "resolved", "body": "Over."}),
        ("POST", "maintenances", {**PLAN, "components": ["backups"], "startsAt": at(73 * HOUR)}),
        ("POST", f"maintenances/{maintenance}/updates", {"body": "Soon."}),
        ("POST", f"maintenances/{maintenance}/updates", {"status": "in_progress", "body": "Now."}),
        ("POST", "contacts", WEBHOOK),
        ("POST", "deliveries/retry", {"update": "said", "contact": "hook"}),
        ("DELETE", "contacts/hook", None),
    ]


def whole(status: Status) -> list[Any]:
    return [status.rows(f"SELECT * FROM {table}") for table in ("incidents", "maintenances", "updates", "contacts")]


def test_repeated_call_gets_the_same_answer_and_is_done_once(status: Status) -> None:
    status.cron(0)
    status.contact("hook", "https://hook.example/")
    for method, path, body in repeatable(status):
        name, before = key(), status.rows("SELECT COUNT(*) FROM audit")[0][0]
        first = ask(status, method, path, body, key=name, minute=1)
        assert first[0] in (200, 201), (path, first)
        everything = whole(status)
        assert ask(status, method, path, body, key=name.upper(), minute=5) == first
        assert whole(status) == everything
        assert status.rows("SELECT COUNT(*) FROM audit") == [(before + 1,)]


def test_concurrent_repeated_calls_are_done_once(status: Status) -> None:
    status.cron(0)
    status.contact("hook", "https://hook.example/")
    for method, path, body in repeatable(status):
        name, before = key(), status.rows("SELECT COUNT(*) FROM audit")[0][0]
        calls = [{"op": "fetch", **request(method, path, body, key=name, minute=minute)} for minute in range(6)]
        answers = {(answer["status"], answer["body"]) for answer in status.host.together(*calls)}
        assert len(answers) == 1, (path, answers)
        assert status.rows("SELECT COUNT(*) FROM audit") == [(before + 1,)]


def test_repeated_plan_gets_its_answer_after_its_notice_period(status: Status) -> None:
    name = key()
    first = post(status, "maintenances", PLAN, key=name)
    assert first[0] == 201
    assert post(status, "maintenances", PLAN, key=name, minute=3) == first
    assert post(status, "maintenances", {**PLAN, "components": ["backups"]}, key=key(), minute=3)[0] == 422


def test_idempotency_key_belongs_to_one_call(status: Status) -> None:
    name = key()
    incident = made(status, "incidents", INCIDENT, key=name)["id"]
    for path, body in (
        ("incidents", {**INCIDENT, "title": "Another"}),
        (f"incidents/{incident}/updates", UPDATE),
        ("maintenances", PLAN),
        ("contacts", EMAIL),
    ):
        code, answer = post(status, path, body, key=name)
        assert (code, answer) == (409, {"error": "this idempotency-key was used for a different call; use a new UUID"})
    assert status.rows("SELECT COUNT(*) FROM audit") == [(1,)]


def test_one_of_different_concurrent_calls_with_one_key_is_done(status: Status) -> None:
    status.cron(0)
    first, second = (
        made(status, "maintenances", {**PLAN, "components": [name]})["id"] for name in ("edge", "database")
    )
    calls = [
        ("incidents", INCIDENT),
        ("maintenances", {**PLAN, "components": ["backups"]}),
        ("contacts", EMAIL),
        (f"maintenances/{first}/updates", {"status": "in_progress", "body": "Now."}),
        (f"maintenances/{second}/updates", {"status": "in_progress", "body": "Now."}),
    ]
    for _ in range(5):
        name, before = key(), whole(status)
        requests = [{"op": "fetch", **request("POST", path, body, key=name)} for path, body in calls]
        answers = status.host.together(*requests)
        assert sorted(answer["status"] for answer in answers) == [201] + [409] * 4
        (done,) = (path for (path, _), answer in zip(calls, answers, strict=True) if answer["status"] == 201)
        changed = [after != rows for after, rows in zip(whole(status), before, strict=True)]
        assert changed == {
            "incidents": [True, False, True, False],
            "maintenances": [False, True, True, False],
            "contacts": [False, False, False, True],
        }.get(done, [False, True, True, False])
        calls.append(calls.pop(0))  # another call is the first one


@pytest.mark.parametrize("after", [False, True])
def test_crash_at_any_step_leaves_a_complete_action_or_none(status: Status, *, after: bool) -> None:
    status.cron(0)
    for step in range(3):
        name = key()
        sent = request("POST", "incidents", INCIDENT, key=name, minute=1)
        sent["instruction"]["fall"] = {"at": step, "after": after}
        status.host.fetch(**sent)
        counts = {status.rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in ("incidents", "updates", "audit")}
        assert len(counts) == 1
        assert made(status, "incidents", INCIDENT, key=name)["id"] == name
    assert status.rows("SELECT COUNT(*) FROM audit") == [(3,)]


def test_audit_log_is_paginated_and_cannot_be_changed(status: Status) -> None:
    for number in range(103):
        made(status, "incidents", {**INCIDENT, "title": f"Number {number}"}, minute=number)
    first = ask(status, "GET", "audit")[1]["entries"]
    assert [entry["details"]["title"] for entry in first] == [f"Number {number}" for number in range(102, 2, -1)]
    assert set(first[0]) == {"id", "at", "operator", "action", "subject", "details"}
    second = ask(status, "GET", f"audit?before={first[-1]['id']}")[1]["entries"]
    assert [entry["details"]["title"] for entry in second] == ["Number 2", "Number 1", "Number 0"]
    for statement in ("DELETE FROM audit", "UPDATE audit SET operator = 'eve'"):
        with pytest.raises(RuntimeError, match="append-only"):
            status.host.sql(statement)
