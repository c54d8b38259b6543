"""Tests of the catalogue: lost and rebuilt, with damaged backups, with rebuilt databases, and with misleading input."""

from datetime import timedelta

import pytest

from harness.backup_manifests import sealed
from harness.backup_world import GROUP, STORES, Machine, Run, World
from harness.offsite import Offsite
from harness.workerd import Host
from tests.lanes import first


@pytest.fixture
def world(host: Host, offsite: Offsite) -> World:
    return World(host, offsite)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def write_and_deliver(world: World, run: Run) -> None:
    world.time = run.finished
    world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))


def daily(world: World, machine: Machine, days: int, *, ageing: bool) -> list[Run]:
    """Make a full backup a day, each after one WAL segment that no run needs."""
    begin = world.time
    for day in range(days):
        machine.archive(begin + timedelta(days=day, hours=-1))
        write_and_deliver(world, machine.backup(begin + timedelta(days=day), "full", files=1))
        world.pass_by(minutes=4)
        world.cron("verify")
        if ageing:
            world.cron("age-out")
    world.settle(2)
    return machine.runs


def hourly(world: World, store: str = "primary") -> set[str]:
    return {key.split("/")[3] for key in world.keys(store) if key.startswith(f"hourly/backup/{GROUP}/")}


def kinds(world: World) -> set[str]:
    return {one["kind"] for one in world.findings("closed_at IS NULL")}


def idle(world: World, last: Run, *days: int) -> None:
    """Run verify and age-out once on each of these days after the last backup."""
    for day in days:
        world.time = last.finished + timedelta(days=day)
        world.cron("verify")
        world.cron("age-out")


class TestLostDatabase:
    @pytest.mark.long
    def test_deleted_backups_do_not_return_and_are_no_findings(self, world: World, machine: Machine) -> None:
        runs = daily(world, machine, 12, ageing=True)
        before = [set(world.keys(store)) for store in STORES]
        world.forget()
        world.pass_by(hours=1)
        world.cron("verify")
        world.settle(2)
        assert kinds(world) == set()
        assert [set(world.keys(store)) for store in STORES] == before
        world.pass_by(hours=1)
        world.cron("age-out")
        assert world.last("age-out")[1]["doubtful"] == []
        assert world.last("age-out")[0] == "ok"
        world.settle(2)
        assert kinds(world) == set()
        assert {run.label for run in runs[-8:]} <= hourly(world)

    @pytest.mark.long
    def test_newest_full_backups_of_an_idle_group_are_kept(self, world: World, machine: Machine) -> None:
        runs = daily(world, machine, 5, ageing=False)
        idle(world, runs[-1], 40, 41, 42)
        newest = {run.label for run in runs[-3:]}
        assert hourly(world) == newest
        world.forget()
        idle(world, runs[-1], 43, 44, 45, 46)
        assert [hourly(world, store) for store in STORES] == [newest] * 3
        assert kinds(world) == set()


class TestLostPrimary:
    """The primary was recreated empty; the other copies have everything."""

    def run_and_index(self, world: World, machine: Machine, kind: str) -> Run:
        run = machine.backup(world.time + timedelta(hours=1), kind)
        index = {
            f"hourly/{name}/{GROUP}/{name}.info{suffix}": run.objects[f"manifests/{GROUP}/{run.label}/{name}.info"]
            for name in ("backup", "archive")
            for suffix in ("", ".copy")
        }
        world.time = run.finished
        world.deliver(world.write(run.objects | index) + world.write({run.key: run.envelope}))
        world.pass_by(minutes=4)
        world.cron("verify")
        return run

    @pytest.mark.parametrize("catalogue", first(1, ["lost", "kept"]))
    def test_everything_is_written_back_from_the_copies(self, world: World, machine: Machine, catalogue: str) -> None:
        for kind in ("full", "incremental", "full"):
            self.run_and_index(world, machine, kind)
        world.settle(2)
        before = world.digests("primary")
        assert before == world.digests("replica") == world.digests("offsite")
        assert f"hourly/archive/{GROUP}/archive.info" in before
        for key in before:
            world.delete("primary", key)
        if catalogue == "lost":
            world.forget()
        world.settle(3)
        assert [world.digests(store) for store in STORES] == [before] * 3
        assert kinds(world) == set()

    def test_indexes_of_the_newest_manifest_are_written_back(self, world: World, machine: Machine) -> None:
        """The copies' indexes are newer than the newest run with a manifest."""
        run = self.run_and_index(world, machine, "full")
        index = f"hourly/backup/{GROUP}/backup.info"
        world.deliver(world.write({index: b"with a run that has no manifest"}))
        world.delete("primary", index)
        world.settle(1)
        assert world.read("primary", index) == run.objects[f"manifests/{GROUP}/{run.label}/backup.info"]

    def test_index_of_a_new_repository_does_not_change_listed_objects(self, world: World, machine: Machine) -> None:
        """The machines were recreated before the primary was filled again."""
        run = self.run_and_index(world, machine, "full")
        world.settle(1)
        listed = {**run.objects, run.key: run.envelope}
        for key in world.keys("primary"):
            world.delete("primary", key)
        index = f"hourly/backup/{GROUP}/backup.info"
        world.deliver(world.write({index: b"of a new repository"}))
        world.settle(2)
        for store in STORES:
            assert world.read(store, index) == b"of a new repository"
            assert {key: world.read(store, key) for key in listed} == listed


