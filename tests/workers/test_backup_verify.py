"""Tests of verification: reading manifests, verifying and repairing every copy, and promotion to classes."""

import hashlib
import json
from datetime import datetime, timedelta

import pytest

from harness.backup_manifests import sealed
from harness.backup_world import GROUP, STORES, Machine, Run, World
from harness.copies import NEWEST, OLDEST
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


@pytest.fixture
def run(world: World, machine: Machine) -> Run:
    """A full backup, made an hour ago, that is good in every store."""
    run = machine.backup(world.time, "full")
    write_and_deliver(world, run)
    world.cron("verify")
    world.pass_by(hours=1)
    return run


def finding_keys(world: World, where: str = "closed_at IS NULL") -> set[tuple[str, str, str]]:
    return {(one["kind"], one["store"], one["key"]) for one in world.findings(where)}


def bundle(run: Run) -> str:
    return next(key for key in run.objects if key.endswith("/bundle/1"))


class TestFirstVerification:
    def test_backup_is_verified_in_every_copy_within_five_minutes(self, world: World, machine: Machine) -> None:
        run = machine.backup(world.time, "full")
        world.time = run.finished
        events = world.write(run.objects) + world.write({run.key: run.envelope})
        world.pass_by(seconds=10)  # the queue waits up to five seconds for a batch
        world.deliver(events)
        world.pass_by(minutes=2)
        world.cron("verify")
        written = run.finished
        (found,) = world.sql(
            f"SELECT COUNT(*) AS objects, MAX({NEWEST}) AS newest "
            f"FROM objects WHERE class IN ('hourly', 'manifests') AND {OLDEST} NOTNULL"
        )
        assert found["objects"] == len(run.objects) + 1
        assert datetime.fromisoformat(found["newest"]) - written <= timedelta(minutes=5)

    def test_object_whose_event_is_pending_is_not_missing(self, world: World, machine: Machine) -> None:
        run = machine.backup(world.time, "full")
        world.time = run.finished
        events = world.write(run.objects)
        world.deliver(world.write({run.key: run.envelope}))
        world.cron("verify")
        assert world.last("verify")[1]["waiting"] == len(run.objects)
        assert world.findings() == []
        world.deliver(events)
        world.pass_by(minutes=2)
        world.cron("verify")
        assert world.last("verify")[1]["waiting"] == 0
        assert world.findings() == []

    def test_object_whose_event_never_arrives_is_missing_and_repaired(self, world: World, machine: Machine) -> None:
        run = machine.backup(world.time, "full")
        world.time = run.finished
        world.write(run.objects)
        world.deliver(world.write({run.key: run.envelope}))
        world.pass_by(minutes=4)
        world.cron("verify")
        missing = {("missing", store, key) for key in run.objects for store in ("replica", "offsite")}
        assert finding_keys(world, "outcome = 'repaired'") == missing
        assert [world.read("offsite", key) for key in run.objects] == list(run.objects.values())


