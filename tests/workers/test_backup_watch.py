"""Tests of notifications of the watch Worker: each channel is notified once, regardless of other failures."""

import json
from typing import Any

import pytest

from harness.workerd import Host
from tests.lanes import first

from .watch_fixtures import ADA, BEA, DAY, HOOK, KEY, OTHER_HOOK, Watch, at, lose_replica


def test_reminder_is_sent_every_six_hours(watch: Watch) -> None:
    watch.finding("lost", KEY)
    notified: list[float] = []
    for minute in (5, 10, 365, 370, 375, 725, 730, 735):
        assert watch.look(minute) == ([] if minute == 5 else ["findings:lost"])
        notified += [minute] * len(watch.events())
        subjects = [message["subject"] for message in watch.mail(1 if notified[-1:] == [minute] else 0)]
        assert len(subjects) == (notified[-1:] == [minute])
    assert notified == [10, 370, 730]


def test_each_mail_lists_all_due_notifications(watch: Watch) -> None:
    watch.finding("lost", "hourly/a")
    watch.finding("damaged", "hourly/b")
    watch.look(5)
    watch.look(10)
    watch.mail(1)
    watch.finding("refused", "hourly/c")
    watch.look(365)
    watch.close_finding("hourly/b")
    watch.mail()
    watch.look(370)
    (message,) = watch.mail(1)
    assert message["subject"] == "ledger-prod: 2 backup alarms, 1 resolved"
    assert message["from"].addresses[0].addr_spec == "backups@notify.example"
    assert message["from"].addresses[0].display_name == "ledger-prod backups"
    assert message["to"] == ADA
    assert message["message-id"].endswith("@notify.example>")
    text = message.get_content()
    parts = [
        "New:",
        "findings:refused",
        "Continuing:",
        "findings:lost",
        "Resolved:",
        "findings:damaged",
        "until 2026-11-24 16:10",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "https://backups.example/report.json" in text


def test_condition_found_once_raises_no_alarm(watch: Watch) -> None:
    watch.finding("lost", KEY)
    watch.look(5)
    assert watch.look(5) == []  # the same run again does not count as a second run
    watch.close_finding(KEY)
    assert watch.look(10) == []
    watch.finding("lost", KEY)
    assert watch.look(15) == []
    assert (watch.events(), watch.mail()) == ([], [])
    assert watch.look(20) == ["findings:lost"]


def test_each_channel_is_notified_once(watch: Watch) -> None:
    watch.start(ALARM_EMAILS=[ADA, BEA], ALARM_WEBHOOKS=json.dumps([HOOK, OTHER_HOOK]))
    watch.finding("lost", KEY)
    for minute in (5, 10, 15):
        watch.look(minute)
    assert sorted(host for host, _ in watch.outside.take()) == ["hook.example", "other.example"]
    assert sorted(message["to"] for message in watch.mail(2)) == [ADA, BEA]
    watch.close_finding(KEY)
    for minute in (20, 25):
        watch.look(minute)
    assert sorted(host for host, _ in watch.outside.take()) == ["hook.example", "other.example"]
    assert sorted(message["to"] for message in watch.mail(2)) == [ADA, BEA]


def test_retries_have_the_same_id_and_reminders_a_new_one(watch: Watch) -> None:
    """A receiver discards a message whose id it knows: a retry, but not a reminder."""
    watch.finding("lost", KEY)
    watch.outside.answer = lambda _host: 500
    for minute in (5, 10, 15):
        watch.look(minute)
    watch.outside.answer = lambda _host: 204
    watch.look(20)
    first = [hook.id for hook in watch.outside.hooks]
    assert (len(first), len(set(first))) == (3, 1)
    watch.outside.take()
    watch.look(20 + 6 * 60)
    (again,) = [hook.id for hook in watch.outside.hooks if hook.event["id"] == "findings:lost"]
    assert again not in first


@pytest.mark.parametrize("answer", first(1, [500, 404, 302, None]))
def test_failed_webhook_does_not_block_other_channels_and_is_retried(watch: Watch, answer: int | None) -> None:
    watch.start(ALARM_WEBHOOKS=json.dumps([HOOK, OTHER_HOOK]))
    watch.outside.answer = lambda host: answer if host == "hook.example" else 204
    watch.finding("lost", KEY)
    watch.finding("damaged", KEY)
    watch.look(5)
    watch.look(10)
    received = [(host, event["id"]) for host, event in watch.outside.take()]
    # After the first failure of a receiver, the rest of its notifications is not sent.
    assert set(received) == {
        ("hook.example", "findings:damaged"),
        ("other.example", "findings:damaged"),
        ("other.example", "findings:lost"),
    }
    assert len(watch.mail(1)) == 1
    assert watch.newest_run()[1]["failed"] == 1
    watch.outside.answer = lambda _host: 200
    watch.look(15)
    assert [(host, event["id"]) for host, event in watch.outside.take()] == [
        ("hook.example", "findings:damaged"),
        ("hook.example", "findings:lost"),
    ]
    watch.look(20)
    assert (watch.events(), watch.mail()) == ([], [])


def test_failed_mail_does_not_block_webhooks_and_is_retried(watch: Watch) -> None:
    watch.finding("lost", KEY)
    watch.look(5)
    watch.look(10, broken=["EMAIL"])
    assert watch.events() == [("findings:lost", "lasts")]
    assert watch.mail() == []
    watch.look(15)
    assert watch.events() == []
    assert len(watch.mail(1)) == 1


def test_end_is_sent_even_if_the_beginning_could_not_be_delivered(watch: Watch) -> None:
    watch.outside.answer = lambda _host: 500
    watch.finding("lost", KEY)
    watch.look(5)
    watch.look(10)
    watch.close_finding(KEY)
    watch.look(15)
    watch.outside.answer = lambda _host: 204
    watch.outside.take()
    watch.look(20)
    ((_, event),) = watch.outside.take()
    assert (event["since"], event["endedAt"]) == (at(5), at(15))
    watch.look(25)
    assert watch.events() == []


def test_end_is_not_retried_after_three_days(watch: Watch) -> None:
    watch.finding("lost", KEY)
    watch.look(5)
    watch.look(10)
    watch.close_finding(KEY)
    watch.outside.answer = lambda _host: 500
    watch.look(15)
    watch.outside.answer = lambda _host: 204
    watch.outside.take()
    watch.look(16 + 3 * DAY)
    assert watch.events() == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.long
def test_next_run_notifies_after_a_crash_at_any_step(host: Host, watch: Watch, after: bool) -> None:
    for step in range(18, 40):  # the steps before are only reads
        watch.empty()
        watch.look(0)
        watch.finding("lost", KEY)
        watch.look(5)
        watch.fresh(10)
        outcome = host.scheduled(at(10), clock=at(10), fall={"at": step, "after": after})
        watch.look(15)
        received = watch.events()
        assert ("findings:lost", "lasts") in received
        assert len(received) <= 2
        assert 1 <= len(watch.mail(1)) <= 2
        watch.look(20)
        assert watch.events() == []
        watch.mail()
        if outcome == "ok":
            return
    pytest.fail("a run takes more steps than this test tries; raise the limit of the range")


@pytest.mark.long
def test_notifies_once_an_hour_while_the_database_fails(watch: Watch) -> None:
    for minute in (55, 65):
        watch.look(minute, "exception", broken=["DB"])
        assert (watch.events(), watch.mail()) == ([], [])
    watch.look(60, "exception", broken=["DB"])  # no backup has arrived since minute 0
    assert watch.events() == [(name, "lasts") for name in ("memory", "backup:coordinator", "wal:coordinator")]
    (message,) = watch.mail(1)
    assert "database (D1, the catalogue) does not answer" in message.get_content()
    assert watch.look(66) == []


def test_hung_sources_count_as_failed(watch: Watch) -> None:
    watch.look(60, "exception", silent=["DB", "COPY_REPLICA"])
    assert 0 < watch.host.passed() < 40  # one timeout for each source, not one for each question
    assert [event[0] for event in watch.events()] == ["memory", "store:replica"]
    assert len(watch.mail(1)) == 1


def test_partial_database_failure_makes_only_its_checks_unknown(watch: Watch) -> None:
    watch.finding("lost", KEY)
    watch.look(5)
    watch.look(10)
    watch.host.sql("ALTER TABLE findings RENAME TO elsewhere")
    watch.stuck.add("wal")
    watch.look(20)
    assert watch.look(25) == ["findings:lost", "memory", "wal:coordinator"]
    watch.host.sql("ALTER TABLE elsewhere RENAME TO findings")
    watch.close_finding(KEY)
    assert watch.look(30) == ["wal:coordinator"]


STORES: dict[str, dict[str, Any]] = {
    "primary": {"broken": ["COPY_PRIMARY"]},
    "replica": {"broken": ["COPY_REPLICA"]},
    "offsite": {},
}


@pytest.mark.parametrize("store", first(1, STORES))
def test_failed_store_is_an_alarm_and_hides_no_other(watch: Watch, store: str) -> None:
    instruction = STORES[store]
    watch.stuck.add("verify")
    watch.finding("lost", KEY)
    watch.outside.offsite_status = 503 if store == "offsite" else 200
    watch.look(20, **instruction)
    others = ["findings:lost", "worker:verify"]
    assert watch.look(25, **instruction) == sorted([f"store:{store}", *others])
    texts = {event["id"]: event["text"] for _, event in watch.outside.take()}
    assert store in texts[f"store:{store}"]
    watch.outside.offsite_status = 200
    assert watch.look(30) == others
    assert watch.events() == [(f"store:{store}", "over")]


def test_unknown_conditions_neither_begin_nor_end(watch: Watch) -> None:
    watch.stuck.update({"full", "wal"})
    lose_replica(watch)
    late = 26 * 60 - 480 + 1
    watch.look(late)
    found = ["behind:replica", "full:coordinator", "wal:coordinator"]
    assert watch.look(late + 5) == found
    watch.events()
    watch.stuck.clear()
    assert watch.look(late + 10, broken=["COPY_PRIMARY", "COPY_REPLICA"]) == found
    assert watch.events() == []
    assert watch.newest_run()[1]["unknown"] == [
        "full:coordinator",
        "backup:coordinator",
        "wal:coordinator",
        "manifest:coordinator",
        "behind:replica",
        "behind:offsite",
    ]
    assert watch.look(late + 15) == []


def test_single_failure_of_a_store_is_retried(watch: Watch) -> None:
    """With this seed the first call to each bucket fails, and the eighty calls after it succeed."""
    watch.look(5, flaky={"share": 0.01, "seed": 1972})
    assert watch.newest_run() == ("ok", {**watch.newest_run()[1], "unknown": []})
    assert watch.host.sql("SELECT id FROM alarms") == []


@pytest.mark.parametrize("minutes", [-11, 11])
def test_wrong_clock_fails_the_run(watch: Watch, minutes: float) -> None:
    watch.finding("lost", KEY)
    watch.look(5)
    watch.look(10, clock=at(10 + minutes))
    assert watch.newest_run() == ("failed", {"error": "ClockError"})
    assert watch.alarms() == []
    assert watch.look(15, clock=at(15 + minutes / 1.2)) == ["findings:lost"]


def test_runs_and_alarms_are_kept_for_thirty_days(watch: Watch) -> None:
    for worker in ("replicate", "verify", "age-out", "watch"):
        watch.run(worker, at(4 - 30 * DAY))
        watch.run(worker, at(6 - 30 * DAY))
    for name, ended in (("old", 4), ("young", 6), ("lasting", None)):
        end = "NULL" if ended is None else f"'{at(ended - 30 * DAY)}'"
        watch.host.sql(f"INSERT INTO alarms VALUES ('findings:{name}', '{at(-40 * DAY)}', 'text', '{at(0)}', {end})")
        watch.host.sql(f"INSERT INTO told VALUES ('findings:{name}', '{at(-40 * DAY)}', 'x', NULL, NULL)")
    watch.look(5)
    assert watch.host.sql(f"SELECT COUNT(*) AS old FROM runs WHERE at < '{at(-20 * DAY)}'") == [{"old": 4}]
    for table in ("alarms", "told"):
        ids = watch.host.sql(f"SELECT DISTINCT id FROM {table} ORDER BY id")
        assert [row["id"] for row in ids] == ["findings:lasting", "findings:young"]


@pytest.mark.parametrize("bound", first(1, ["no JSON", '{"a": 1}', "[1]", "null"]))
def test_malformed_webhook_list_is_an_alarm_by_mail(watch: Watch, bound: str) -> None:
    watch.start(ALARM_WEBHOOKS=bound)
    watch.look(5)
    assert watch.look(10) == ["channel:ALARM_WEBHOOKS"]
    (message,) = watch.mail(1)
    assert "ALARM_WEBHOOKS of the watch Worker" in message.get_content()


def test_webhook_address_is_not_stored(watch: Watch) -> None:
    watch.finding("lost", KEY)
    watch.look(5)
    watch.look(10)
    watch.outside.answer = lambda _host: 500
    watch.look(371)
    assert "secret-path" not in json.dumps(
        [watch.host.sql(f"SELECT * FROM {table}") for table in ("told", "runs", "alarms")]
    )


def test_run_fails_without_groups(watch: Watch) -> None:
    watch.start(GROUPS=None)
    watch.look(5)
    assert watch.newest_run() == ("failed", {"error": "TypeError"})
