"""Tests of the conditions of the watch Worker: each one begins, raises an alarm, and ends; others raise none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lanes import first

from .watch_fixtures import DAY, FULL, INCREMENT, KEY, SETTLED, WAL, Watch, at, lose_replica


@dataclass(frozen=True)
class Case:
    """How a condition begins and ends; `first` is the minute of the first run that must find it."""

    id: str
    begin: Callable[[Watch], object]
    end: Callable[[Watch], object]
    first: float = 20
    words: tuple[str, ...] = ()


def stuck(*names: str) -> Callable[[Watch], object]:
    return lambda watch: watch.stuck.update(names)


def free(watch: Watch) -> None:
    watch.stuck.clear()


def delete_wal(watch: Watch) -> None:
    watch.stuck.update({"wal", "settled"})
    for key in (WAL, SETTLED):
        watch.host.delete("COPY_PRIMARY", key.format(group="coordinator"))


def lose_offsite(watch: Watch) -> None:
    watch.stuck.add("copies")
    watch.outside.offsite.clear()


def forget(*keys: str) -> Callable[[Watch], object]:
    return lambda watch: [watch.host.sql(f"DELETE FROM objects WHERE key = '{key}'") for key in keys]


def fail_three_times(worker: str) -> Callable[[Watch], object]:
    def begin(watch: Watch) -> None:
        watch.stuck.add(worker)
        watch.host.sql("DELETE FROM runs WHERE worker <> 'watch'")
        for minute in (17, 18, 19):
            watch.run(worker, at(minute), "failed")

    return begin


CASES = {
    # The newest was 480 minutes old at minute 0.
    "full": Case("full:coordinator", stuck("full"), free, 26 * 60 - 480 + 1, ("backbuild-backup", "26 hours")),
    "backup": Case("backup:coordinator", stuck("backup"), free, 46, ("75 minutes", at(-30)[:10])),
    "wal": Case("wal:coordinator", stuck("wal"), free, 10, ("10 minutes", "pg_stat_archiver")),
    "no wal at all": Case("wal:coordinator", delete_wal, free, 5, ("there is none",)),
    "manifest": Case("manifest:coordinator", stuck("manifest"), free, 66, ("95 minutes", "verify")),
    "replica": Case("behind:replica", lose_replica, free, words=("replica", "A1-abab")),
    "offsite": Case("behind:offsite", lose_offsite, free, words=("offsite", "A1-abab")),
    "object": Case("behind:replica", lambda watch: watch.object(KEY, 4, (4, None, 4)), forget(KEY), words=(KEY,)),
    "never verified": Case(
        "verification",
        lambda watch: watch.object(KEY, -41, (4, 4, None), source="x"),
        forget(KEY),
        words=(KEY, "1 have been listed"),
    ),
    "verified long ago": Case(
        "verification",
        lambda watch: watch.object(KEY, -20 * DAY, (-7 * DAY + 19, 0, 0)),
        forget(KEY),
        words=(KEY, "1 objects were"),
    ),
    "replicate": Case("worker:replicate", stuck("replicate"), free, 12, ("backups/replicate", "15 minutes")),
    "verify": Case("worker:verify", stuck("verify"), free, 9, ("backups/verify",)),
    "age-out": Case("worker:age-out", stuck("age-out"), free, 76, ("2 hours",)),
    "failing": Case("worker:verify", fail_three_times("verify"), free, 20, ("three times",)),
    "findings": Case(
        "findings:damaged",
        lambda watch: [watch.finding("damaged", f"hourly/{number}") for number in range(5)],
        lambda watch: [watch.close_finding(f"hourly/{number}") for number in range(5)],
        words=("5 damaged", "replica hourly/0, replica hourly/1, replica hourly/2.", "lock"),
    ),
    "a dead letter": Case(
        "findings:undelivered",
        lambda watch: watch.finding("undelivered", "hourly/x", "primary"),
        lambda watch: watch.close_finding("hourly/x"),
    ),
}


@pytest.mark.parametrize("case", first(3, CASES.values()), ids=CASES)
def test_alarm_begins_with_the_second_run_and_ends_with_its_condition(watch: Watch, case: Case) -> None:
    case.begin(watch)
    first = case.first
    if first > 20:
        assert watch.look(first - 1) == []
    watch.look(first)
    assert (watch.events(), watch.mail()) == ([], [])
    assert watch.look(first + 5) == [case.id]
    ((host, event),) = watch.outside.take()
    text = event.pop("text")
    assert event == {
        "type": "backups.alarm",
        "id": case.id,
        "since": at(first),
        "endedAt": None,
        "platform": "ledger-prod",
        "report": "https://backups.example/report.json",
    }
    assert host == "hook.example"
    assert all(word in text for word in case.words), text
    (message,) = watch.mail(1)
    assert message["subject"] == "ledger-prod: 1 backup alarm"
    assert text in message.get_content().replace("\r\n", "\n")
    # It is sent once; the reminder comes after six hours.
    watch.look(first + 10)
    assert (watch.events(), watch.mail()) == ([], [])
    case.end(watch)
    assert watch.look(first + 15) == []
    assert watch.events() == [(case.id, "over")]
    (message,) = watch.mail(1)
    assert message["subject"] == "ledger-prod: 1 resolved"
    assert watch.look(first + 20) == []
    assert (watch.events(), watch.mail()) == ([], [])


def test_group_without_any_backup_raises_alarms(watch: Watch) -> None:
    watch.start(GROUPS=["coordinator", "worker-1"])
    watch.look(5)
    assert watch.look(10) == ["backup:worker-1", "full:worker-1", "wal:worker-1"]


def test_alarms_of_a_removed_group_end(watch: Watch) -> None:
    watch.host.sql(
        f"INSERT INTO alarms (id, since, text, raised_at) VALUES ('wal:worker-9', '{at(-9)}', 'text', '{at(-4)}')"
    )
    assert watch.look(5) == []


class TestAges:
    """Which objects count as the newest backup or WAL."""

    @staticmethod
    def ages(watch: Watch, minute: float = 5) -> dict[str, Any]:
        watch.look(minute)
        return watch.newest_run()[1]["ages"]["coordinator"]

    @staticmethod
    def put(watch: Watch, key: str, minute: float) -> None:
        watch.host.put("COPY_PRIMARY", key, customMetadata={"at": at(minute)})

    @pytest.fixture(autouse=True)
    def _stuck(self, watch: Watch) -> None:
        """Keep the ages at minute 5: full 485, backup 35, wal 6."""
        watch.stuck.update({"full", "backup", "wal", "settled"})

    def test_backup_without_backup_manifest_does_not_count(self, watch: Watch) -> None:
        self.put(watch, f"hourly/backup/coordinator/{FULL}_20261124-100005I/pg_data/base.bundle", 0)
        self.put(watch, "hourly/backup/coordinator/20261124-100005F/bundle/1", 0)
        assert self.ages(watch) == {"full": 485, "backup": 35, "wal": 6}

    def test_full_backup_counts_for_both_ages(self, watch: Watch) -> None:
        self.put(watch, "hourly/backup/coordinator/20261124-095505F/backup.manifest", 0)
        assert self.ages(watch) == {"full": 5, "backup": 5, "wal": 6}

    def test_increment_does_not_count_as_full_backup(self, watch: Watch) -> None:
        self.put(watch, f"hourly/backup/coordinator/{FULL}_20261124-095505D/backup.manifest", 0)
        assert self.ages(watch) == {"full": 485, "backup": 5, "wal": 6}

    def test_only_segments_count_as_wal(self, watch: Watch) -> None:
        for key in ("00000002.history", "0000000100000000/0000000100000000000000A3.partial", "17-1", "archive.info"):
            self.put(watch, f"hourly/archive/coordinator/17-1/{key}", 0)
        assert self.ages(watch)["wal"] == 6

    def test_newest_history_determines_the_age_of_wal(self, watch: Watch) -> None:
        segment = WAL.format(group="coordinator").replace("17-1", "18-10")
        self.put(watch, segment, 0)
        self.put(watch, segment.replace("18-10", "17-9"), 2)
        assert self.ages(watch)["wal"] == 5

    def test_wal_of_other_groups_does_not_count(self, watch: Watch) -> None:
        self.put(watch, WAL.format(group="worker-1"), 5)
        assert self.ages(watch)["wal"] == 6

    def test_settled_wal_is_found_in_the_previous_folder(self, watch: Watch) -> None:
        watch.stuck.clear()
        lose_replica(watch)
        watch.stuck.update({"wal", "copies"})
        watch.host.delete("COPY_PRIMARY", WAL.format(group="coordinator"))
        folder = "hourly/archive/coordinator/17-1/0000000100000001/"
        self.put(watch, folder + "000000010000000100000000-" + "ab" * 20 + ".zst", 4)
        self.put(watch, f"{folder}0000000100000001000000FF.backup", -400)
        watch.look(5)
        assert watch.look(10) == ["behind:replica"]


class TestManifests:
    @staticmethod
    def look(watch: Watch, minute: float) -> list[str]:
        watch.look(minute)
        return watch.look(minute + 5)

    def test_before_the_first_manifest_the_oldest_backup_counts(self, watch: Watch) -> None:
        watch.stuck.add("manifest")
        watch.host.sql("DELETE FROM manifests")
        assert self.look(watch, 5) == ["manifest:coordinator"]  # FULL is from the day before
        for label in (FULL, INCREMENT):
            watch.host.delete("COPY_PRIMARY", f"hourly/backup/coordinator/{label}/backup.manifest")
        watch.stuck.update({"full", "backup"})
        watch.host.put(
            "COPY_PRIMARY", "hourly/backup/coordinator/20261124-100000F/backup.manifest", customMetadata={"at": at(5)}
        )
        assert self.look(watch, 15) == []

    def test_no_manifest_alarm_without_recent_backups(self, watch: Watch) -> None:
        watch.stuck.update({"manifest", "backup"})
        assert self.look(watch, 90) == ["backup:coordinator"]

    @pytest.mark.parametrize("finished", ["2027-01-01T00:00:00.000Z", "never", ""])
    def test_manifest_with_a_future_or_invalid_time_does_not_count(self, watch: Watch, finished: str) -> None:
        watch.stuck.add("manifest")
        watch.host.sql("DELETE FROM manifests")
        watch.manifest("coordinator", finished)
        assert self.look(watch, 5) == ["manifest:coordinator"]

    def test_manifests_are_checked_per_group(self, watch: Watch) -> None:
        watch.start(GROUPS=["coordinator", "worker-1"])
        watch.fresh(10, ["worker-1"])
        watch.host.sql("DELETE FROM manifests WHERE grp = 'worker-1'")
        assert self.look(watch, 5) == ["manifest:worker-1"]


class TestNoAlarm:
    """States that look wrong but raise no alarm."""

    @staticmethod
    def quiet(watch: Watch) -> bool:
        watch.look(20)
        return watch.look(24) == []

    def test_object_that_was_just_listed(self, watch: Watch) -> None:
        watch.object(KEY, 10)
        assert self.quiet(watch)

    def test_object_that_is_copied_but_not_verified_yet(self, watch: Watch) -> None:
        watch.object(KEY, -30, (4, None, None))
        watch.host.put("COPY_REPLICA", KEY)
        watch.outside.offsite.add(KEY)
        assert self.quiet(watch)

    def test_objects_that_are_planned_for_deletion(self, watch: Watch) -> None:
        watch.object(KEY, -90, due_at=at(100))
        watch.object(f"{KEY}-old", -9 * DAY, (-8 * DAY,) * 3, due_at=at(100))
        assert self.quiet(watch)

    def test_promoted_objects_that_are_not_copied_yet(self, watch: Watch) -> None:
        watch.object("daily/coordinator/x", -30, source=KEY)
        assert self.quiet(watch)

    def test_findings_that_need_no_action(self, watch: Watch) -> None:
        for kind in ("extra", "unlisted", "missed"):
            watch.finding(kind, KEY)
        assert self.quiet(watch)

    def test_object_with_a_finding_raises_only_the_alarm_of_the_finding(self, watch: Watch) -> None:
        watch.object(KEY, -90, (4, None, 4))
        watch.finding("missing", KEY)
        watch.look(20)
        assert watch.look(24) == ["findings:missing"]

    def test_object_verified_within_a_week(self, watch: Watch) -> None:
        watch.object(KEY, -20 * DAY, (-7 * DAY + 24, 0, 0))
        assert self.quiet(watch)

    def test_two_failures_or_three_with_a_success_between(self, watch: Watch) -> None:
        watch.stuck.add("verify")
        for minute, outcome in ((13, "failed"), (14, "failed"), (15, "alarm"), (16, "failed"), (17, "failed")):
            watch.run("verify", at(minute), outcome)
        assert self.quiet(watch)

    def test_worker_that_had_no_time_to_run(self, watch: Watch) -> None:
        watch.stuck.add("age-out")
        watch.host.sql("DELETE FROM runs WHERE worker = 'age-out'")
        assert self.quiet(watch)


def test_finding_does_not_hide_overdue_verification_of_other_copies(watch: Watch) -> None:
    watch.object(KEY, -20 * DAY, (-7 * DAY, None, 0))
    watch.finding("missing", KEY)
    watch.look(20)
    assert watch.look(25) == ["findings:missing", "verification"]


def test_finding_without_alarm_hides_nothing(watch: Watch) -> None:
    watch.object(KEY, -90, (4, None, 4))
    watch.finding("missed", KEY)
    watch.look(20)
    assert watch.look(25) == ["behind:replica", "verification"]


def test_newest_unverified_object_is_looked_up_too(watch: Watch) -> None:
    for number in range(5):
        watch.object(f"hourly/{number}", -30 + number, (4, None, 4))
        if number < 4:
            watch.host.put("COPY_REPLICA", f"hourly/{number}")
    watch.look(20)
    assert watch.look(25) == ["behind:replica"]


def test_worker_that_never_ran_raises_an_alarm_after_its_limit(watch: Watch) -> None:
    watch.stuck.add("age-out")
    watch.host.sql("DELETE FROM runs WHERE worker = 'age-out'")
    watch.look(120)
    assert watch.look(121) == []
    watch.look(122)
    assert watch.look(123) == ["worker:age-out"]


def test_malformed_rows_hide_nothing(watch: Watch) -> None:
    watch.stuck.add("verify")
    watch.host.sql("INSERT INTO runs VALUES ('verify', '2027-01-01T00:00:00.000Z', 'ok', 'no JSON')")
    watch.host.sql("INSERT INTO runs VALUES ('replicate', 'zzz', 'ok', '')")
    watch.host.sql("INSERT INTO runs VALUES ('nobody', '', 'failed', '')")
    watch.host.sql("INSERT INTO told VALUES ('gone', 'x', 'email:x', NULL, NULL)")
    watch.finding("never heard of", "'' OR 1=1".replace("'", "''"), "no store")
    watch.object("", 0, (None, None, None), listed_at="")
    watch.look(20)
    assert watch.look(25) == [
        "behind:offsite", "behind:replica", "findings:never heard of", "verification", "worker:verify"
    ]  # fmt: skip
    texts = {event["id"]: event["text"] for _, event in watch.outside.take()}
    assert "1 never heard of: no store '' OR 1=1. See the report" in texts["findings:never heard of"]
