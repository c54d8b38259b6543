"""Restores each class on its own with pgBackRest and PostgreSQL, from the objects in the Workers' stores."""

from datetime import UTC, datetime, timedelta

import pytest

from harness.backup_world import GROUP, World
from harness.offsite import Offsite
from harness.repository import Repository, repository
from harness.workerd import Host


def deliver_and_verify(world: World, made: Repository) -> None:
    world.time = datetime.now(UTC) + timedelta(minutes=1)
    world.deliver(world.write(made.written()))
    world.cron("verify")
    world.settle(1)


def objects_below(world: World, store: str, prefix: str) -> dict[str, bytes]:
    keys = [key for key in world.keys(store) if key.startswith(prefix)]
    return {key.removeprefix(prefix): world.read(store, key) or b"" for key in keys}


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
