"""Tests of corrections and withdrawals: on the page, in feed and JSON, for contacts, and in the audit log."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from harness.status import MINUTE, Status, at

from .operators import EMAIL, HOUR, INCIDENT, PLAN, UPDATE, WEBHOOK, ask, key, made, post, problems

SECRET = "hunter2 of db-7.internal"
PUBLIC = ("/", "/history", "/feed.atom", "/api/v2/incidents.json", "/api/v2/summary.json")


def everywhere(status: Status, minute: float = 1) -> str:
    """Return all public responses, and all rows of the database."""
    tables = [
        name for (name,) in status.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB '[a-z]*'")
    ]
    rows = [status.rows(f"SELECT * FROM {table}") for table in tables if not table.startswith(("sqlite", "d1"))]
    return json.dumps([rows, [status.get(path, minute)["body"] for path in PUBLIC]])


def webhook_texts(status: Status) -> list[tuple[str, str]]:
    return [(hook.event["type"], hook.event["data"]["body"]) for hook in status.world.hooks]


def test_withdrawn_text_is_deleted_and_its_recipients_are_notified(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", {**WEBHOOK, "minimum": "none"})
    declared = made(status, "incidents", {**INCIDENT, "body": f"It was {SECRET}."})
    status.cron(1)
    made(status, "contacts", {**WEBHOOK, "name": "Late", "address": "https://late.example/", "minimum": "none"})
    status.world.hooks.clear()
    assert SECRET in everywhere(status)
    assert set(made(status, "redactions", {"id": declared["update"]}, minute=2)) == {"id", "at"}
    assert SECRET not in everywhere(status)
    assert all("This text was withdrawn." in status.get(path)["body"] for path in PUBLIC)
    assert "corrected" in status.get("/")["body"]
    status.cron(3)
    text = "The text of 2026-11-24 10:00 UTC was withdrawn. Please do not use it or pass it on."
    assert webhook_texts(status) == [("incident.redacted", text)]
    assert status.world.hooks[0].host == "hook.example"  # the other contact never received the text
    assert all("Please do not use" not in status.get(path)["body"] for path in PUBLIC)
    entry = ask(status, "GET", "audit")[1]["entries"][0]
    assert (entry["operator"], entry["action"], entry["subject"]) == ("ada", "text.redact", declared["update"])
    (declaring,) = status.rows(
        "SELECT operator, details ->> 'title', details ->> 'body' FROM audit WHERE action = 'incident.declare'"
    )
    assert declaring == ("ada", INCIDENT["title"], None)
    code, answer = post(status, "redactions", {"id": declared["update"]}, minute=4)
    assert (code, answer["error"]) == (409, f"{declared['update']} was withdrawn at 2026-11-24T10:02:00.000Z")
    assert post(status, "amendments", {"id": declared["update"], "body": "x"})[0] == 409
    assert post(status, "redactions", {"id": "nothing"})[0] == 404


def test_every_kind_of_text_can_be_withdrawn_also_after_amendments(status: Status) -> None:
    status.cron(0)
    incident = made(status, "incidents", {**INCIDENT, "title": SECRET})
    update = made(status, f"incidents/{incident['id']}/updates", {**UPDATE, "body": SECRET, "title": SECRET})
    plan = made(status, "maintenances", {**PLAN, "title": SECRET, "body": SECRET})
    late = made(status, f"maintenances/{plan['id']}/updates", {"body": SECRET})
    made(status, "amendments", {"id": late["update"], "body": f"Rather {SECRET}."})
    made(status, "amendments", {"id": incident["id"], "title": f"Rather {SECRET}"})
    for target in (incident["id"], update["update"], plan["id"], plan["update"], late["update"]):
        assert SECRET in everywhere(status)
        made(status, "redactions", {"id": target})
    assert SECRET not in everywhere(status)
    assert "Title withdrawn" in status.get("/")["body"]


def test_pending_deliveries_are_sent_without_the_withdrawn_text(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", {**WEBHOOK, "minimum": "none"})
    declared = made(status, "incidents", {**INCIDENT, "body": SECRET})
    made(status, "redactions", {"id": declared["update"]})
    status.cron(1)
    assert webhook_texts(status) == [("incident.opened", "This text was withdrawn.")]


def test_amended_text_replaces_the_old_one_and_its_recipients_are_notified(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", {**WEBHOOK, "minimum": "none"})
    declared = made(status, "incidents", INCIDENT)
    status.cron(1)
    name = key()
    amended = made(status, "amendments", {"id": declared["update"], "body": "We look closely."}, minute=2, key=name)
    assert made(status, "amendments", {"id": declared["update"], "body": "We look closely."}, key=name) == amended
    status.cron(3)
    said = "Correction of the update of 2026-11-24 10:00 UTC: We look closely."
    assert webhook_texts(status) == [("incident.opened", INCIDENT["body"]), ("incident.amended", said)]
    for path in PUBLIC:
        body = status.get(path)["body"]
        assert "We look closely." in body
        assert INCIDENT["body"] not in body
        assert "is corrected" not in body
    (shown,) = json.loads(status.get("/api/v2/incidents.json")["body"])["incidents"][0]["incident_updates"]
    assert (shown["created_at"], shown["updated_at"]) == ("2026-11-24T10:00:00.000Z", "2026-11-24T10:02:00.000Z")
    (listed,) = ask(status, "GET", f"incidents/{declared['id']}/updates")[1]["updates"]
    assert (listed["id"], listed["body"], listed["correctedAt"]) == (
        declared["update"],
        "We look closely.",
        shown["updated_at"],
    )
    log = json.dumps(ask(status, "GET", "audit")[1])
    assert "text.amend" in log
    assert "closely" not in log


def test_corrected_title_is_on_the_page_and_in_the_notice(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", {**EMAIL, "minimum": "none"})
    declared = made(status, "incidents", INCIDENT)
    made(status, f"incidents/{declared['id']}/updates", {"status": "resolved", "body": "Over."})
    status.cron(1)
    status.host.emails(2)
    made(status, "amendments", {"id": declared["id"], "title": "Slow sign-ins"}, minute=2)
    status.cron(3)
    (mail,) = status.host.emails(1)
    assert "Slow sign-ins" in status.get("/history")["body"]
    assert INCIDENT["title"] not in status.get("/history")["body"]
    assert "Correction" in base64.b64decode(mail.split("Subject: =?utf-8?B?")[1].split("?=")[0]).decode()


@pytest.mark.parametrize(
    "body", [{"id": "x"}, {"id": "x", "body": "a", "title": "b"}, {"body": "a"}, {"id": "x", "body": " "}]
)
def test_amendment_must_name_one_text(status: Status, body: dict[str, str]) -> None:
    assert problems(status, "amendments", body)


# Post-mortems and times in the past.


def test_post_mortem_is_published_after_the_end(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", {**WEBHOOK, "minimum": "none"})
    name = made(status, "incidents", INCIDENT)["id"]
    learnt = {"status": "postmortem", "body": "A disk was full. We now watch it."}
    code, answer = post(status, f"incidents/{name}/updates", learnt)
    assert (code, answer["error"]) == (409, f"incident {name} is open; resolve it before the post-mortem")
    made(status, f"incidents/{name}/updates", {"status": "resolved", "body": "Over."}, minute=5)
    assert "status" in problems(status, f"incidents/{name}/updates", {**learnt, "impact": "none"})
    made(status, f"incidents/{name}/updates", learnt, minute=HOUR)
    status.cron(HOUR + 1)
    assert webhook_texts(status)[-1] == ("incident.postmortem", learnt["body"])
    assert "<b>Post-mortem</b>" in status.get("/history", HOUR + 1)["body"]
    (incident,) = json.loads(status.get("/api/v2/incidents.json", HOUR + 1)["body"])["incidents"]
    assert (incident["status"], incident["resolved_at"]) == ("resolved", "2026-11-24T10:05:00.000Z")
    assert incident["incident_updates"][0]["status"] == "postmortem"
    assert incident["incident_updates"][0]["affected_components"][0]["new_status"] == "operational"
    status.cron(HOUR + 2)
    assert status.rows("SELECT status FROM incidents") == [("resolved",)]


def test_incident_may_start_and_end_before_its_declaration(status: Status) -> None:
    status.cron(0)
    name = made(status, "incidents", {**INCIDENT, "startedAt": at(-30)}, minute=10)["id"]
    listed = ask(status, "GET", "incidents")[1]["incidents"][0]
    assert listed["startedAt"] == "2026-11-24T09:30:00.000Z"
    made(status, f"incidents/{name}/updates", {**UPDATE, "startedAt": at(-40)}, minute=11)
    made(status, f"incidents/{name}/updates", {"status": "resolved", "body": "Over.", "endedAt": at(-20)}, minute=12)
    listed = ask(status, "GET", "incidents")[1]["incidents"][0]
    assert (listed["startedAt"], listed["resolvedAt"]) == ("2026-11-24T09:20:00.000Z", "2026-11-24T09:40:00.000Z")
    assert "(20 min)" in status.get("/history", 13)["body"]


def test_incident_cannot_end_before_its_start(status: Status) -> None:
    name = made(status, "incidents", {**INCIDENT, "startedAt": at(-10)})["id"]
    early = {"status": "resolved", "body": "Over.", "endedAt": at(-20)}
    found = problems(status, f"incidents/{name}/updates", early)
    assert found == {"endedAt": "is before the incident's start, 2026-11-24T09:50:00.000Z; correct startedAt as well"}
    assert status.rows("SELECT resolved_at FROM incidents") == [(None,)]
    made(status, f"incidents/{name}/updates", {**early, "startedAt": at(-30)})


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("incidents", {**INCIDENT, "startedAt": at(2)}, "startedAt"),
        ("incidents", {**INCIDENT, "startedAt": at(-91 * 24 * HOUR)}, "startedAt"),
        ("incidents", {**INCIDENT, "startedAt": "yesterday"}, "startedAt"),
        ("incidents/x/updates", {**UPDATE, "startedAt": at(2)}, "startedAt"),
        ("incidents/x/updates", {**UPDATE, "endedAt": at(-1)}, "endedAt"),
        ("incidents/x/updates", {"status": "resolved", "body": "x", "endedAt": at(2)}, "endedAt"),
        ("incidents/x/updates", {"status": "resolved", "body": "x", "startedAt": at(-1), "endedAt": at(-2)}, "endedAt"),
    ],
)
def test_impossible_incident_times_are_rejected_with_a_reason(
    status: Status, path: str, change: dict[str, Any], field: str
) -> None:
    assert list(problems(status, path, change)) == [field]


# A later end of maintenance.


def test_extended_maintenance_notifies_contacts_of_the_new_end(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", WEBHOOK)
    name = made(status, "maintenances", PLAN)["id"]
    status.cron(72 * HOUR)
    path, more = f"maintenances/{name}/updates", {"body": "It takes longer.", "endsAt": at(75 * HOUR)}
    made(status, path, more, minute=73 * HOUR)
    status.cron(73 * HOUR + 1)
    data = status.world.hooks[-1].event["data"]
    assert (data["type"], data["body"], data["endsAt"]) == (
        "maintenance.updated",
        "It takes longer.",
        "2026-11-27T13:00:00.000Z",
    )
    assert ask(status, "GET", "maintenances")[1]["maintenances"][0]["endsAt"] == "2026-11-27T13:00:00.000Z"
    assert 'planned until <time datetime="2026-11-27T13:00Z">' in status.get("/", 73 * HOUR + 1)["body"]
    status.cron(74 * HOUR + 1)
    assert status.rows("SELECT status FROM maintenances") == [("in_progress",)]
    status.cron(75 * HOUR)
    assert status.rows("SELECT status FROM maintenances") == [("completed",)]
    # Only maintenance that was announced in time excuses minutes.
    assert status.rows(f"SELECT end_minute - {MINUTE} FROM maintenances") == [(74 * HOUR,)]
    (account,) = json.loads(status.get("/sla/2026-11.json", 75 * HOUR)["body"])["maintenances"]
    assert account["endsAt"] == "2026-11-27T12:00:00.000Z"
    lasted = status.get("/history", 75 * HOUR + 1)["body"]
    assert "(3 h)" in lasted
    assert post(status, path, {**more, "endsAt": at(76 * HOUR)}, minute=75 * HOUR + 1)[0] == 409


def test_extension_must_be_later_in_the_future_and_without_overlap(status: Status) -> None:
    name = made(status, "maintenances", PLAN)["id"]
    other = made(status, "maintenances", {**PLAN, "startsAt": at(75 * HOUR), "endsAt": at(76 * HOUR)})["id"]
    path = f"maintenances/{name}/updates"
    for end, problem in (
        (at(74 * HOUR), "later than the planned end"),
        (at(1), "later than the planned end"),
        (at(-1), "in the future"),
        (at(72 * HOUR + 7 * 24 * HOUR + 1), "at most 7 days"),
    ):
        assert problem in problems(status, path, {"body": "x", "endsAt": end})["endsAt"]
    assert "endsAt" in problems(status, path, {"body": "x", "status": "in_progress", "endsAt": at(75 * HOUR)})
    code, answer = post(status, path, {"body": "x", "endsAt": at(75 * HOUR + 30)})
    assert (code, answer["conflicts"]) == (409, [{"id": other, "title": "Upgrade"}])
    made(status, path, {"body": "x", "endsAt": at(75 * HOUR)})
    between = {**PLAN, "components": ["edge"], "startsAt": at(74 * HOUR + 30), "endsAt": at(75 * HOUR)}
    assert post(status, "maintenances", between)[1]["conflicts"] == [{"id": name, "title": "Upgrade"}]
    assert post(status, "maintenances/nothing/updates", {"body": "x"})[0] == 404
