"""Files that PostgreSQL archives again, although they are in the archive, and cannot be written there again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.repository import Repository, repository
from harness.scripts import on_the_leader, programs_for, script_of

ARCHIVED = "/usr/local/lib/backbuild/archived"


@pytest.fixture
def made() -> Iterator[Repository]:
    with repository() as found:
        found.backup("full")
        yield found


def label_file(made: Repository) -> Path:
    """Return the file with the label of the backup. PostgreSQL has archived it like a segment."""
    made.server.wait_for("SELECT last_archived_wal LIKE '%.backup' FROM pg_stat_archiver")
    return max((made.server.data / "pg_wal").glob("*.backup"))


def test_only_a_file_that_the_archive_has_with_the_same_bytes_is_archived(made: Repository) -> None:
    label = label_file(made)
    assert on_the_leader(made, ARCHIVED, label.name, str(label)).returncode == 0
    other = made.folder / "other"
    other.write_bytes(label.read_bytes() + b"#")
    other.chmod(0o644)
    assert on_the_leader(made, ARCHIVED, label.name, str(other)).returncode == 1
    for absent in ("00000009.history", f"{label.name[:24]}.00000000.backup", f"{label.name[:24]}.partial"):
        assert on_the_leader(made, ARCHIVED, absent, str(label)).returncode == 1


def test_segments_are_left_to_pgbackrest(made: Repository) -> None:
    segment = made.server.data / "pg_wal" / label_file(made).name[:24]
    assert on_the_leader(made, ARCHIVED, segment.name, str(segment)).returncode == 1


def test_archiving_goes_on_after_a_file_that_cannot_be_written_again(made: Repository) -> None:
    """As after a crash between an upload and PostgreSQL's note of it, if the bucket's lock forbids a second upload."""
    label = label_file(made)
    (stored,) = made.bucket.rglob(label.name)
    stored.with_name(f"{stored.name}.pgbackrest.tmp").mkdir()  # pgBackRest writes there first
    script = made.folder / "archived"
    script.write_text(script_of(made, ARCHIVED))
    push = made.server.sql("SHOW archive_command", "postgres")
    command = f"{push} || PATH={programs_for(made)} sh {script} %f %p"
    made.server.sql(f"ALTER SYSTEM SET archive_command = '{command}'", "postgres")
    made.server.sql("SELECT pg_reload_conf()", "postgres")
    made.server.wait_for(f"SELECT current_setting('archive_command') LIKE '%{script}%'")
    status = made.server.data / "pg_wal/archive_status"
    shutil.move(status / f"{label.name}.done", status / f"{label.name}.ready")
    segment = made.server.sql("CREATE TABLE more AS SELECT 1 AS n; SELECT pg_walfile_name(pg_switch_wal())", "postgres")
    made.server.wait_for(f"SELECT last_archived_wal >= '{segment[:24]}' FROM pg_stat_archiver")
    assert (status / f"{label.name}.done").exists()
