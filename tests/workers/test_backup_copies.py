"""Tests of the list of copies: a fourth copy, an added one, a removed one, and the migration to the table of copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness.backup_world import GROUP, Machine, Run, World
from harness.copies import ARCHIVE, BINDINGS, WITH_ARCHIVE, verified
from harness.offsite import Offsite
from harness.workerd import Host
from model.worker_modules import WORKERS
from tests.lanes import first

HOST = ARCHIVE["endpoint"].removeprefix("https://")
EVERYWHERE = ("primary", "replica", "offsite", "archive")


@pytest.fixture(scope="module")
def elsewhere(offsite: Offsite) -> Iterator[Offsite]:
    """A second S3 server, at an address that is not Amazon's."""
    elsewhere = Offsite(ARCHIVE["bucket"], ARCHIVE["region"])
    offsite.others[HOST] = elsewhere
    yield elsewhere
    del offsite.others[HOST]
    elsewhere.close()


@pytest.fixture
def archive(elsewhere: Offsite) -> Offsite:
    """The second S3 server with an empty bucket."""
    elsewhere.empty()
    return elsewhere


@pytest.fixture
def world(host: Host, offsite: Offsite, archive: Offsite) -> World:
    """Backups with four copies."""
    world = World(host, offsite, **WITH_ARCHIVE)
    world.others["archive"] = archive
    return world


def made(world: World, machine: Machine, kind: str = "full") -> Run:
    """Make a run, replicate it and verify it."""
    run = machine.backup(world.time, kind)
    world.time = run.finished
    world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))
    world.pass_by(minutes=5)
    world.cron("verify")
    return run


def verified_at(world: World, copy: str, key: str) -> str | None:
    """Return the time of an object's last verification in a copy."""
    (row,) = world.sql(f"SELECT {verified(copy)} AS at FROM objects WHERE key = '{key}'")
    return row["at"]


class TestFourCopies:
    def test_every_object_is_copied_to_and_verified_in_the_fourth_copy(self, world: World) -> None:
        made(world, Machine())
        world.settle(2)
        digests = [world.digests(store) for store in EVERYWHERE]
        assert digests[0]
        assert digests == digests[:1] * 4
        (row,) = world.sql("SELECT COUNT(*) AS rows, COUNT(verified_at) AS verified FROM object_copies")
        (listed,) = world.sql("SELECT COUNT(*) AS objects FROM objects")
        assert row["rows"] == row["verified"] == 4 * listed["objects"]
        assert world.findings("closed_at IS NULL") == []

    def test_requests_to_another_store_have_the_bucket_in_the_path_and_a_signature_for_its_host(
        self, world: World, archive: Offsite
    ) -> None:
        run = made(world, Machine())
        key = next(iter(run.objects))
        assert world.read("archive", key) == run.objects[key]
        assert archive.requests
        for asked in archive.requests:
            headers = {name: asked.headers[name] for name in asked.signed if name not in ("host", "x-amz-date")}
            request = AWSRequest(asked.method, f"https://{HOST}{asked.path}", headers=headers)
            request.context["timestamp"] = asked.headers["x-amz-date"]
            request.headers["X-Amz-Date"] = asked.headers["x-amz-date"]
            keys = Credentials(
                WITH_ARCHIVE["COPY_ARCHIVE_ACCESS_KEY_ID"], WITH_ARCHIVE["COPY_ARCHIVE_SECRET_ACCESS_KEY"]
            )
            signer = S3SigV4Auth(keys, "s3", ARCHIVE["region"])
            signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
            assert asked.headers["authorization"].endswith(f"Signature={signature}")

    @pytest.mark.long
    def test_objects_are_locked_for_the_retention_of_their_class(self, world: World, archive: Offsite) -> None:
        run = made(world, Machine())
        assert set(archive.locks) >= {*run.objects, run.key}
        days = {key.split("/")[0]: until for key, until in archive.locks.items()}
        assert days["hourly"] < days["daily"] < days["monthly"] < days["yearly"]

    @pytest.mark.parametrize("store", first(1, ["primary", "archive"]))
    def test_a_damaged_object_is_repaired_from_the_other_copies(self, world: World, store: str) -> None:
        run = made(world, Machine())
        key = next(key for key in run.objects if "bundle" in key)
        world.write({key: b"x" * len(run.objects[key])}, store)
        world.pass_by(days=6, hours=1)
        world.cron("verify")
        assert world.read(store, key) == run.objects[key]
        assert [(one["kind"], one["store"], one["outcome"]) for one in world.findings("kind = 'damaged'")] == [
            ("damaged", store, "repaired")
        ]

    def test_failed_store_does_not_block_other_stores(self, world: World, archive: Offsite) -> None:
        archive.fail = True
        run = Machine().backup(world.time, "full")
        events = world.write(run.objects)
        assert world.deliver(events) == events
        assert all(world.read(store, key) == body for store in EVERYWHERE[:3] for key, body in run.objects.items())
        archive.fail = False
        assert world.deliver(events) == []
        assert world.keys("archive") == sorted(run.objects)

    @pytest.mark.long
    def test_expired_objects_are_deleted_there_too(self, world: World) -> None:
        machine = Machine()
        old = made(world, machine)
        for _ in range(4):
            world.pass_by(days=3)
            made(world, machine)
        for hour in range(60):
            world.pass_by(hours=1)
            if hour % 12 == 0:
                world.cron("verify")
            world.cron("age-out")
        gone = [key for key in old.objects if key.startswith("hourly/backup/")]
        assert gone
        assert not [key for store in EVERYWHERE for key in gone if key in world.keys(store)]
        listed = ", ".join(f"'{key}'" for key in gone)
        assert world.sql(f"SELECT * FROM object_copies WHERE key IN ({listed})") == []


