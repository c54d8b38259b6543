"""Tests of age-out: which objects are deleted, when, and which ones never."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from drills.rotations import SMALL, play
from harness.backup_world import GROUP, ROTATION, STORES, Machine, Run, Snapshot, World
from harness.offsite import Offsite
from harness.workerd import Host


@pytest.fixture
def world(host: Host, offsite: Offsite) -> World:
    return World(host, offsite)


class Group:
    """A group with one full backup and one increment a day, for some days in the past."""

    def __init__(self, world: World, days: int = 5) -> None:
        self.world, self.machine = world, Machine()
        begin = world.time
        self.runs = [
            self.machine.backup(begin + timedelta(days=day, hours=hours), kind, files=1)
            for day in range(days)
            for hours, kind in ((0, "full"), (6, "incremental"))
        ]
        for run in self.runs:
            world.time = run.finished
            world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))
        world.pass_by(minutes=4)
        world.settle(2)

    def in_world(self, world: World) -> "Group":
        """Return the same group in another world, into which its stores were restored."""
        other = copy.copy(self)
        other.world, other.machine, other.runs = world, copy.deepcopy(self.machine), list(self.runs)
        return other

    @property
    def fulls(self) -> list[Run]:
        return [run for run in self.runs if run.manifest["kind"] == "full"]

    def there(self, store: str = "primary") -> set[str]:
        """Labels of the runs in the hourly class."""
        keys = self.world.keys(store)
        return {key.split("/")[3] for key in keys if key.startswith(f"hourly/backup/{GROUP}/") and "bundle" in key}

    def age_out(self, **instruction: Any) -> tuple[str, dict[str, Any]]:
        """Run verify and age-out once; return the result of age-out."""
        self.world.cron("verify")
        self.world.cron("age-out", **instruction)
        return self.world.last("age-out")


@pytest.fixture(scope="module")
def prepared(host: Host, offsite: Offsite) -> tuple[Snapshot, Group]:
    """A group, and everything that its backups left in the stores: made once, because it takes as long as ten tests."""
    group = Group(World(host, offsite))
    return group.world.save(), group


@pytest.fixture
def group(prepared: tuple[Snapshot, Group], world: World) -> Group:
    saved, group = prepared
    world.restore(saved)
    return group.in_world(world)


def labels(runs: list[Run]) -> set[str]:
    return {run.label for run in runs}


@pytest.mark.long
def test_stores_match_the_rotation_every_day(host: Host, offsite: Offsite) -> None:
    counts = play(host, offsite, days=8, rotation=SMALL, seed=5, a_day=2)
    assert counts["deleted"] > 50


def test_deletion_is_planned_and_carried_out_a_day_later(group: Group) -> None:
    world = group.world
    world.time = group.runs[0].finished + timedelta(days=20)
    outcome, detail = group.age_out()
    assert (outcome, detail["deleted"]) == ("ok", 0)
    assert detail["planned"] > 0
    assert group.there() == labels(group.runs)
    (planned,) = world.sql("SELECT MIN(due_at) AS first, MAX(due_at) AS last FROM objects WHERE due_at NOTNULL")
    day_later = (world.time + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert (planned["first"], planned["last"]) == (day_later, day_later)
    world.pass_by(hours=23)
    assert group.age_out()[1]["deleted"] == 0
    world.pass_by(hours=1)
    assert group.age_out()[1]["deleted"] == detail["planned"]
    kept = {*labels(group.fulls[-3:]), group.runs[-1].label}  # the newest three, and the run at the start of the window
    assert [group.there(store) for store in STORES] == [kept] * 3
    audited = world.sql("SELECT action, SUM(objects) AS objects FROM audit WHERE action <> 'promoted' GROUP BY action")
    assert audited == [
        {"action": "deleted", "objects": detail["planned"]},
        {"action": "planned", "objects": detail["planned"] + world.last("age-out")[1]["planned"]},
    ]


def test_newest_full_backups_are_kept_regardless_of_age(group: Group) -> None:
    for days in (100, 101, 102, 103):
        group.world.time = group.runs[-1].finished + timedelta(days=days)
        group.age_out()
    newest = group.fulls[-3:]
    assert group.there() == {*labels(newest), group.runs[-1].label}
    for run in newest:
        wal = [one["key"] for one in run.manifest["objects"] if one["kind"] == "wal"]
        assert set(wal) <= set(group.world.keys("offsite"))


@pytest.mark.long
def test_dependencies_of_kept_increments_are_kept(world: World) -> None:
    machine = Machine()
    begin = world.time
    runs = [machine.backup(begin, "full", files=1)]
    runs += [machine.backup(begin + timedelta(days=day), "incremental", files=1) for day in range(1, 15)]
    for run in runs:
        world.time = run.finished
        world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))
    for _ in range(3):
        world.pass_by(days=1)
        world.cron("verify")
        world.cron("age-out")
    kept = {key.split("/")[3] for key in world.keys("replica") if key.startswith(f"hourly/backup/{GROUP}/")}
    young = {run.label for run in runs if run.finished > world.time - timedelta(days=8)}
    # Each increment depends on the full backup and on the increment before it.
    assert kept == young | {runs[0].label} | {runs[-len(young) - 1].label}


@pytest.mark.long
def test_all_backups_of_a_removed_group_expire(host: Host, offsite: Offsite) -> None:
    group = Group(World(host, offsite, GROUPS=["another"]))
    world = group.world
    yearly = {f"yearly/{GROUP}/{group.fulls[0].label}/"}
    world.time = group.runs[-1].finished + timedelta(days=7)
    group.age_out()
    assert group.there() == labels(group.runs)
    # A group that is still backed up would keep its newest three full backups.
    for days in (20, 22):
        world.time = group.runs[-1].finished + timedelta(days=days)
        group.age_out()
    assert [group.there(store) for store in STORES] == [set()] * 3
    assert {key.split("/")[0] for key in world.keys("offsite")} == {"daily", "monthly", "yearly", "manifests"}
    assert len({key.split("/")[2] for key in world.keys("offsite") if key.startswith("daily/")}) == len(group.fulls)
    for days in (100, 500, 501, 502, 503):
        world.time = group.runs[-1].finished + timedelta(days=days)
        group.age_out()
        kept = {key for key in world.keys("offsite") if not key.startswith("manifests/")}
        assert {key.split("/")[0] for key in kept} <= {"daily", "monthly", "yearly", "hourly"}
    assert {"/".join(key.split("/")[:3]) + "/" for key in kept} == yearly
    assert world.findings() == []


def test_deletion_is_retried_after_a_store_failed(group: Group, offsite: Offsite) -> None:
    world = group.world
    world.time = group.runs[0].finished + timedelta(days=20)
    planned = group.age_out()[1]["planned"]
    world.pass_by(days=1)
    world.cron("verify")
    offsite.fail = True
    world.cron("age-out")
    assert world.last("age-out")[1]["refused"] == planned
    offsite.fail = False
    assert len(group.there("offsite")) > len(group.there("primary"))
    world.cron("replicate")
    assert len(group.there("offsite")) > len(
        group.there("primary")
    )  # objects that are being deleted are not replicated again
    world.pass_by(hours=1)
    group.age_out()
    assert group.there("offsite") == group.there("primary") == group.there("replica")
    assert world.findings() == []


@pytest.mark.long
def test_locked_objects_do_not_block_other_deletions(group: Group) -> None:
    world = group.world
    world.time = group.runs[0].finished + timedelta(days=20)
    group.age_out()
    world.pass_by(days=1)
    held = group.fulls[0].label
    locks = [{"prefix": f"hourly/backup/{GROUP}/{held}/", "days": 40}]
    assert group.age_out(locks=locks)[1]["refused"] == 2
    assert held in group.there()
    assert group.fulls[1].label not in group.there()
    for day in range(11):
        world.pass_by(days=1)
        group.age_out(locks=locks)
        assert len(world.findings("kind = 'kept-on'")) == (2 if day >= 9 else 0)
    world.pass_by(days=30)
    group.age_out(locks=locks)
    assert held not in group.there()
    assert world.findings("closed_at IS NULL") == []


class TestNothingIsDeleted:
    @pytest.fixture
    def due(self, group: Group) -> Group:
        """A group with objects that are due for deletion now."""
        group.world.time = group.runs[0].finished + timedelta(days=20)
        group.age_out()
        group.world.pass_by(days=1)
        return group

    def assert_unchanged(self, due: Group, before: list[list[str]]) -> None:
        assert [due.world.keys(store) for store in STORES] == before

    def test_while_a_manifest_is_invalid(self, due: Group) -> None:
        key = f"manifests/{GROUP}/20270101-020000F.json"
        due.world.write({key: b"{}"})
        before = [due.world.keys(store) for store in STORES]
        outcome, detail = due.age_out()
        assert (outcome, detail["doubtful"], detail["deleted"]) == ("alarm", [GROUP], 0)
        self.assert_unchanged(due, before)
        due.world.delete("primary", key)
        due.world.pass_by(hours=1)
        assert due.age_out()[1]["planned"] > 0
        due.world.pass_by(days=1)
        assert due.age_out()[1]["deleted"] > 0

    @pytest.mark.long
    def test_planned_objects_are_still_repaired_while_deletions_are_blocked(self, due: Group) -> None:
        """Objects that were planned for deletion earlier are kept in every store meanwhile."""
        (planned,) = due.world.sql("SELECT key FROM objects WHERE due_at NOTNULL AND kind = 'backup' LIMIT 1")
        due.world.write({f"manifests/{GROUP}/20270101-020000F.json": b"{}"})
        due.age_out()
        due.world.delete("primary", planned["key"])
        due.world.pass_by(days=6)
        due.world.cron("verify")
        assert planned["key"] in due.world.keys("primary")

    def test_while_manifests_cannot_be_read(self, due: Group) -> None:
        run = due.machine.backup(due.world.time, "full", files=1)
        due.world.deliver(due.world.write(run.objects))
        due.world.write({run.key: run.envelope})
        due.world.sql("CREATE TRIGGER refuse BEFORE INSERT ON manifests BEGIN SELECT RAISE(ABORT, 'no'); END")
        outcome, detail = due.age_out()
        assert (outcome, detail["doubtful"], detail["deleted"]) == ("alarm", [GROUP], 0)
        assert {one["kind"] for one in due.world.findings("closed_at IS NULL")} == {"unread"}
        due.world.sql("DROP TRIGGER refuse")
        due.world.pass_by(hours=1)
        assert due.age_out()[1]["doubtful"] == []
        assert due.world.findings("closed_at IS NULL") == []

    def test_when_clock_and_schedule_differ(self, due: Group, host: Host) -> None:
        before = [due.world.keys(store) for store in STORES]
        due.world.cron("verify")
        for hours in (-1, 1):
            at = due.world.time + timedelta(hours=hours)
            instruction = {"clock": due.world.time.isoformat()}
            host.ask("scheduled", time=at.isoformat(), worker="age-out", instruction=instruction)
            assert due.world.last("age-out") == ("failed", {"error": "ClockError"})
        self.assert_unchanged(due, before)

    def test_when_no_manifests_were_read_for_a_day(self, due: Group) -> None:
        before = [due.world.keys(store) for store in STORES]
        due.world.pass_by(days=1, hours=1)
        due.world.cron("age-out")
        assert due.world.last("age-out") == ("failed", {"error": "StaleCatalogue"})
        self.assert_unchanged(due, before)

    def test_when_the_database_fails(self, due: Group) -> None:
        before = [due.world.keys(store) for store in STORES]
        assert due.world.cron("age-out", broken=["DB"]) == "exception"
        self.assert_unchanged(due, before)

    @pytest.mark.long
    def test_of_objects_that_are_needed_again(self, due: Group) -> None:
        """After the loss of the newest full backups, the older ones are needed again."""
        world = due.world
        for run in due.fulls[-2:]:
            for key in run.objects:
                for store in STORES:
                    world.sql(f"UPDATE objects SET source = NULL, sha256 = '{'0' * 64}' WHERE source = '{key}'")
                    world.delete(store, key)
        world.pass_by(days=6)
        world.cron("verify")
        detail = due.age_out()[1]
        assert detail["kept"] > 0
        assert labels(due.fulls[:3]) <= due.there()

    def test_of_sources_of_unfinished_promotions(self, group: Group) -> None:
        world = group.world
        key = next(key for key in group.runs[0].objects if "bundle" in key)
        world.sql(f"UPDATE objects SET check_after = '2999' WHERE source = '{key}'")
        world.sql(
            "UPDATE object_copies SET verified_at = NULL WHERE copy = 'primary' "
            f"AND key IN (SELECT key FROM objects WHERE source = '{key}')"
        )
        world.time = group.runs[0].finished + timedelta(days=20)
        group.age_out()
        world.pass_by(days=1)
        group.age_out()
        assert group.runs[0].label in group.there()
        assert group.fulls[1].label not in group.there()


@pytest.mark.parametrize("every", [15, pytest.param(3, marks=pytest.mark.long)])
def test_interrupted_runs_reach_the_same_result(group: Group, every: int) -> None:
    world = group.world
    world.time = group.runs[0].finished + timedelta(days=20)
    world.cron("verify")
    for at in range(2, 40, every):
        world.cron("age-out", fall={"at": at, "after": at % 2 == 0})
        world.pass_by(minutes=6)
    world.pass_by(days=1)
    world.cron("verify")
    for at in range(2, 60, every):
        world.cron("age-out", fall={"at": at, "after": at % 2 == 0})
        world.cron("replicate")
        world.pass_by(minutes=6)
    group.age_out()
    kept = {*labels(group.fulls[-3:]), group.runs[-1].label}
    assert [group.there(store) for store in STORES] == [kept] * 3
    assert world.findings() == []


def test_rotation_without_a_class_deletes_nothing(host: Host, offsite: Offsite) -> None:
    keep = {name: days for name, days in ROTATION["keepDays"].items() if name != "yearly"}
    world = World(host, offsite, ROTATION={**ROTATION, "keepDays": keep})
    machine = Machine()
    run = machine.backup(world.time, "full")
    world.time = run.finished
    world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))
    world.cron("verify")
    assert world.last("verify") == ("failed", {"error": "RangeError"})
    world.pass_by(hours=1)
    world.cron("age-out")
    assert world.last("age-out")[0] == "failed"
