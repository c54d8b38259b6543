"""Find the restore points in WAL that no manifest lists yet."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from restore.repository import RUNTIME, output, pgbackrest
from restore.selection import Wanted
from restore.wal import segment_of, timeline_of

RECORD = re.compile(r"desc: RESTORE_POINT (backbuild-\d{8}T\d{6}Z)\s")


def scan(group: str, scanned: tuple[Wanted, ...]) -> dict[str, str]:
    """Return the segment that contains each restore point in fetched WAL; of several timelines, the oldest."""
    found: dict[str, str] = {}
    for one in scanned:
        segment = segment_of(Path(one.path).name)
        assert segment is not None
        for name in _points_in(group, one.path, segment):
            if name not in found or timeline_of(segment) < timeline_of(found[name]):
                found[name] = segment
    return found


def _points_in(group: str, path: str, segment: str) -> list[str]:
    file = RUNTIME / segment  # pg_waldump takes the segment's position from the file's name
    content = output(pgbackrest(group, "repo-get", path))
    if path.endswith(".zst"):
        content = subprocess.run(["zstd", "-dcq"], input=content, check=True, stdout=subprocess.PIPE).stdout
    try:
        file.write_bytes(content)
        dump = [f"{os.environ['POSTGRES_PROGRAMS']}/pg_waldump", "--rmgr=XLOG", file]
        # It fails at the end of the segment, where the next record would begin.
        return RECORD.findall(subprocess.run(dump, capture_output=True, text=True, check=False).stdout)
    finally:
        file.unlink(missing_ok=True)
