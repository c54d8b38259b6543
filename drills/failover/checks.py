"""Judge the recorded commits: stalls, lost commits, and two leaders that acknowledged commits at the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

LAST = float("inf")


@dataclass(frozen=True)
class Commit:
    """An acknowledged commit. Times are seconds of one monotonic clock."""

    group: str
    writer: str
    number: int
    begun: float
    acknowledged: float
    server: str
    timeline: str


@dataclass(frozen=True)
class Stall:
    """The longest time without an acknowledged commit, from the previous commit to the next one."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.begin


def longest_stall(times: Sequence[float], begin: float, end: float) -> Stall:
    """Return the longest stall that overlaps a period. `times` are sorted; before the first there is no stall."""
    first = next((time for time in reversed(times) if time <= begin), begin)
    moments = [first, *(time for time in times if begin < time <= end)]
    following = next((time for time in times if time > end), end)
    stalls = [Stall(*pair) for pair in zip(moments, [*moments[1:], following], strict=True)]
    return max(stalls, key=lambda stall: stall.seconds)


def lost(commits: Iterable[Commit], present: Collection[tuple[str, int]]) -> list[Commit]:
    """Return the acknowledged commits that the database does not have. `present` has writers and numbers."""
    return [one for one in commits if (one.writer, one.number) not in present]


def acknowledged_by_deposed(commits: Iterable[Commit]) -> list[Commit]:
    """Return the commits that a leader acknowledged although its group already had a later leader.

    Each promotion begins a new timeline. Such a commit began after the first acknowledgement on a later timeline.
    """
    by_group: dict[str, list[Commit]] = {}
    for one in commits:
        by_group.setdefault(one.group, []).append(one)
    return [one for group in by_group.values() for one in _stale(group)]


def _stale(commits: Sequence[Commit]) -> list[Commit]:
    first: dict[str, float] = {}  # the first acknowledgement on each timeline
    for one in commits:
        first[one.timeline] = min(first.get(one.timeline, LAST), one.acknowledged)
    superseded = LAST  # when the first later timeline began
    ends: dict[str, float] = {}
    for timeline in sorted(first, reverse=True):
        ends[timeline] = superseded
        superseded = min(superseded, first[timeline])
    return [one for one in commits if one.begun > ends[one.timeline]]
