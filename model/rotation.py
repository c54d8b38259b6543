"""The rotation: how long what is kept where, and from it the rules of every bucket and what the Workers go by.

The one place where that is decided; everything here is arithmetic on the settings. Nothing here imports Pulumi.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.configuration import DAYS_A_MONTH, DAYS_A_YEAR
from model.settings import Backups, Rotation

# The age-out Worker deletes what is no longer needed; a bucket's own rule knows prefixes and ages, but not which backup
# needs which, so it may only come when nothing of that age can be needed any more. How old that may be, with a full
# backup a day:
#
# - hourly: an increment is kept keep_days and rests on a full backup that ended up to a day before it: keep_days + 1.
#   The point-in-time window is at most keep_days - 1; it begins on the newest run before it, an hour older, which rests
#   on a full backup a day older: less. The newest N full backups: N days.
# - daily, monthly, yearly: keep_days after the run ended; put there after that, so the object itself is younger.
# - manifests: a day longer than the last thing that they list.
#
# That makes max(keep_days + 1, N) at most, and the rule comes BACKSTOP_DAYS after max(keep_days, N). Each day without a
# full backup makes what is needed a day older: 29 of them pass before a rule takes what a kept backup needs, and people
# have been told for 28 (a full backup is missed after 26 hours). Beyond that no rule by age is right; what to do then
# stands in docs/retention.md.
BACKSTOP_DAYS = 30
_ARCHIVE = "hourly/archive/"  # WAL, by group


@dataclass(frozen=True)
class Retention:
    """What lies below some prefixes, as the bucket rules see it, in whole days: lock <= keep < expire."""

    name: str
    keep_days: int
    """The age-out Worker leaves it for so long, and longer when something needs it."""
    lock_days: int
    """Nobody deletes or overwrites a `locked` object that is younger than this."""
    expire_days: int
    """A rule deletes an `expiring` object that is older than this."""
    locked: tuple[str, ...]
    expiring: tuple[str, ...]


def keep_days(rotation: Rotation) -> dict[str, int]:
    """Each class, shortest first, and the days that a run stays in it after it ended.

    Increments and WAL need the full backup they build on, which may be a day older than the first of them, so that
    class keeps one day more than the policy says.
    """
    return {
        "hourly": rotation.hourly_days + 1,
        "daily": rotation.daily_days,
        "monthly": rotation.monthly_months * DAYS_A_MONTH,
        "yearly": rotation.yearly_years * DAYS_A_YEAR,
    }


def retention_of(rotation: Rotation, groups: Sequence[str], postgres_major: int) -> tuple[Retention, ...]:
    """The bucket rules of a rotation: its classes, shortest first, and the manifests of what is in them.

    `groups` are those that are backed up, by name. The hourly class is the one that the backup tool writes itself, and
    where not every object is a backup. The tool rewrites its index and the manifest of a running backup, which a lock
    would refuse: locked is what is written once, the WAL. And it writes an archive's description once and needs it for
    ever: expiring are the backups and the WAL beside it.
    """
    keep = keep_days(rotation)
    hourly, longest = keep["hourly"], max(keep.values())
    wal = tuple(f"{_ARCHIVE}{group}/{postgres_major}-" for group in groups)
    return (
        Retention(
            "hourly",
            hourly,
            lock_days=hourly,
            expire_days=max(hourly, rotation.minimum_fulls) + BACKSTOP_DAYS,
            locked=wal,
            expiring=("hourly/backup/", *wal),
        ),
        *(_whole(name, days, lock_days=days) for name, days in keep.items() if name != "hourly"),
        # A manifest goes with what it lists, which nobody knows when it is written: locked as long as any run is kept.
        _whole("manifests", longest, lock_days=hourly),
    )


def in_rule_order(
    retention: Sequence[Retention], prefixes: Callable[[Retention], tuple[str, ...]]
) -> list[tuple[Retention, str]]:
    """Each prefix with its retention, in the order of a bucket's rules: fixed ones first, then those of the groups.

    A new worker group appends to such a list and moves nothing in it.
    """
    pairs = [(kept, prefix) for kept in retention for prefix in prefixes(kept)]
    return sorted(pairs, key=lambda pair: pair[1].startswith(_ARCHIVE))  # stable: groups stay in their order


def binding_of(backups: Backups) -> dict[str, object]:
    """What the Workers are told of it: the binding `ROTATION`."""
    return {
        "pointInTimeDays": backups.point_in_time_days,
        "minimumFulls": backups.rotation.minimum_fulls,
        "keepDays": keep_days(backups.rotation),
    }


def _whole(name: str, keep: int, *, lock_days: int) -> Retention:
    prefix = (f"{name}/",)
    return Retention(name, keep, lock_days, keep + BACKSTOP_DAYS, locked=prefix, expiring=prefix)