class TestWeekly:
    @pytest.mark.usefixtures("run")
    def test_every_object_is_verified_in_every_copy_within_a_week(self, world: World) -> None:
        for _ in range(7):
            world.pass_by(days=1)
            world.cron("verify")
        (oldest,) = world.sql(f"SELECT MIN({OLDEST}) AS at FROM objects")
        assert world.time - datetime.fromisoformat(oldest["at"]) < timedelta(days=7)

    @pytest.mark.parametrize("store", first(1, STORES))
    def test_flipped_byte_is_found_and_repaired(self, world: World, run: Run, store: str) -> None:
        key = bundle(run)
        body = run.objects[key]
        world.write({key: bytes([body[0] ^ 1]) + body[1:]}, store)
        world.pass_by(days=6)
        world.cron("verify")
        assert finding_keys(world, "outcome = 'repaired'") == {("damaged", store, key)}
        assert world.read(store, key) == body

    def test_one_good_copy_repairs_the_other_stores(self, world: World, run: Run) -> None:
        key = bundle(run)
        world.delete("primary", key)
        world.write({key: b"x"}, "replica")
        world.pass_by(days=6)
        world.cron("verify")
        assert finding_keys(world, "outcome = 'repaired'") == {("missing", "primary", key), ("damaged", "replica", key)}
        assert {world.read(store, key) for store in STORES} == {run.objects[key]}

    @pytest.mark.long
    def test_object_of_the_right_size_with_other_bytes_is_repaired(self, world: World, run: Run) -> None:
        key = bundle(run)
        for store in STORES:
            world.write({key: bytes(len(run.objects[key]))}, store)
        (other,) = world.sql(f"SELECT COUNT(*) AS copies FROM objects WHERE source = '{key}'")
        # The first full backup of its day, month and year: the promoted objects are the source of the repair.
        assert other["copies"] == 3
        world.pass_by(days=6)
        world.cron("verify")
        assert {world.read(store, key) for store in STORES} == {run.objects[key]}

    @pytest.mark.usefixtures("run")
    def test_object_deleted_everywhere_is_lost_until_it_is_found_again(self, world: World, machine: Machine) -> None:
        increment = machine.backup(world.time, "incremental")
        write_and_deliver(world, increment)
        world.cron("verify")
        key = bundle(increment)
        for store in STORES:
            world.delete(store, key)
        world.pass_by(days=6)
        world.cron("verify")
        assert finding_keys(world) == {("lost", "primary", key), *(("missing", store, key) for store in STORES)}
        assert world.last("verify")[0] == "alarm"
        world.write({key: increment.objects[key]}, "offsite")
        world.pass_by(minutes=12)
        world.cron("verify")
        assert finding_keys(world) == set()
        assert world.read("primary", key) == increment.objects[key]

    def test_failed_store_causes_no_finding_about_its_objects(self, world: World, run: Run, offsite: Offsite) -> None:
        key = bundle(run)
        for store in ("primary", "replica"):
            world.delete(store, key)
        world.sql(f"DELETE FROM objects WHERE source = '{key}'")  # no other object has these bytes
        offsite.fail = True
        world.pass_by(days=6)
        world.cron("verify")
        assert not [one for one in world.findings() if one["kind"] == "lost" or one["store"] == "offsite"]
        offsite.fail = False
        world.pass_by(minutes=12)
        world.cron("verify")
        assert finding_keys(world) == set()
        assert world.read("primary", key) == run.objects[key]

    def test_lock_that_prevents_a_repair_is_a_finding_with_a_remedy(self, world: World, run: Run) -> None:
        key = next(key for key in run.objects if key.startswith("hourly/archive/"))
        world.write({key: b"x"}, "replica")
        world.pass_by(days=6)
        locks = [{"prefix": "hourly/archive/", "days": 8}]
        world.cron("verify", locks=locks)
        (finding,) = world.findings("closed_at IS NULL")
        assert (finding["kind"], finding["store"], finding["key"]) == ("damaged", "replica", key)
        assert "disable the rule" in finding["detail"]
        world.pass_by(minutes=12)
        world.cron("verify")
        assert finding_keys(world) == set()


