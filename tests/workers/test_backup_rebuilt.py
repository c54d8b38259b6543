"""Backups of a group that was rebuilt under its old name: the machine's own scripts, PostgreSQL and pgBackRest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.backup_world import GROUP
from harness.postgres import programs
from harness.repository import Folder, Repository, repository
from harness.scripts import UP, on_the_leader

BACKUP = "/usr/local/sbin/backbuild-backup"
AGE = "/usr/local/lib/backbuild/backup-age"
WAITING = "/usr/local/lib/backbuild/wal-waiting"


@pytest.fixture
def made() -> Iterator[Repository]:
    with repository() as found:
        yield found


def figure(made: Repository, path: str) -> int:
    done = on_the_leader(made, path)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def archived(made: Repository) -> list[str]:
    """Return the histories of the archive that have WAL, such as `17-1`, oldest first."""
    objects = Folder(made.bucket).objects(f"hourly/archive/{GROUP}/")
    keys = [one["Key"] for one in objects if "/archive.info" not in one["Key"]]
    return sorted({key.split("/")[3] for key in keys}, key=lambda name: name.partition("-")[2])


def stored(made: Repository) -> dict[str, bytes]:
    """Return all objects in the primary bucket, by key."""
    return {one["Key"]: made.bucket.joinpath(one["Key"]).read_bytes() for one in Folder(made.bucket).objects("")}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """Return the names of the files that were deleted or changed, without the ending of copies."""
    return {Path(key).name.removesuffix(".copy") for key, body in before.items() if after.get(key) != body}


@pytest.mark.long
def test_rebuilt_group_is_backed_up_beside_the_old_backups(made: Repository) -> None:
    done = on_the_leader(made, BACKUP, "full")
    assert done.returncode == 0, done.stderr
    first = made.sign()
    made.server.sql("CREATE TABLE facts AS SELECT 1 AS life", "postgres")
    before = stored(made)

    made.make_anew()
    made.server.sql("CREATE TABLE facts AS SELECT 2 AS life", "postgres")
    # The rebuilt database has no backup yet; that of the old database does not count. Its WAL is not archived.
    assert figure(made, AGE) == UP
    made.server.sql("SELECT pg_switch_wal()", "postgres")
    made.server.wait_for("SELECT failed_count > 0 FROM pg_stat_archiver")
    waiting = made.server.data / "pg_wal/archive_status"
    oldest = min(waiting.glob("*.ready"))
    subprocess.run(["touch", "-d", "-1000 seconds", oldest], check=True)
    assert 1000 <= figure(made, WAITING) < 1100

    done = on_the_leader(made, BACKUP, "incr")
    assert done.returncode == 0, done.stderr
    second = made.sign()
    made.server.wait_for("SELECT last_archived_time > coalesce(last_failed_time, '-infinity') FROM pg_stat_archiver")
    assert [name.partition("-")[2] for name in archived(made)] == ["1", "2"]
    assert figure(made, AGE) < UP
    assert figure(made, WAITING) < 900
    # The first backup of a database is a full one, even if an increment was requested. The next one is an increment.
    assert second.endswith("F")
    assert on_the_leader(made, BACKUP, "incr").returncode == 0
    third = made.sign()
    assert third.startswith(f"{second}_")

    # No object of the old database was deleted or changed, except pgBackRest's indexes, which list both databases.
    after = stored(made)
    assert changed(before, after) <= {"archive.info", "backup.info"}

    # Both databases can be restored.
    held = {key.removeprefix("hourly/"): body for key, body in after.items() if key.startswith("hourly/")}
    for run, life in ((first, "1"), (third, "2")):
        options = ("--type=immediate", "--target-action=promote", f"--set={run}")
        with made.restored(held, *options) as restored:
            restored.wait_for("SELECT NOT pg_is_in_recovery()")
            if life == "2":
                assert restored.sql("SELECT life FROM facts", "postgres") == life
            else:  # backed up before the table was made
                assert restored.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'facts'", "postgres") == "0"


def test_a_lost_repository_gets_no_new_stanza(made: Repository) -> None:
    """The backup Workers bring its objects back. A stanza with new keys could not read them."""
    assert on_the_leader(made, BACKUP, "full").returncode == 0
    kept = made.folder / "kept"
    stanza = made.bucket / "hourly"
    for lost in (stanza, stanza / "archive", stanza / "backup"):  # all of it, or one index
        lost.rename(kept)
        stanza.mkdir(exist_ok=True)
        left = {path.name for path in made.bucket.rglob("*.info")}
        done = on_the_leader(made, BACKUP, "incr")
        assert done.returncode == 1, done.stderr
        assert f"the repository of {GROUP} has lost its indexes" in done.stderr
        assert {path.name for path in made.bucket.rglob("*.info")} == left
        shutil.rmtree(lost, ignore_errors=True)
        kept.rename(lost)
    done = on_the_leader(made, BACKUP, "incr")
    assert done.returncode == 0, done.stderr
    assert made.sign().endswith("I")


@pytest.mark.long
def test_a_copied_database_without_repository_gets_one(made: Repository) -> None:
    """A dump of another cluster's database has that cluster's row."""
    assert on_the_leader(made, BACKUP, "full").returncode == 0
    made.make_anew()
    made.server.sql(
        "CREATE SCHEMA backbuild; CREATE TABLE backbuild.repositories (cluster bigint PRIMARY KEY)", "postgres"
    )
    made.server.sql("INSERT INTO backbuild.repositories VALUES (1)", "postgres")
    shutil.rmtree(made.bucket / "hourly")
    (made.bucket / "hourly").mkdir()
    if os.getuid() == 0:
        shutil.chown(made.bucket / "hourly", "postgres", "postgres")
    done = on_the_leader(made, BACKUP, "full")
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_manifest_is_not_written_while_only_the_old_database_archived_that_wal(made: Repository) -> None:
    """The old and the rebuilt database start with the same segment names."""
    assert on_the_leader(made, BACKUP, "full").returncode == 0
    made.sign()
    made.make_anew()
    assert on_the_leader(made, BACKUP, "full").returncode == 0
    own = made.bucket / "hourly/archive" / GROUP
    (newer,) = (path for path in own.iterdir() if path.name.endswith("-2"))
    for segment in newer.rglob("0*-*"):
        if segment.is_file():
            segment.unlink()
    with pytest.raises(AssertionError, match="not archived yet; remedy: check archive_command"):
        made.sign()


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="an earlier PostgreSQL is packaged for amd64 only")
def test_group_is_backed_up_after_a_major_upgrade_and_both_versions_are_restored() -> None:
    """pgBackRest sees the same as after pg_upgrade: its stanza, with a database of another version and identity."""
    with repository(former=True) as made:
        former = made.server.programs
        made.server.sql("CREATE TABLE facts AS SELECT 1 AS life", "postgres")
        assert on_the_leader(made, BACKUP, "full").returncode == 0
        first = made.sign()
        before = stored(made)

        made.make_anew()
        made.server.sql("CREATE TABLE facts AS SELECT 2 AS life", "postgres")
        assert figure(made, AGE) == UP
        done = on_the_leader(made, BACKUP, "incr")
        assert done.returncode == 0, done.stderr
        second = made.sign()
        made.server.wait_for("SELECT last_archived_time IS NOT NULL FROM pg_stat_archiver")
        assert second.endswith("F")
        assert archived(made) == ["14-1", f"{programs().parent.name}-2"]
        assert figure(made, AGE) < UP

        after = stored(made)
        assert changed(before, after) <= {"archive.info", "backup.info"}
        held = {key.removeprefix("hourly/"): body for key, body in after.items() if key.startswith("hourly/")}
        for run, life, version in ((first, "1", former), (second, "2", programs())):
            options = ("--type=immediate", "--target-action=promote", f"--set={run}")
            with made.restored(held, *options, version=version) as restored:
                restored.wait_for("SELECT NOT pg_is_in_recovery()")
                assert restored.sql("SELECT life FROM facts", "postgres") == life
