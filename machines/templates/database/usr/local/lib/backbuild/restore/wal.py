"""The names of WAL files in pgBackRest's archive."""

from __future__ import annotations

import re

SEGMENT = re.compile(r"([0-9A-F]{16}0{6}[0-9A-F]{2})-([0-9a-f]{40})(\.\w+)?")  # the segment, the SHA-1 of its content
TIMELINE_FILE = re.compile(r"([0-9A-F]{8})\.history")
BRANCH = re.compile(r"(\d+)\t([0-9A-F]+)/([0-9A-F]+)")  # of 4 GiB each, in segments of 16 MiB
HISTORY = re.compile(r"\d+-\d+")  # 17-1: PostgreSQL's major version, and pgBackRest's number of the group's database


def segment_of(name: str) -> str | None:
    """Return the segment's name if a file of the archive is a WAL segment."""
    found = SEGMENT.fullmatch(name)
    return found[1] if found else None


def sha1_of(name: str) -> str:
    """Return the SHA-1 of a segment's content, from the name of its file in the archive."""
    found = SEGMENT.fullmatch(name)
    assert found is not None
    return found[2]


def segment_at(timeline: int, number: int) -> str:
    """Return the name of a segment from its timeline and its position in the WAL."""
    return f"{timeline:08X}{number >> 8:08X}{number & 0xFF:08X}"


def number_of(segment: str) -> int:
    """Return a segment's position in the WAL. Segments of different timelines can have the same one."""
    return int(segment[8:16], 16) << 8 | int(segment[16:], 16)


def timeline_of(segment: str) -> int:
    """Return a segment's timeline."""
    return int(segment[:8], 16)


def leads_from(segment: str, timeline: str) -> bool:
    """Return whether a timeline contains the end of a segment. `timeline`: the content of its file.

    Each line of the file has an older timeline, and the position at which the next one left it.
    """
    left = [found for line in timeline.splitlines() if (found := BRANCH.match(line))]
    return any(
        int(found[1]) == timeline_of(segment) and int(found[2], 16) << 8 | int(found[3], 16) >> 24 > number_of(segment)
        for found in left
    )