class TestManifests:
    @pytest.mark.usefixtures("run")
    def test_missing_previous_manifest_is_a_finding_until_it_arrives(self, world: World, machine: Machine) -> None:
        first, second = (machine.backup(world.time + timedelta(hours=n), "incremental") for n in (1, 2))
        write_and_deliver(world, second)
        assert finding_keys(world) == {("chain", "primary", second.key)}
        write_and_deliver(world, first)
        assert finding_keys(world) == set()

    @pytest.mark.usefixtures("run")
    @pytest.mark.long
    def test_wrong_checksum_of_the_previous_manifest_is_a_finding(self, world: World, machine: Machine) -> None:
        increment = machine.backup(world.time, "incremental")
        increment.manifest["previous"]["sha256"] = "0" * 64
        increment.envelope = sealed(increment.manifest)
        write_and_deliver(world, increment)
        assert finding_keys(world) == {("chain", "primary", increment.key)}

    @pytest.mark.usefixtures("run")
    def test_manifest_from_the_future_is_a_finding_until_its_time(self, world: World, machine: Machine) -> None:
        increment = machine.backup(world.time + timedelta(hours=3), "incremental")
        world.deliver(world.write(increment.objects) + world.write({increment.key: increment.envelope}))
        assert finding_keys(world) == {("clock", "primary", increment.key)}
        world.pass_by(hours=2, minutes=30)
        world.cron("verify")
        assert finding_keys(world) == set()
        assert len(world.sql("SELECT run FROM manifests")) == 2

    @pytest.mark.usefixtures("run")
    @pytest.mark.long
    def test_clock_less_than_an_hour_ahead_is_tolerated(self, world: World, machine: Machine) -> None:
        increment = machine.backup(world.time + timedelta(minutes=58), "incremental")
        world.deliver(world.write(increment.objects) + world.write({increment.key: increment.envelope}))
        assert finding_keys(world) == set()

    @pytest.mark.long
    def test_manifests_with_different_checksums_for_an_object_conflict(
        self, world: World, machine: Machine, run: Run
    ) -> None:
        increment = machine.backup(world.time, "incremental")
        wal = next(one for one in run.manifest["objects"] if one["kind"] == "wal")
        increment.manifest["objects"].append({**wal, "sha256": "0" * 64})
        increment.envelope = sealed(increment.manifest)
        write_and_deliver(world, increment)
        assert finding_keys(world) == {("conflict", "primary", wal["key"])}
        (kept,) = world.sql(f"SELECT sha256 FROM objects WHERE key = '{wal['key']}'")
        assert kept["sha256"] == wal["sha256"]

    @pytest.mark.parametrize(
        ("envelope", "reason"),
        first(
            2,
            [
                (sealed({"version": 1}, "another"), "key"),
                (b"", "envelope"),
                (b"[]", "envelope"),
                (b"\xff" * 100, "envelope"),
                (b" " * (16 * 1024 * 1024 + 1), "envelope"),
                (sealed({"version": 2}), "version"),
                (sealed({"version": 1}), "content"),
            ],
        ),
    )
    @pytest.mark.usefixtures("run")
    def test_invalid_manifest_is_a_finding_and_does_not_block_others(
        self, world: World, machine: Machine, envelope: bytes, reason: str
    ) -> None:
        key = f"manifests/{GROUP}/20270101-020000F.json"
        world.write({key: envelope})
        increment = machine.backup(world.time, "incremental")
        write_and_deliver(world, increment)
        world.cron("verify")
        (finding,) = world.findings()
        assert (finding["kind"], finding["key"]) == ("refused", key)
        assert finding["detail"].startswith(f"{reason}: ")
        assert len(world.sql("SELECT run FROM manifests")) == 2
        world.delete("primary", key)
        world.pass_by(minutes=2)
        world.cron("verify")
        assert finding_keys(world) == set()

    @pytest.mark.parametrize(
        "key", ["hourly/backup/worker-1/../x", "hourly/backup/other/x", "/hourly/backup/worker-1/x"]
    )
    def test_keys_outside_the_group_are_rejected(self, world: World, machine: Machine, key: str) -> None:
        run = machine.backup(world.time, "full")
        run.manifest["objects"][0]["key"] = key
        run.envelope = sealed(run.manifest)
        write_and_deliver(world, run)
        assert finding_keys(world) == {("refused", "primary", run.key)}
        assert world.sql("SELECT key FROM objects") == []

    def test_replaced_manifest_is_repaired(self, world: World, machine: Machine, run: Run) -> None:
        increment = machine.backup(world.time, "incremental")
        write_and_deliver(world, increment)
        world.cron("verify")
        world.write({increment.key: run.envelope})
        world.pass_by(days=6)
        world.cron("verify")
        assert finding_keys(world, "1") == {("damaged", "primary", increment.key)}
        assert world.read("primary", increment.key) == increment.envelope

    def test_manifest_with_thousands_of_objects_is_read_in_one_run(self, world: World, machine: Machine) -> None:
        run = machine.backup(world.time, "full")
        run.manifest["objects"] += [
            {**run.manifest["objects"][0], "key": f"hourly/backup/{GROUP}/{run.label}/more/{n:05}", "kind": "backup"}
            for n in range(5_000)
        ]
        run.envelope = sealed(run.manifest)
        world.time = run.finished
        world.deliver(world.write({run.key: run.envelope}))
        (count,) = world.sql("SELECT COUNT(*) AS objects FROM objects WHERE class = 'hourly'")
        assert count["objects"] == len([one for one in run.manifest["objects"] if one["kind"] != "index"])

    @pytest.mark.usefixtures("run")
    def test_listed_object_too_large_to_be_read_is_a_finding(self, world: World, machine: Machine) -> None:
        increment = machine.backup(world.time, "incremental")
        key = bundle(increment)
        next(one for one in increment.manifest["objects"] if one["key"] == key)["size"] = 60 * 1_024**3
        increment.envelope = sealed(increment.manifest)
        del increment.objects[key]
        write_and_deliver(world, increment)
        world.pass_by(minutes=5)
        world.cron("verify")
        assert ("oversize", "primary", key) in finding_keys(world)


