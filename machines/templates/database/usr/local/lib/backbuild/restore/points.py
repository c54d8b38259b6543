"""Find the restore points in WAL that no manifest lists yet, and prove this WAL by the SHA-1 in its name."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from restore.archive import Wanted
from restore.copies import RestoreError
from restore.repository import RUNTIME, output, pgbackrest
from restore.wal import TIMELINE_FILE, leads_from, segment_of, sha1_of, timeline_of

RECORD = re.compile(r"desc: RESTORE_POINT (backbuild-\d{8}T\d{6}Z)\s")


def scan(copy: str, group: str, scanned: Iterable[Wanted]) -> dict[str, str]:
    """Return the segment that contains each restore point in fetched WAL; of several timelines, the oldest.

    Raises `RestoreError` if some of the WAL is damaged.
    """
    found: dict[str, str] = {}
    for one in scanned:
        segment = segment_of(Path(one.path).name)
        assert segment is not None
        for name in _points_in(_content(copy, group, one), segment):
            if name not in found or timeline_of(segment) < timeline_of(found[name]):
                found[name] = segment
    return found


def reachable(group: str, found: Mapping[str, str], last: str, wanted: Iterable[Wanted]) -> dict[str, str]:
    """Return the restore points whose timeline contains a run, by the files of the timelines among fetched objects.

    `last`: the run's last segment. After a restore in place to an earlier point, the run is on an abandoned timeline.
    """
    files = {int(name[1], 16): one.path for one in wanted if (name := TIMELINE_FILE.fullmatch(Path(one.path).name))}
    ways = {timeline_of(last): True}
    for timeline in {timeline_of(segment) for segment in found.values()} - ways.keys():
        content = output(pgbackrest(group, "repo-get", files[timeline])) if timeline in files else b""
        ways[timeline] = leads_from(last, content.decode())
    return {name: segment for name, segment in found.items() if ways[timeline_of(segment)]}


def prove(copy: str, group: str, wal: Iterable[Wanted]) -> None:
    """Raise `RestoreError` if one of fetched WAL segments is damaged."""
    for one in wal:
        _content(copy, group, one)


def _content(copy: str, group: str, one: Wanted) -> bytes:
    try:
        content = output(pgbackrest(group, "repo-get", one.path))
        if one.path.endswith(".zst"):
            content = output(["zstd", "-dcq"], content)
    except RestoreError as error:
        raise _damaged(copy, one, str(error)) from None
    if (sha1 := hashlib.sha1(content, usedforsecurity=False).hexdigest()) != sha1_of(Path(one.path).name):
        raise _damaged(copy, one, f"its content has the SHA-1 {sha1}")
    return content


def _damaged(copy: str, one: Wanted, reason: str) -> RestoreError:
    return RestoreError(
        f"{one.key} in {copy} is damaged: {reason}; restore from another copy, or to a point before this segment"
    )


def _points_in(content: bytes, segment: str) -> list[str]:
    file = RUNTIME / segment  # pg_waldump takes the segment's position from the file's name
    try:
        file.write_bytes(content)
        dump = [f"{os.environ['POSTGRES_PROGRAMS']}/pg_waldump", "--rmgr=XLOG", file]
        # It fails at the end of the segment, where the next record would begin.
        return RECORD.findall(subprocess.run(dump, capture_output=True, text=True, check=False).stdout)
    finally:
        file.unlink(missing_ok=True)
