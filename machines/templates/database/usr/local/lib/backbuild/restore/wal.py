"""The names of WAL files in pgBackRest's archive."""

from __future__ import annotations

import re

# A segment with the SHA-1 of its content, a backup's label, or a timeline's history.
FILE = re.compile(
    r"(?P<segment>[0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?|[0-9A-F]{24}\.[0-9A-F]{8}\.backup|[0-9A-F]{8}\.history"
)
HISTORY = re.compile(r"\d+-\d+")  # 17-1: PostgreSQL's major version, and pgBackRest's number of the group's database


def segment_of(name: str) -> str | None:
    """Return the segment's name if a file of the archive is a WAL segment."""
    found = FILE.fullmatch(name)
    return found["segment"] if found else None


def number_of(segment: str) -> int:
    """Return a segment's position in the WAL. Segments of different timelines can have the same one."""
    return int(segment[8:16], 16) << 8 | int(segment[16:], 16)


def timeline_of(segment: str) -> int:
    """Return a segment's timeline."""
    return int(segment[:8], 16)
