"""What watch takes for wrong, and what it does not: each condition begins, is told, and is over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from .watch_fixtures import DAY, FULL, INCREMENT, KEY, SETTLED, WAL, Watch, at, lose_replica


@dataclass(frozen=True)
class Case:
    """How a condition comes about, and how it goes away; `first` is the look that must find it, in minutes."""

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
    "no wal at all": Case("wal:coordinator", delete_wal, free, 5, ("none at all",)),
    "manifest": Case("manifest:coordinator", stuck("manifest"), free, 66, ("95 minutes", "verify")),
    "replica": Case("behind:replica", lose_replica, free, words=("replica", "A1-abab")),
    "offsite": Case("behind:offsite", lose_offsite, free, words=("offsite", "A1-abab")),
    "object": Case("behind:replica", lambda watch: watch.object(KEY, 4, (4, None, 4)), forget(KEY), words=(KEY,)),
    "never verified": Case(
        "verification",
        lambda watch: watch.object(KEY, -41, (4, 4, None), source="x"),
        forget(KEY),
        words=(KEY, "1 are"),
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


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_alarm_begins_is_repeated_and_ends(watch: Watch, case: Case) -> None:
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
    # Told once, and again after six hours.
    watch.look(first + 10)
    assert (watch.events(), watch.mail()) == ([], [])
    case.end(watch)
    assert watch.look(first + 15) == []
    assert watch.events() == [(case.id, "over")]
    (message,) = watch.mail(1)
    assert message["subject"] == "ledger-prod: 1 resolved"
    assert watch.look(first + 20) == []
    assert (watch.events(), watch.mail()) == ([], [])


def test_a_group_that_never_had_a_backup_is_missed(watch: Watch) -> None:
    watch.start(GROUPS=["coordinator", "worker-1"])
    watch.look(5)
    assert watch.look(10) == ["backup:worker-1", "full:worker-1", "wal:worker-1"]


def test_a_group_that_is_no_longer_backed_up_is_over(watch: Watch) -> None:
    watch.host.sql(
        f"INSERT INTO alarms (id, since, text, raised_at) VALUES ('wal:worker-9', '{at(-9)}', 'text', '{at(-4)}')"
    )
    assert watch.look(5) == []


class TestAges:
    """What counts as the newest of each kind."""

    @staticmethod
    def ages(watch: Watch, minute: float = 5) -> dict[str, Any]:
        watch.look(minute)
        return watch.newest_run()[1]["ages"]["coordinator"]

    @staticmethod
    def put(watch: Watch, key: str, minute: float) -> None:
        watch.host.put("COPY_PRIMARY", key, customMetadata={"at": at(minute)})

    @pytest.fixture(autouse=True)
    def _stuck(self, watch: Watch) -> None:
        """At minute 5: full 485, backup 35, wal 6."""
        watch.stuck.update({"full", "backup", "wal", "settled"})

    def test_a_backup_without_its_manifest_does_not_count(self, watch: Watch) -> None:
        self.put(watch, f"hourly/backup/coordinator/{FULL}_20261124-100005I/pg_data/base.bundle", 0)
        self.put(watch, "hourly/backup/coordinator/20261124-100005F/bundle/1", 0)
        assert self.ages(watch) == {"full": 485, "backup": 35, "wal": 6}

    def test_a_full_backup_counts_as_both(self, watch: Watch) -> None:
        self.put(watch, "hourly/backup/coordinator/20261124-095505F/backup.manifest", 0)
        assert self.ages(watch) == {"full": 5, "backup": 5, "wal": 6}

    def test_an_increment_is_no_full_backup(self, watch: Watch) -> None:
        self.put(watch, f"hourly/backup/coordinator/{FULL}_20261124-095505D/backup.manifest", 0)
        assert self.ages(watch) == {"full": 485, "backup": 5, "wal": 6}

    def test_only_segments_are_wal(self, watch: Watch) -> None:
        for key in ("00000002.history", "0000000100000000/0000000100000000000000A3.partial", "17-1", "archive.info"):
            self.put(watch, f"hourly/archive/coordinator/17-1/{key}", 0)
        assert self.ages(watch)["wal"] == 6

    def test_another_history_of_the_database_has_newer_wal(self, watch: Watch) -> None:
        segment = WAL.format(group="coordinator").replace("17-1", "18-10")
        self.put(watch, segment, 0)
        self.put(watch, segment.replace("18-10", "17-9"), 2)
        assert self.ages(watch)["wal"] == 5

    def test_of_other_groups_nothing_counts(self, watch: Watch) -> None:
        self.put(watch, WAL.format(group="worker-1"), 5)
        assert self.ages(watch)["wal"] == 6

    def test_wal_that_is_old_enough_may_lie_in_the_folder_before(self, watch: Watch) -> None:
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

    def test_before_the_first_one_the_oldest_backup_counts(self, watch: Watch) -> None:
        watch.stuck.add("manifest")
        watch.host.sql("DELETE FROM manifests")
        assert self.look(watch, 5) == ["manifest:coordinator"]  # FULL is of the day before
        for label in (FULL, INCREMENT):
            watch.host.delete("COPY_PRIMARY", f"hourly/backup/coordinator/{label}/backup.manifest")
        watch.stuck.update({"full", "backup"})
        watch.host.put(
            "COPY_PRIMARY", "hourly/backup/coordinator/20261124-100000F/backup.manifest", customMetadata={"at": at(5)}
        )
        assert self.look(watch, 15) == []

    def test_without_backups_there_is_nothing_to_sign_for(self, watch: Watch) -> None:
        watch.stuck.update({"manifest", "backup"})
        assert self.look(watch, 90) == ["backup:coordinator"]

    @pytest.mark.parametrize("finished", ["2027-01-01T00:00:00.000Z", "never", ""])
    def test_a_time_that_has_not_been_yet_or_is_none_does_not_count(self, watch: Watch, finished: str) -> None:
        watch.stuck.add("manifest")
        watch.host.sql("DELETE FROM manifests")
        watch.manifest("coordinator", finished)
        assert self.look(watch, 5) == ["manifest:coordinator"]

    def test_each_group_has_its_own(self, watch: Watch) -> None:
        watch.start(GROUPS=["coordinator", "worker-1"])
        watch.fresh(10, ["worker-1"])
        watch.host.sql("DELETE FROM manifests WHERE grp = 'worker-1'")
        assert self.look(watch, 5) == ["manifest:worker-1"]


class TestNoAlarm:
    """What looks like trouble and is none."""

    @staticmethod
    def quiet(watch: Watch) -> bool:
        watch.look(20)
        return watch.look(24) == []

    def test_just_listed(self, watch: Watch) -> None:
        watch.object(KEY, 10)
        assert self.quiet(watch)

    def test_verified_slowly_but_copied(self, watch: Watch) -> None:
        watch.object(KEY, -30, (4, None, None))
        watch.host.put("COPY_REPLICA", KEY)
        watch.outside.offsite.add(KEY)
        assert self.quiet(watch)

    def test_about_to_go(self, watch: Watch) -> None:
        watch.object(KEY, -90, due_at=at(100))
        watch.object(f"{KEY}-old", -9 * DAY, (-8 * DAY,) * 3, due_at=at(100))
        assert self.quiet(watch)

    def test_promoted_ones_that_are_still_to_be_placed(self, watch: Watch) -> None:
        watch.object("daily/coordinator/x", -30, source=KEY)
        assert self.quiet(watch)

    def test_notes(self, watch: Watch) -> None:
        for kind in ("extra", "unlisted", "missed"):
            watch.finding(kind, KEY)
        assert self.quiet(watch)

    def test_wrong_ones_are_the_findings_alone(self, watch: Watch) -> None:
        watch.object(KEY, -90, (4, None, 4))
        watch.finding("missing", KEY)
        watch.look(20)
        assert watch.look(24) == ["findings:missing"]

    def test_all_right_for_a_week(self, watch: Watch) -> None:
        watch.object(KEY, -20 * DAY, (-7 * DAY + 24, 0, 0))
        assert self.quiet(watch)

    def test_two_failures_or_three_with_a_success_between(self, watch: Watch) -> None:
        watch.stuck.add("verify")
        for minute, outcome in ((13, "failed"), (14, "failed"), (15, "alarm"), (16, "failed"), (17, "failed")):
            watch.run("verify", at(minute), outcome)
        assert self.quiet(watch)

    def test_a_worker_that_has_had_no_time_to_run(self, watch: Watch) -> None:
        watch.stuck.add("age-out")
        watch.host.sql("DELETE FROM runs WHERE worker = 'age-out'")
        assert self.quiet(watch)


def test_a_finding_hides_no_other_copy_that_is_not_verified_any_more(watch: Watch) -> None:
    watch.object(KEY, -20 * DAY, (-7 * DAY, None, 0))
    watch.finding("missing", KEY)
    watch.look(20)
    assert watch.look(25) == ["findings:missing", "verification"]


def test_a_note_hides_nothing(watch: Watch) -> None:
    watch.object(KEY, -90, (4, None, 4))
    watch.finding("missed", KEY)
    watch.look(20)
    assert watch.look(25) == ["behind:replica", "verification"]


def test_the_newest_unseen_object_is_looked_for_too(watch: Watch) -> None:
    for number in range(5):
        watch.object(f"hourly/{number}", -30 + number, (4, None, 4))
        if number < 4:
            watch.host.put("COPY_REPLICA", f"hourly/{number}")
    watch.look(20)
    assert watch.look(25) == ["behind:replica"]


def test_a_worker_that_never_ran_is_missed_once_it_should_have(watch: Watch) -> None:
    watch.stuck.add("age-out")
    watch.host.sql("DELETE FROM runs WHERE worker = 'age-out'")
    watch.look(120)
    assert watch.look(121) == []
    watch.look(122)
    assert watch.look(123) == ["worker:age-out"]


def test_garbage_hides_nothing(watch: Watch) -> None:
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
