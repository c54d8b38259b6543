"""Retention: how long each class of backups is kept, and the bucket rules and Worker binding that follow from it.

Computed from the settings `backups.rotation`. No other module decides a retention period. Does not import Pulumi.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.configuration import DAYS_A_MONTH, DAYS_A_YEAR
from model.settings import Backups, Rotation

# The age-out Worker deletes objects that no kept backup needs. A bucket's lifecycle rule knows only prefixes and ages,
# not which backup needs which, so it must not delete an object of an age that a kept backup can still need. The oldest
# such object, with one full backup a day:
#
# - hourly: an increment is kept for keep_days and needs a full backup that ended up to a day earlier: keep_days + 1.
#   The point-in-time window is shorter: it is at most keep_days - 1, starts from a run at most an hour older, and that
#   run needs a full backup at most a day older. The newest N full backups are up to N days old.
# - daily, monthly, yearly: keep_days after the run ended. The object is copied there later, so it is younger.
# - manifests: one day longer than the last object that they list.
#
# So the oldest needed object is max(keep_days + 1, N) days old, and the rule deletes BACKSTOP_DAYS after
# max(keep_days, N). Each day without a full backup makes the oldest needed object a day older. After 29 such days a
# rule deletes an object that a kept backup needs; the watch Worker has then sent alarms for 28 days, because it reports
# a missing full backup after 26 hours. docs/retention.md says what an operator must do before that.
BACKSTOP_DAYS = 30

# Earlier major versions of PostgreSQL. The buckets' rules for their WAL stay until the last backup of that version has
# expired in every class. At an upgrade, insert the version that `POSTGRES_MAJOR` had before (topology.py).
FORMER_POSTGRES_MAJORS: tuple[int, ...] = ()
_ARCHIVE = "hourly/archive/"  # WAL, by group


@dataclass(frozen=True)
class Retention:
    """The retention periods of one class of objects, in whole days: lock <= keep < expire."""

    name: str
    keep_days: int
    """The age-out Worker deletes nothing younger, nor an older object that a kept backup needs."""
    lock_days: int
    """The bucket's lock rejects deleting or overwriting an object below a `locked` prefix that is younger."""
    expire_days: int
    """The bucket's lifecycle rule deletes an object below an `expiring` prefix that is older."""
    locked: tuple[str, ...]
    """Prefixes with a lock rule."""
    expiring: tuple[str, ...]
    """Prefixes with a lifecycle rule."""


def keep_days(rotation: Rotation) -> dict[str, int]:
    """Return the days that each class keeps a run, counted from the run's end; the shortest class first.

    The hourly class keeps one day more than the setting: an increment needs a full backup that may be a day older.
    """
    return {
        "hourly": rotation.hourly_days + 1,
        "daily": rotation.daily_days,
        "monthly": rotation.monthly_months * DAYS_A_MONTH,
        "yearly": rotation.yearly_years * DAYS_A_YEAR,
    }


def retention_of(rotation: Rotation, groups: Sequence[str], postgres_majors: Sequence[int]) -> tuple[Retention, ...]:
    """Return the retention of each class, the shortest first, then that of the manifests.

    `groups` are the names of the database groups that are or were backed up, `postgres_majors` the present major
    version of PostgreSQL and earlier ones that still have WAL. pgBackRest writes below `hourly/` itself. There,
    only WAL is locked, because pgBackRest rewrites its index and the manifest of a running backup, which a lock would
    reject. Only backups and WAL expire, because pgBackRest writes `archive.info` once and always needs it.
    """
    keep = keep_days(rotation)
    hourly, longest = keep["hourly"], max(keep.values())
    wal = tuple(f"{_ARCHIVE}{group}/{major}-" for group in groups for major in postgres_majors)
    return (
        Retention(
            "hourly",
            hourly,
            lock_days=hourly,
            expire_days=max(hourly, rotation.minimum_fulls) + BACKSTOP_DAYS,
            locked=wal,
            expiring=("hourly/backup/", *wal),
        ),
        *(_one_prefix(name, days, lock_days=days) for name, days in keep.items() if name != "hourly"),
        # When a manifest is written, it is unknown for which classes its run will be promoted. It is locked as long as
        # the hourly class, in which every run starts; the lifecycle rule waits for the longest class.
        _one_prefix("manifests", longest, lock_days=hourly),
    )


def in_rule_order(
    retention: Sequence[Retention], prefixes: Callable[[Retention], tuple[str, ...]]
) -> list[tuple[Retention, str]]:
    """Return each prefix with its retention in the order of a bucket's rules: fixed prefixes first, then the groups'.

    So a new Citus worker group appends rules and changes no existing one.
    """
    pairs = [(kept, prefix) for kept in retention for prefix in prefixes(kept)]
    return sorted(pairs, key=lambda pair: pair[1].startswith(_ARCHIVE))  # stable: groups stay in their order


def binding_of(backups: Backups) -> dict[str, object]:
    """Return the binding `ROTATION` of the backup Workers (Cloudflare Workers)."""
    return {
        "pointInTimeDays": backups.point_in_time_days,
        "minimumFulls": backups.rotation.minimum_fulls,
        "keepDays": keep_days(backups.rotation),
    }


def _one_prefix(name: str, keep: int, *, lock_days: int) -> Retention:
    prefix = (f"{name}/",)
    return Retention(name, keep, lock_days, keep + BACKSTOP_DAYS, locked=prefix, expiring=prefix)
