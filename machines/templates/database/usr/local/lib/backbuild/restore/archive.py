"""Decide which WAL of a copy's archive a restore needs, and refuse an archive that lacks some of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from manifest import Json

from restore.catalogue import Listed
from restore.copies import RestoreError
from restore.wal import TIMELINE_FILE, number_of, segment_at, segment_of, timeline_of


@dataclass(frozen=True)
class Wanted:
    """An object that a restore needs: its key, its path in the repository, and what a manifest lists about it."""

    key: str
    path: str
    size: int
    sha256: str | None
    """None: no manifest lists the object yet. WAL is then proven by the SHA-1 in its name."""


@dataclass(frozen=True)
class Limit:
    """The WAL that a restore to a moment needs at most."""

    number: int
    below: int
    """WAL of older timelines than this one is wanted to its end: it may have points that no manifest lists."""

    def allows(self, segment: str) -> bool:
        """Return whether a segment is within the limit."""
        return number_of(segment) <= self.number or timeline_of(segment) < self.below


def limit_of(points: Mapping[str, str], upto: str | None, last: str) -> Limit | None:
    """Return the limit for a restore to a point that is named `upto` or earlier; None if all WAL is needed.

    `points`: the last segment of each listed restore point. `last`: the last segment that the run needs. Names sort by
    time; segments do not, because a restore in place begins a new timeline at an earlier segment.
    """
    later = min((name for name in points if upto is not None and name >= upto), default=None)
    if upto is None or later is None:
        return None
    if later == upto:
        return Limit(max(number_of(points[upto]), number_of(last)), 0)
    around = [last, points[later], *(points[name] for name in [max((n for n in points if n < upto), default=later)])]
    return Limit(max(map(number_of, around)), timeline_of(points[later]))


@dataclass(frozen=True)
class Archive:
    """The WAL archive of one history in a copy."""

    copy: str
    """The copy's name."""
    root: str
    """What the keys of the repository begin with, such as `hourly/`."""
    folder: str
    """What the keys of the history begin with, such as `hourly/archive/worker-1/17-1/`."""
    stored: Sequence[Json]
    """The stored objects. Those that pgBackRest would not read are ignored."""
    listed: Mapping[str, Listed]
    """The WAL that manifests list, by key. Of several files of one segment, the listed one counts."""

    def wal(self, first: str, limit: Limit | None = None) -> dict[str, Wanted]:
        """Return the WAL from a segment on, by segment. Raises `RestoreError` if some is missing or damaged."""
        start = number_of(first)
        found: dict[str, Wanted] = {}
        for one in self.stored:
            segment = self._segment(one["Key"], start, limit)
            if segment and (segment not in found or one["Key"] in self.listed):
                found[segment] = self._wanted(one)
        self._refuse_absent(found, start, limit)
        self._refuse_other_sizes(found.values())
        self._refuse_gaps(found, start)
        self._refuse_timelines(found, timeline_of(first))
        return found

    def timelines(self) -> dict[int, Wanted]:
        """Return the files that describe timelines, by timeline."""
        return {
            int(name[1], 16): self._wanted(one)
            for one in self.stored
            if (name := TIMELINE_FILE.fullmatch(one["Key"].removeprefix(self.folder)))
        }

    def newest_timeline(self) -> int:
        """Return the highest timeline that occurs: a new one must be higher."""
        used = [timeline_of(segment) for one in self.stored if (segment := self._segment(one["Key"], 0, None))]
        return max([1, *used, *self.timelines()])

    def _segment(self, key: str, start: int, limit: Limit | None) -> str | None:
        """Return the segment if a key is that of a wanted WAL file, at the place where pgBackRest looks for it."""
        name = key.rpartition("/")[2]
        segment = segment_of(name)
        if segment is None or key != f"{self.folder}{segment[:16]}/{name}" or number_of(segment) < start:
            return None
        return segment if limit is None or limit.allows(segment) else None

    def _wanted(self, one: Json) -> Wanted:
        known = self.listed.get(one["Key"])
        return Wanted(one["Key"], one["Key"].removeprefix(self.root), one["Size"], known.sha256 if known else None)

    def _refuse_absent(self, found: Mapping[str, Wanted], start: int, limit: Limit | None) -> None:
        keys = {one["Key"] for one in self.stored}
        for key in sorted(self.listed):
            segment = self._segment(key, start, limit)
            if segment and key not in keys and (segment not in found or found[segment].sha256 is None):
                raise RestoreError(f"{self.copy} lacks {key}; restore from another copy")

    def _refuse_other_sizes(self, found: Iterable[Wanted]) -> None:
        for one in found:
            if one.key in self.listed and self.listed[one.key].size != one.size:
                raise RestoreError(
                    f"{one.key} in {self.copy} has another size than its manifest lists; restore from another copy"
                )

    def _refuse_gaps(self, found: Mapping[str, Wanted], start: int) -> None:
        reached = start - 1
        for timeline in sorted({timeline_of(segment) for segment in found}):
            numbers = sorted(number_of(segment) for segment in found if timeline_of(segment) == timeline)
            expected = min(numbers[0], reached + 1)
            for number in numbers:
                if number != expected:
                    raise RestoreError(
                        f"the WAL in {self.copy} has a gap: segment {segment_at(timeline, expected)} is missing, and "
                        f"{found[segment_at(timeline, number)].key} exists; restore from another copy, or to a point "
                        "before the gap"
                    )
                expected += 1
            reached = max(reached, numbers[-1])

    def _refuse_timelines(self, found: Mapping[str, Wanted], own: int) -> None:
        """Without its file, PostgreSQL does not find the way to another timeline than that of the backup."""
        known = self.timelines()
        for segment in sorted(found):
            if timeline_of(segment) > own and timeline_of(segment) not in known:
                raise RestoreError(
                    f"{self.copy} lacks {self.folder}{segment[:8]}.history, and {found[segment].key} exists; restore "
                    "from another copy, or to a point before that timeline"
                )