class TestPromotion:
    def placed(self, world: World, name: str) -> set[str]:
        found = [{key for key in world.keys(store) if key.startswith(f"{name}/")} for store in STORES]
        assert found[0] == found[1] == found[2]
        return {key.split("/")[2] for key in found[0]}

    def test_first_full_backup_of_each_period_is_promoted(self, world: World, machine: Machine) -> None:
        start = datetime.fromisoformat("2027-01-30T01:30:00+00:00")
        runs = [machine.backup(start + timedelta(hours=hours), "full") for hours in (0, 6, 24, 48, 72)]
        for run in runs:
            write_and_deliver(world, run)
            world.pass_by(minutes=2)
            world.cron("verify")
        labels = [run.label for run in runs]
        assert self.placed(world, "daily") == {labels[0], *labels[2:]}
        assert self.placed(world, "monthly") == {labels[0], labels[3]}
        assert self.placed(world, "yearly") == {labels[0]}
        assert world.findings() == []

    def test_promoted_objects_form_a_complete_repository(self, world: World, run: Run) -> None:
        base = f"daily/{GROUP}/{run.label}/"
        found = {key.removeprefix(base) for key in world.keys("primary") if key.startswith(base)}
        expected = {key.removeprefix("hourly/") for key in run.objects if key.startswith("hourly/")}
        assert found == expected | {f"backup/{GROUP}/backup.info", f"archive/{GROUP}/archive.info"}

    @pytest.mark.long
    def test_promotion_copies_from_any_good_copy(self, world: World, machine: Machine) -> None:
        run = machine.backup(world.time, "full")
        write_and_deliver(world, run)
        key = bundle(run)
        world.write({key: b"x"}, "primary")
        world.pass_by(minutes=4)
        world.cron("verify")
        world.settle()
        for name in ("daily", "monthly", "yearly"):
            assert (
                world.read("primary", f"{name}/{GROUP}/{run.label}/{key.removeprefix('hourly/')}") == run.objects[key]
            )
        assert finding_keys(world) == set()

    def test_promotion_waits_until_all_wal_is_listed(self, world: World, machine: Machine) -> None:
        run = machine.backup(world.time, "full")
        wal = next(one for one in run.manifest["objects"] if one["kind"] == "wal")
        run.manifest["objects"].remove(wal)
        run.envelope = sealed(run.manifest)
        write_and_deliver(world, run)
        world.cron("verify")
        assert finding_keys(world) == {("incomplete", "primary", run.key)}
        assert self.placed(world, "daily") == set()
        later = machine.backup(world.time + timedelta(hours=1), "incremental")
        later.manifest["objects"] = sorted([*later.manifest["objects"], wal], key=lambda one: one["key"])
        later.envelope = sealed(later.manifest)
        write_and_deliver(world, later)
        world.pass_by(minutes=2)
        world.cron("verify")
        assert finding_keys(world) == set()
        assert self.placed(world, "daily") == {run.label}


class TestInterrupted:
    def test_next_run_continues_where_the_last_one_stopped(self, world: World, machine: Machine) -> None:
        write_and_deliver(world, machine.backup(world.time, "full"))
        for at in range(0, 120, 7):
            world.cron("verify", fall={"at": at, "after": at % 2 == 0})
            world.pass_by(minutes=6)
        world.settle()
        digests = [world.digests(store) for store in STORES]
        assert digests[0] == digests[1] == digests[2]
        assert finding_keys(world) == set()

    def test_concurrent_runs_do_the_work_once(self, world: World, host: Host, machine: Machine) -> None:
        write_and_deliver(world, machine.backup(world.time, "full"))
        call = {"op": "scheduled", "time": world.time.isoformat(), "worker": "verify"}
        instruction = {"clock": world.time.isoformat()}
        host.together({**call, "instruction": instruction}, {**call, "instruction": instruction})
        (checked,) = world.sql("SELECT COUNT(*) AS runs FROM runs WHERE worker = 'verify'")
        assert checked["runs"] == 1

    def test_run_fails_without_the_database_and_the_next_one_continues(self, world: World, machine: Machine) -> None:
        write_and_deliver(world, machine.backup(world.time, "full"))
        assert world.cron("verify", broken=["DB"]) == "exception"
        world.pass_by(minutes=2)
        assert world.cron("verify") == "ok"
        assert finding_keys(world) == set()

    @pytest.mark.long
    def test_lost_database_is_rebuilt_from_the_manifests(self, world: World, machine: Machine) -> None:
        for hours, kind in ((0, "full"), (1, "incremental"), (24, "full")):
            write_and_deliver(world, machine.backup(world.time + timedelta(hours=hours), kind))
            world.cron("verify")
        listed = world.sql("SELECT key, class, run, kind, size, sha256, segment, source FROM objects ORDER BY key")
        world.forget()
        world.pass_by(hours=1)
        world.cron("verify")
        again = world.sql("SELECT key, class, run, kind, size, sha256, segment, source FROM objects ORDER BY key")
        assert again == listed
        assert finding_keys(world) == set()


def test_copy_is_verified_by_its_bytes_not_by_its_metadata(world: World, run: Run, offsite: Offsite) -> None:
    key = bundle(run)
    offsite.put(key, b"other bytes")
    offsite.relabel(key, hashlib.sha256(run.objects[key]).hexdigest())
    world.pass_by(days=6)
    world.cron("verify")
    assert finding_keys(world, "outcome = 'repaired'") == {("damaged", "offsite", key)}
    assert world.read("offsite", key) == run.objects[key]


def test_runs_are_recorded_with_their_counts(world: World, run: Run) -> None:
    (row,) = world.sql("SELECT outcome, detail FROM runs WHERE worker = 'verify'")
    detail = json.loads(row["detail"])
    assert row["outcome"] == "ok"
    assert (detail["promoted"], detail["repaired"], detail["wrong"], detail["failed"]) == (1, 0, 0, 0)
    assert detail["checked"] == len(run.objects) + 1 + 3 * (len(run.objects))
