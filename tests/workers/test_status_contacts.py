"""Tests of contacts: the list of deliveries, alarms about failed deliveries, and rotation of webhook secrets."""

from __future__ import annotations

import base64
import email
import email.policy
import email.utils
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.status import START, Status, at
from harness.status_world import World, start_status
from harness.webhooks import WEBHOOK_KEY
from harness.workerd import Host

from .operators import EMAIL, HOUR, INCIDENT, UPDATE, WEBHOOK, ask, key, made, post, problems

EVERYTHING = {"minimum": "none"}


def mails(status: Status, count: int) -> list[Any]:
    return [email.message_from_string(raw, policy=email.policy.default) for raw in status.host.emails(count)]


# The list of deliveries.


def test_deliveries_list_contact_event_and_time(status: Status) -> None:
    status.cron(0)
    ann, bot = (made(status, "contacts", {**one, **EVERYTHING})["id"] for one in (EMAIL, WEBHOOK))
    first = made(status, "incidents", INCIDENT, minute=1)
    made(status, "incidents", {**INCIDENT, "components": ["edge"]}, minute=1)
    status.cron(2)
    delivered = ask(status, "GET", f"deliveries?state=delivered&of={first['id']}")[1]["deliveries"]
    assert {one["contact"] for one in delivered} == {ann, bot}
    for one in delivered:
        assert (one["update"], one["type"], one["attempts"]) == (first["update"], "incident.opened", 1)
        assert (one["saidAt"], one["settledAt"]) == ("2026-11-24T10:01:00.000Z", "2026-11-24T10:02:00.000Z")
    assert len(ask(status, "GET", f"deliveries?state=delivered&of={bot}")[1]["deliveries"]) == 2
    assert len(ask(status, "GET", "deliveries?state=delivered")[1]["deliveries"]) == 4
    code, answer = ask(status, "GET", "deliveries?state=delivered&of=a/b")
    assert (code, answer["problems"][0]["field"]) == (422, "of")


def test_contact_can_be_sent_a_test_message(status: Status) -> None:
    ann, bot = (made(status, "contacts", one)["id"] for one in (EMAIL, WEBHOOK))
    assert post(status, f"contacts/{ann}/test", {})[0] == post(status, f"contacts/{bot}/test", {})[0] == 200
    (mail,) = mails(status, 1)
    assert mail["subject"] == "Test: Test message"
    assert "Nothing has happened." in mail.get_content()
    assert "Status:" not in mail.get_content()
    (hook,) = status.world.hooks
    assert (hook.event["type"], hook.event["data"]["url"]) == ("contact.test", "https://status.example/")
    assert hook.signed_for(bot)
    status.world.answer = lambda _hook: 500
    assert post(status, f"contacts/{bot}/test", {}) == (
        409,
        {"error": "the receiver did not accept the test message: HTTP 500"},
    )
    assert post(status, "contacts/nobody/test", {})[0] == 404
    assert status.rows("SELECT COUNT(*) FROM audit WHERE action = 'contact.test'") == [(3,)]
    assert status.rows("SELECT 1 FROM updates") == status.rows("SELECT 1 FROM deliveries") == []


# Alarms about failed deliveries.


def test_operators_are_alerted_to_dead_and_overdue_deliveries_until_resolved(host: Host) -> None:
    world = World()
    with world.serving() as address:
        alarms = {"ALARM_EMAILS": ["ada@operator.example"], "ALARM_WEBHOOKS": '["http://alarm.example/"]'}
        start_status(host, address, **alarms)
        status = Status(host, world)
        world.answer = lambda hook: {"gone.example": 410, "slow.example": 500}.get(hook.host, 204)
        status.cron(0)
        status.contact("gone", "https://gone.example/")
        status.contact("slow", "https://slow.example/")
        update = made(status, "incidents", {**INCIDENT, "impact": "critical"}, minute=1)["update"]
        for minute in (*range(2, 8), 10):
            status.cron(minute)

        def heard() -> list[dict[str, Any]]:
            taken, world.hooks = world.hooks, []
            return [hook.event for hook in taken if hook.host == "alarm.example"]

        (dead,) = heard()  # found at 10:05 and at 10:10
        assert (dead["type"], dead["id"], dead["endedAt"]) == ("status.alarm", "notifications:dead", None)
        assert dead["text"].startswith(
            "1 notification to contacts failed permanently within 7 days, such as incident.opened to gone."
        )
        (mail,) = mails(status, 1)
        assert mail["subject"] == "Ledger & <Sons>: 1 notification alarm"
        assert "deliveries retry" in mail.get_content()
        for minute in (30, 35, 40):
            status.cron(minute)
        (overdue,) = heard()
        assert (overdue["id"], overdue["endedAt"]) == ("notifications:overdue", None)
        assert "were not delivered within 30 minutes, such as incident.opened to slow." in overdue["text"]
        world.answer = lambda _hook: 204
        assert post(status, "deliveries/retry", {"update": update, "contact": "gone"}, minute=41)[0] == 200
        for minute in (50, 160):
            status.cron(minute)
        assert {one["id"] for one in heard() if one["endedAt"]} == {"notifications:dead", "notifications:overdue"}