class TestAddedCopy:
    @pytest.fixture
    def world(self, host: Host, offsite: Offsite, archive: Offsite) -> World:
        """Backups with three copies, and a fourth store that is not a copy yet."""
        world = World(host, offsite)
        world.others["archive"] = archive
        return world

    @pytest.mark.parametrize("worker", first(1, ["verify", "replicate"]))
    def test_existing_objects_are_copied_there_without_findings(self, world: World, worker: str) -> None:
        run = made(world, Machine())
        before = verified_at(world, "offsite", run.key)
        world.rebind(**WITH_ARCHIVE)
        world.pass_by(minutes=20)
        world.cron(worker)
        if worker == "replicate":
            world.cron("verify")  # adds the copy to the catalogue
            world.pass_by(minutes=20)
            world.cron("replicate")
        world.settle(2)
        assert world.digests("archive") == world.digests("primary")
        assert verified_at(world, "archive", run.key) is not None
        assert verified_at(world, "offsite", run.key) >= (before or "")
        assert world.findings("kind NOT IN ('unlisted', 'missed')") == []

    @pytest.mark.long
    def test_objects_listed_by_an_older_deployment_are_copied_there(self, world: World, host: Host) -> None:
        machine = Machine()
        made(world, machine)
        host.ask("rebind", bindings=WITH_ARCHIVE, worker="verify")
        world.cron("verify")
        run = machine.backup(world.time, "incremental")
        world.time = run.finished
        world.deliver(
            world.write(run.objects) + world.write({run.key: run.envelope})
        )  # handled by the older deployment of replicate
        world.rebind(**WITH_ARCHIVE)
        world.settle(3)
        assert world.digests("archive") == world.digests("primary")


class TestRemovedCopy:
    def test_last_good_bytes_are_a_finding_until_the_copy_is_added_again(self, world: World) -> None:
        run = made(world, Machine())
        key = next(key for key in run.objects if "bundle" in key)
        for store in EVERYWHERE[:3]:
            world.write({key: b"x" * len(run.objects[key])}, store)
        lost = f"key IN (SELECT key FROM objects WHERE sha256 = (SELECT sha256 FROM objects WHERE key = '{key}'))"
        # Damage the promoted objects with the same bytes as well, so that nothing can repair it.
        for one in world.sql(f"SELECT key FROM objects WHERE {lost} AND key <> '{key}'"):
            for store in EVERYWHERE:
                world.write({one["key"]: b"y" * len(run.objects[key])}, store)
        world.sql(
            f"UPDATE object_copies SET verified_at = NULL WHERE {lost} AND NOT (key = '{key}' AND copy = 'archive')"
        )
        world.rebind(**BINDINGS)
        world.pass_by(minutes=2)
        world.cron("verify")
        (found,) = world.findings("kind = 'stranded' AND closed_at IS NULL")
        assert (found["store"], found["key"]) == ("archive", key)
        assert "the copy archive was removed from backups.copies" in found["detail"]
        world.pass_by(days=7)
        world.cron("verify")
        assert verified_at(world, "archive", key) is not None
        assert world.findings(f"kind = 'lost' AND key = '{key}'") == []
        assert world.read("archive", key) == run.objects[key]
        # When the copy is added again, the others are repaired from it.
        world.rebind(**WITH_ARCHIVE)
        world.settle(3)
        assert [world.read(store, key) for store in EVERYWHERE] == [run.objects[key]] * 4
        assert world.findings("kind = 'stranded' AND closed_at IS NULL") == []

    @pytest.mark.long
    def test_its_rows_are_deleted_after_all_objects_were_verified_elsewhere(self, world: World) -> None:
        run = made(world, Machine())
        world.settle(1)
        world.rebind(**BINDINGS)
        world.pass_by(minutes=2)
        world.cron("verify")
        assert world.sql("SELECT name FROM copies WHERE removed_at NOTNULL") == [{"name": "archive"}]
        assert verified_at(world, "archive", run.key) is not None
        world.pass_by(days=7)
        world.cron("verify")
        world.pass_by(minutes=2)
        world.cron("verify")
        assert world.sql("SELECT name FROM copies ORDER BY name") == [
            {"name": name} for name in ("offsite", "primary", "replica")
        ]
        assert world.sql("SELECT * FROM object_copies WHERE copy = 'archive'") == []
        assert world.findings("kind = 'stranded'") == []

    @pytest.mark.long
    def test_its_findings_are_closed(self, world: World) -> None:
        run = made(world, Machine())
        key = next(key for key in run.objects if "bundle" in key)
        world.sql(
            "INSERT INTO findings (kind, store, key, detail, found_at, seen_at) VALUES "
            f"('damaged', 'archive', '{key}', 'x', '2027-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z')"
        )
        world.rebind(**BINDINGS)
        world.cron("verify")
        (found,) = world.findings("kind = 'damaged'")
        assert found["outcome"] == "copy removed"


