"""Judge an hour of faults: whether the status page counts the clients' outages, and which processes grow. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

SHIFT = 1 / 6
"""By which share of the period a turn may end earlier or later: the faults must not keep pace with the minutes."""
NOTICED_SECONDS = 2.0
"""A pause between two commits that counts as an outage."""
TOLERANCE_MINUTES = 1.0
"""The page asks once a minute, so it may count a minute more or less than an outage lasted."""
SAMPLED_SECONDS = (3.0, 15.0)
"""How long before and after the beginning of a minute the page's sample of it may be taken, with its answer."""
SKIPPED = 20
"""One of so many minutes may lack a sample, as on a busy computer; more missing samples could hide downtime."""
LEAST_SAMPLES = 9
GROWTH, ALLOWANCE = 1.1, 8 * 1024
"""How much more memory than before, in proportion and in KiB, a process may use in the last third of the time."""


def ends(seed: int, count: int, period: float) -> list[float]:
    """Return when each fault's turn ends, in seconds from the beginning: a turn takes about `period` seconds."""
    chance = random.Random(seed)
    shifts = [chance.uniform(-SHIFT, SHIFT) for _ in range(count - 1)]
    return [(number + shift) * period for number, shift in enumerate([*shifts, 0.0], 1)]


def tolerance(outages: Sequence[float]) -> float:
    """Return by how many minutes the page's downtime may differ from outages, given in seconds.

    The page asks once a minute. So a part of a minute counts as a whole one with the probability of that part, else not
    at all. Three standard deviations of the sum, and a minute.
    """
    parts = [one / 60 % 1 for one in outages]
    return 1 + 3 * math.sqrt(sum(part * (1 - part) for part in parts))


@dataclass(frozen=True)
class Faulted:
    """One fault, and the outages from its beginning to that of the next one. Times are seconds since 1970."""

    text: str
    begin: float
    end: float
    outage: float
    """Seconds in which the clients had no acknowledged commit."""
    minutes: int
    """Minutes that the status page counts as down."""

    @property
    def agrees(self) -> bool:
        """Whether the page's downtime differs from the clients' by at most a minute."""
        return abs(self.minutes - self.outage / 60) <= TOLERANCE_MINUTES


def outages(times: Sequence[float]) -> list[tuple[float, float]]:
    """Return the pauses between commits that count as outages, from times in their order."""
    return [(before, after) for before, after in pairwise(times) if after - before > NOTICED_SECONDS]


def compared(
    faults: Sequence[tuple[str, float]], end: float, pauses: Sequence[tuple[float, float]], down: Collection[int]
) -> list[Faulted]:
    """Return the clients' outages and the page's downtime of each fault, given as text and beginning, until `end`.

    `down`: the minutes since 1970 that the page counts as down. It asks at the beginning of each minute.
    """
    ends = [begin for _, begin in faults[1:]] + [end]
    return [
        Faulted(
            text,
            begin,
            until,
            sum(max(0.0, min(after, until) - max(before, begin)) for before, after in pauses),
            sum(begin <= minute * 60 < until for minute in down),
        )
        for (text, begin), until in zip(faults, ends, strict=True)
    ]


def overlooked(pauses: Sequence[tuple[float, float]], up: Collection[int]) -> list[int]:
    """Return the minutes since 1970 that the page counts as up, although the clients had an outage at their sample."""
    before, after = SAMPLED_SECONDS
    return sorted(
        minute
        for minute in up
        if any(begin <= minute * 60 - before and minute * 60 + after <= end for begin, end in pauses)
    )


def skipped(begin: float, end: float, sampled: Collection[int]) -> tuple[int, int]:
    """Return how many of the whole minutes between two moments the page did not sample, and how many there are."""
    minutes = range(math.ceil(begin / 60), int(end // 60))
    return sum(one not in sampled for one in minutes), len(minutes)


def judged(samples: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the processes that have enough samples to be judged."""
    return [name for name, sizes in samples.items() if len(sizes) >= LEAST_SAMPLES]


def grown(samples: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, int]]:
    """Return the processes that grew: their memory in KiB in the middle third of the samples, and in the last one.

    A process that was started again is small at first, so the middle third counts with its ninetieth percentile, and
    the last one with its median. Only processes with enough samples are judged.
    """
    found: dict[str, tuple[int, int]] = {}
    for name in judged(samples):
        sizes = samples[name]
        third = len(sizes) // 3
        before, after = sorted(sizes[third : 2 * third])[third * 9 // 10], int(median(sizes[-third:]))
        if after > before * GROWTH + ALLOWANCE:
            found[name] = before, after
    return found