def test_no_alarm_while_deliveries_arrive(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", {**WEBHOOK, **EVERYTHING})
    made(status, "incidents", INCIDENT)
    for minute in (5, 10, 60):
        status.cron(minute)
    assert [one for one in status.rows("SELECT id FROM alarms") if not one[0].startswith("channel")] == []


# Secrets.


def test_old_and_rotated_secret_both_sign_until_the_overlap_ends(status: Status) -> None:
    status.cron(0)
    contact = made(status, "contacts", {**WEBHOOK, **EVERYTHING})
    old, name = contact["secret"], key()
    code, rotated = post(status, f"contacts/{contact['id']}/secret", {"overlapHours": 2}, key=name)
    assert (code, rotated["overlapUntil"]) == (200, at(2 * HOUR).replace("Z", ".000Z").replace(".000.000", ".000"))
    assert post(status, f"contacts/{contact['id']}/secret", {"overlapHours": 2}, key=name)[1] == rotated
    new = rotated["secret"]
    assert new != old
    incident = made(status, "incidents", INCIDENT)["id"]
    status.cron(1)
    hook = status.world.hooks[-1]
    assert (hook.signed_with(new), hook.signed_with(old)) == ([True, False], [False, True])
    made(status, f"incidents/{incident}/updates", UPDATE, minute=2 * HOUR)
    status.cron(2 * HOUR + 1)
    hook = status.world.hooks[-1]
    assert (hook.signed_with(new), hook.signed_with(old)) == ([True], [False])
    log = json.dumps(ask(status, "GET", "audit")[1]) + json.dumps(ask(status, "GET", "contacts")[1])
    assert "contact.rotate" in log
    assert "whsec_" not in log


def test_second_rotation_during_the_overlap_must_be_immediate(status: Status) -> None:
    bot, ann = (made(status, "contacts", one)["id"] for one in (WEBHOOK, EMAIL))
    path = f"contacts/{bot}/secret"
    assert post(status, path, {})[0] == 200
    code, answer = post(status, path, {})
    assert (code, "is already being rotated" in answer["error"]) == (409, True)
    stolen = post(status, path, {"overlapHours": 0})[1]["secret"]
    made(status, "incidents", {**INCIDENT, "impact": "critical"})
    status.cron(1)
    assert status.world.hooks[-1].signed_with(stolen) == [True]
    assert post(status, f"contacts/{ann}/secret", {})[0] == 409
    assert post(status, "contacts/nobody/secret", {})[0] == 404
    for hours in (-1, 1.5, "2", 505):
        assert list(problems(status, path, {"overlapHours": hours})) == ["overlapHours"]


def test_webhooks_are_signed_with_both_keys_while_both_are_bound(host: Host) -> None:
    world = World()
    with world.serving() as address:
        start_status(host, address, WEBHOOK_KEY="another key", WEBHOOK_KEY_BEFORE=WEBHOOK_KEY)
        status = Status(host, world)
        status.cron(0)
        status.contact("bot", "https://hook.example/")
        made(status, "incidents", INCIDENT)
        status.cron(1)
        (hook,) = world.hooks
        for index, webhook_key in enumerate(("another key", WEBHOOK_KEY)):
            secret = base64.b64encode(hmac.digest(webhook_key.encode(), b"webhook:bot", "sha256")).decode()
            assert hook.signed_with(f"whsec_{secret}") == [index == 0, index == 1]


# Retry-After, User-Agent and threads.


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        ("600", 10), ("1", 1), ("999999999", 24 * HOUR), ("-5", 1), ("soon", 1), (None, 1),
        (email.utils.format_datetime((START + timedelta(minutes=21)).astimezone(UTC), usegmt=True), 20),
        (email.utils.format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 1),
    ],
)  # fmt: skip
def test_retry_after_is_heeded_within_bounds(status: Status, given: str | None, minutes: int) -> None:
    status.cron(0)
    made(status, "contacts", {**WEBHOOK, **EVERYTHING})
    status.world.answer, status.world.retry_after = lambda _hook: 503, given
    made(status, "incidents", INCIDENT)
    status.cron(1)
    ((due,),) = status.rows("SELECT due_at FROM deliveries")
    assert due / 60_000 - int(START.timestamp()) // 60 - 1 == minutes


def test_webhook_has_a_user_agent(status: Status) -> None:
    bot = made(status, "contacts", WEBHOOK)["id"]
    post(status, f"contacts/{bot}/test", {})
    assert status.world.hooks[-1].headers["user-agent"] == "backbuild-status/1.0 (+https://status.example)"


def test_mails_of_one_incident_form_a_thread(status: Status) -> None:
    status.cron(0)
    made(status, "contacts", {**EMAIL, **EVERYTHING})
    name = made(status, "incidents", INCIDENT)["id"]
    status.cron(1)
    for minute in (2, 4):
        made(status, f"incidents/{name}/updates", UPDATE, minute=minute)
        status.cron(minute + 1)
    made(status, "incidents", {**INCIDENT, "components": ["edge"]}, minute=6)
    status.cron(7)
    first, second, third, other = mails(status, 4)
    assert first["in-reply-to"] is None
    assert (second["in-reply-to"], second["references"]) == (first["message-id"], first["message-id"])
    assert third["in-reply-to"] == second["message-id"]
    assert third["references"].split() == [first["message-id"], second["message-id"]]
    assert other["references"] is None