class TestDamagedBackups:
    def test_lost_wal_that_no_run_needs_does_not_affect_full_backups(self, world: World, machine: Machine) -> None:
        runs = daily(world, machine, 5, ageing=False)
        for run in runs[-4:]:
            wal = [one["key"] for one in run.manifest["objects"] if one["kind"] == "wal"]
            (unneeded,) = [key for key in wal if key.rpartition("/")[2][:24] < run.manifest["wal"]["first"]]
            for store in STORES:
                world.delete(store, unneeded)
        idle(world, runs[-1], 7, 40, 41, 42)
        assert hourly(world) == {run.label for run in runs[-3:]}

    @pytest.mark.long
    def test_damaged_full_backups_are_kept_in_addition_to_good_ones(self, world: World, machine: Machine) -> None:
        runs = daily(world, machine, 5, ageing=False)
        for run in runs[-2:]:
            wal = next(key for key in run.objects if run.manifest["wal"]["first"] in key)
            for store in STORES:
                for copy in [key for key in world.keys(store) if key.endswith(wal.rpartition("/")[2])]:
                    world.delete(store, copy)
        idle(world, runs[-1], 7, 40, 41, 42)
        assert hourly(world) == {run.label for run in runs}

    @pytest.mark.long
    def test_conflict_blocks_deletions_for_the_retention_of_the_hourly_class(
        self, world: World, machine: Machine
    ) -> None:
        first = machine.backup(world.time, "full", files=1)
        write_and_deliver(world, first)
        second = machine.backup(world.time + timedelta(hours=1), "incremental", files=1)
        wal = next(one for one in first.manifest["objects"] if one["kind"] == "wal")
        second.manifest["objects"].append({**wal, "sha256": "0" * 64})
        second.envelope = sealed(second.manifest)
        write_and_deliver(world, second)
        for day in range(1, 5):
            write_and_deliver(world, machine.backup(first.finished + timedelta(days=day), "full", files=1))
        idle(world, first, 7)
        assert world.last("age-out")[1]["doubtful"] == [GROUP]
        idle(world, first, 20, 21, 22)
        assert world.last("age-out")[1]["doubtful"] == []
        assert first.label not in hourly(world)
        world.settle(2)
        assert kinds(world) == set()


