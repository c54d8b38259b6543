"""Restores each class on its own with pgBackRest and PostgreSQL, from the objects in the Workers' stores."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from harness.backup_manifests import sealed
from harness.backup_world import GROUP, World
from harness.offsite import Offsite
from harness.repository import Repository, repository
from harness.workerd import Host
from tests.machines.manifests import opened


def deliver_and_verify(world: World, made: Repository) -> None:
    world.time = datetime.now(UTC) + timedelta(minutes=1)
    world.deliver(world.write(made.written()))
    world.cron("verify")
    world.settle(1)


def objects_below(world: World, store: str, prefix: str) -> dict[str, bytes]:
    keys = [key for key in world.keys(store) if key.startswith(prefix)]
    return {key.removeprefix(prefix): world.read(store, key) or b"" for key in keys}


def add_point(made: Repository, run: str, name: str, segment: str) -> None:
    """List a restore point in the newest manifest, as a machine does."""
    path = made.bucket / f"manifests/{GROUP}/{run}.json"
    path.write_bytes(sealed({**opened(path.read_bytes()), "points": [{"name": name, "segments": {GROUP: segment}}]}))


@pytest.mark.long
def test_promoted_backup_is_restored_to_the_point_of_all_groups(host: Host, offsite: Offsite) -> None:
    world = World(host, offsite)
    with repository() as made:
        server = made.server
        server.sql("CREATE TABLE facts AS SELECT generate_series(1, 1000) AS n", "postgres")
        full = made.backup("full")
        finished = opened((made.bucket / f"manifests/{GROUP}/{full}.json").read_bytes())["finishedAt"]
        deliver_and_verify(world, made)
        server.sql("INSERT INTO facts SELECT generate_series(1001, 2000)", "postgres")
        while f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" <= finished:
            time.sleep(0.1)
        name = f"backbuild-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        segment = server.sql(f"SELECT pg_walfile_name(pg_create_restore_point('{name}'))", "postgres")
        server.sql("INSERT INTO facts SELECT generate_series(2001, 3000)", "postgres")
        add_point(made, made.backup("incr"), name, segment)
        deliver_and_verify(world, made)
        assert world.findings() == []
        alone = objects_below(world, "offsite", f"daily/{GROUP}/{full}/")
        options = ("--type=name", f"--target={name}", "--target-action=promote", f"--set={full}")
        with made.restored(alone, *options) as restored:
            restored.wait_for("SELECT NOT pg_is_in_recovery()")
            assert restored.sql("SELECT count(*), max(n) FROM facts", "postgres") == "2000|2000"
        # The moment at which the backup was consistent can still be restored, too.
        with made.restored(alone, "--type=immediate", "--target-action=promote", f"--set={full}") as restored:
            restored.wait_for("SELECT NOT pg_is_in_recovery()")
            assert restored.sql("SELECT count(*), max(n) FROM facts", "postgres") == "1000|1000"


@pytest.mark.long
def test_each_class_can_be_restored_on_its_own(host: Host, offsite: Offsite) -> None:
    world = World(host, offsite)
    with repository() as made:
        server = made.server
        server.sql("CREATE TABLE facts AS SELECT generate_series(1, 1000) AS n", "postgres")
        full = made.backup("full")
        deliver_and_verify(world, made)
        server.sql("INSERT INTO facts SELECT generate_series(1001, 3000)", "postgres")
        increment = made.backup("incr")
        deliver_and_verify(world, made)
        assert increment.startswith(f"{full}_")
        assert world.findings() == []

        # Each class has a complete repository of one backup, which is consistent without other objects.
        for store, name in (("offsite", "daily"), ("replica", "monthly"), ("primary", "yearly")):
            alone = objects_below(world, store, f"{name}/{GROUP}/{full}/")
            with made.restored(alone, "--type=immediate", "--target-action=promote", f"--set={full}") as restored:
                restored.wait_for("SELECT NOT pg_is_in_recovery()")
                assert restored.sql("SELECT count(*), max(n) FROM facts", "postgres") == "1000|1000"

        # A copy of the hourly class can be restored to its newest run.
        copy = objects_below(world, "offsite", "hourly/")
        with made.restored(copy, "--type=immediate", "--target-action=promote", f"--set={increment}") as restored:
            restored.wait_for("SELECT NOT pg_is_in_recovery()")
            assert restored.sql("SELECT count(*), max(n) FROM facts", "postgres") == "3000|3000"