class TestMigration:
    OLD = ("0001_runs", "0002_catalogue")
    CHECKED = "2026-12-31T00:00:00.000Z"

    @pytest.fixture
    def world(self, host: Host, offsite: Offsite) -> World:
        """Workers with an empty database, before any migration."""
        host.anew()
        return World(host, offsite)

    def old_tables(self, world: World) -> None:
        """Create the tables of the release before, with two objects."""
        for name in self.OLD:
            for statement in (WORKERS / f"backups/migrations/{name}.sql").read_text().split("\n\n"):
                world.sql(statement)
        world.sql(
            "CREATE INDEX objects_by_verification ON objects (min(primary_at, replica_at, offsite_at), listed_at)"
        )
        columns = "key, grp, class, run, manifest, kind, size, sha256, stored_at, listed_at, check_after"
        for key, times in (("hourly/a", (self.CHECKED, self.CHECKED, None)), ("hourly/b", (None, None, None))):
            values = ", ".join("NULL" if time is None else f"'{time}'" for time in times)
            world.sql(
                f"INSERT INTO objects ({columns}, primary_at, replica_at, offsite_at) VALUES ('{key}', '{GROUP}', "
                f"'hourly', 'run', 'run', 'backup', 5, 'x', '{self.CHECKED}', '2026-12-30', '2999', {values})"
            )

    def known(self, world: World) -> list[dict[str, Any]]:
        return world.sql("SELECT key, copy, since, verified_at FROM object_copies ORDER BY key, copy")

    def expected(self) -> list[dict[str, Any]]:
        return [
            {"key": f"hourly/{key}", "copy": copy, "since": "2026-12-30", "verified_at": time}
            for key, copy, time in (
                ("a", "offsite", None),
                ("a", "primary", self.CHECKED),
                ("a", "replica", self.CHECKED),
                ("b", "offsite", None),
                ("b", "primary", None),
                ("b", "replica", None),
            )
        ]

    def test_verification_times_move_into_the_table_of_copies(self, world: World) -> None:
        self.old_tables(world)
        world.cron("verify")
        assert self.known(world) == self.expected()
        assert "primary_at" not in world.sql("SELECT sql FROM sqlite_master WHERE name = 'objects'")[0]["sql"]

    def test_failed_migration_is_rolled_back_and_applied_by_the_next_call(self, world: World) -> None:
        self.old_tables(world)
        before = world.sql("SELECT name, sql FROM sqlite_master WHERE name LIKE 'object%' ORDER BY name")
        rows = world.sql("SELECT * FROM objects ORDER BY key")
        # Its last statement fails, after it has moved all rows and dropped the columns.
        world.sql("CREATE TABLE obstacle (x)")
        world.sql("CREATE INDEX object_copies_by_verification ON obstacle (x)")
        assert world.cron("verify") == "exception"
        world.sql("DROP TABLE obstacle")
        assert world.sql("SELECT name, sql FROM sqlite_master WHERE name LIKE 'object%' ORDER BY name") == before
        assert world.sql("SELECT * FROM objects ORDER BY key") == rows
        assert world.cron("verify") == "ok"
        assert self.known(world) == self.expected()

    @pytest.mark.parametrize("fallen", first(2, range(6)))
    def test_migration_survives_a_crash_at_any_step(self, world: World, fallen: int) -> None:
        self.old_tables(world)
        world.cron("verify", fall={"at": fallen, "after": fallen % 2 == 0})
        world.pass_by(minutes=6)  # beyond the lease
        world.cron("verify")
        assert self.known(world) == self.expected()

    def test_concurrent_workers_apply_the_migration_once(self, world: World, host: Host) -> None:
        self.old_tables(world)
        at = world.time.isoformat()
        outcomes = host.together(
            *(
                {"op": "scheduled", "time": at, "worker": worker, "instruction": {"clock": at}}
                for worker in ("verify", "replicate", "age-out")
            )
        )
        assert set(outcomes) <= {"ok"}
        assert self.known(world) == self.expected()