class TestHistories:
    def test_wal_of_a_rebuilt_database_is_assigned_to_its_own_history(self, world: World, machine: Machine) -> None:
        """Its first segment has the name of a segment of the old database, and only the next manifest lists it."""
        write_and_deliver(world, machine.backup(world.time, "full"))
        machine.begin_anew()
        second = machine.backup(world.time + timedelta(days=1), "full")
        first = second.manifest["wal"]["first"]
        late = [one for one in second.manifest["objects"] if one["kind"] == "wal" and f"/{first}-" in one["key"]]
        second.manifest["objects"] = [one for one in second.manifest["objects"] if one not in late]
        second.envelope = sealed(second.manifest)
        write_and_deliver(world, second)
        world.cron("verify")
        assert kinds(world) == {"incomplete", "chain"} or kinds(world) == {"incomplete"}
        third = machine.backup(world.time + timedelta(hours=1), "incremental")
        third.manifest["objects"] = sorted([*third.manifest["objects"], *late], key=lambda one: one["key"])
        third.envelope = sealed(third.manifest)
        write_and_deliver(world, third)
        world.settle(2)
        wal = {
            key for key in world.keys("replica") if key.startswith(f"daily/{GROUP}/{second.label}/archive/{GROUP}/17")
        }
        assert len(wal) == 2
        assert all("/17-2/" in key for key in wal)

    @pytest.mark.long
    def test_wal_of_the_old_database_expires(self, world: World, machine: Machine) -> None:
        old = machine.backup(world.time, "full", files=1)
        write_and_deliver(world, old)
        machine.begin_anew()
        begin = world.time
        for day in range(1, 5):
            write_and_deliver(world, machine.backup(begin + timedelta(days=day), "full", files=1))
        idle(world, old, 7, 15, 16, 17)
        wal = {key.split("/")[3] for key in world.keys("offsite") if key.startswith(f"hourly/archive/{GROUP}/")}
        assert wal == {"17-2"}
        assert old.label not in hourly(world)


class TestRobustness:
    def test_dead_letter_of_a_copied_object_is_closed(self, world: World, host: Host, machine: Machine) -> None:
        run = machine.backup(world.time, "full")
        write_and_deliver(world, run)
        world.settle(1)
        key = next(iter(run.objects))
        for dead in ({"action": "PutObject", "object": {"key": key}}, "no event"):
            instruction = {"clock": world.time.isoformat()}
            host.ask("queue", queue="x-dead-letters", messages=[dead], worker="replicate", instruction=instruction)
        assert kinds(world) == {"undelivered"}
        world.pass_by(minutes=5)
        world.cron("replicate")
        assert kinds(world) == set()

    @pytest.mark.long
    def test_many_locked_objects_do_not_block_other_deletions(self, world: World, machine: Machine) -> None:
        begin = world.time
        big = machine.backup(begin, "full", files=70)
        write_and_deliver(world, big)
        for day in range(1, 6):
            write_and_deliver(world, machine.backup(begin + timedelta(days=day), "full", files=1))
        world.settle(2)
        locks = [{"prefix": f"hourly/backup/{GROUP}/{big.label}/", "days": 400}]
        for day in (20, 21):
            world.time = begin + timedelta(days=day)
            world.cron("verify")
            world.cron("age-out", locks=locks)
        assert world.last("age-out")[1]["refused"] == 71
        assert machine.runs[1].label not in hourly(world)
        assert big.label in hourly(world)

    @pytest.mark.long
    def test_wrong_sizes_do_not_use_up_the_budget_of_other_objects(self, world: World, machine: Machine) -> None:
        run = machine.backup(world.time, "full", files=20)
        huge = {**run.manifest["objects"][0], "kind": "backup", "size": 5 * 1024**4}
        run.manifest["objects"] += [
            {**huge, "key": f"hourly/backup/{GROUP}/{run.label}/0/{number}"} for number in range(8)
        ]
        run.envelope = sealed(run.manifest)
        write_and_deliver(world, run)
        world.pass_by(minutes=4)
        world.cron("verify")
        assert world.last("verify")[1]["checked"] > len(run.manifest["objects"])

    def test_keys_outside_the_basic_multilingual_plane_are_compared_in_order(self, world: World) -> None:
        names = ("a", "\uffee", "\U00010000", "\U00010001", "\U00010002", "\U00010003")
        keys = [f"hourly/backup/{GROUP}/x/{name}" for name in names]
        world.write(dict.fromkeys(keys, b"x"))
        world.pass_by(minutes=5)
        world.cron("replicate", page=3)
        assert set(world.keys("replica")) == set(world.keys("offsite")) == set(keys)

    def test_bytes_that_change_in_transfer_are_not_stored(self, world: World, machine: Machine) -> None:
        """The store returns an object of the listed size with other bytes."""
        run = machine.backup(world.time, "full")
        write_and_deliver(world, run)
        world.cron("verify")
        key = next(key for key in run.objects if "bundle" in key)
        for store in ("replica", "offsite"):
            world.delete(store, key)
        world.pass_by(minutes=1)
        world.deliver([key], altered=[key])
        assert [world.read(store, key) for store in ("replica", "offsite")] == [None, None]
