"""The retention of a stack's backups, as Markdown for docs/retention.md and as JSON."""

from __future__ import annotations

from model.rotation import Retention
from model.topology import Topology


def markdown(topology: Topology) -> str:
    """Return the table of classes, and a sentence on each of the two settings that are not in the table."""
    backups = topology.settings.backups
    chosen = backups.rotation
    kept = {
        "hourly": f"{{}}: `hourlyDays: {chosen.hourly_days}` plus one",
        "daily": f"{{}}: `dailyDays: {chosen.daily_days}`",
        "monthly": f"{{}}: `monthlyMonths: {chosen.monthly_months}`",
        "yearly": f"{{}}: `yearlyYears: {chosen.yearly_years}`",
        "manifests": "one day longer than the last object that they list",
    }
    lines = [
        "| class | content | kept for | locked for | deleted by the lifecycle rule |",
        "|---|---|---|---|---|",
        *(_row(one, kept[one.name].format(_days(one.keep_days))) for one in topology.retention),
        "",
        f"Any point in the last {_days(backups.point_in_time_days)} can be restored (`pointInTimeDays`).",
        f"The newest {_fulls(chosen.minimum_fulls)} of each group never expire (`minimumFulls`).",
    ]
    return "\n".join(lines)


def document(topology: Topology) -> dict[str, object]:
    """Return the table's figures: the days for which each class is kept and locked, and of its lifecycle rule."""
    backups = topology.settings.backups
    return {
        "stack": topology.stack,
        "pointInTimeDays": backups.point_in_time_days,
        "minimumFulls": backups.rotation.minimum_fulls,
        "classes": [
            {
                "class": one.name,
                "keepDays": one.keep_days,
                "lockDays": one.lock_days,
                "locked": list(one.locked),
                "expireDays": one.expire_days,
                "expiring": list(one.expiring),
            }
            for one in topology.retention
        ],
    }


_CONTENT = {
    "hourly": "every run, all WAL",
    "daily": "the first full backup of each day",
    "monthly": "the first full backup of each month",
    "yearly": "the first full backup of each year",
    "manifests": "the signed list of each run's objects",
}


def _row(one: Retention, kept: str) -> str:
    part = "" if set(one.locked) == set(one.expiring) else ", WAL only"
    locked, expired = f"{_days(one.lock_days)}{part}", f"after {_days(one.expire_days)}"
    return f"| {one.name} | {_CONTENT[one.name]} | {kept} | {locked} | {expired} |"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _fulls(count: int) -> str:
    return "full backup" if count == 1 else f"{count} full backups"
