"""A stack's rotation in Markdown (what stands between the markers in docs/retention.md), and as JSON takes it."""

from __future__ import annotations

from model.rotation import Retention
from model.topology import Topology


def markdown(topology: Topology) -> str:
    """The table, and what goes beyond a number of days."""
    backups = topology.settings.backups
    chosen = backups.rotation
    kept = {
        "hourly": f"{{}}: `hourlyDays: {chosen.hourly_days}`, and one",
        "daily": f"{{}}: `dailyDays: {chosen.daily_days}`",
        "monthly": f"{{}}: `monthlyMonths: {chosen.monthly_months}`",
        "yearly": f"{{}}: `yearlyYears: {chosen.yearly_years}`",
        "manifests": "a day longer than what they list",
    }
    lines = [
        "| class | what | kept | locked | deleted by a bucket's rule |",
        "|---|---|---|---|---|",
        *(_row(one, kept[one.name].format(_days(one.keep_days))) for one in topology.retention),
        "",
        f"Any point in the last {_days(backups.point_in_time_days)} can be restored (`pointInTimeDays`). However old,",
        f"the newest {_fulls(chosen.minimum_fulls)} of each group stay (`minimumFulls`).",
    ]
    return "\n".join(lines)


def document(topology: Topology) -> dict[str, object]:
    """The table's figures: days for which each class is kept and locked, and after which a bucket's rule deletes it."""
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


_WHAT = {
    "hourly": "every run, all WAL",
    "daily": "the first full backup of each day",
    "monthly": "the first of each month",
    "yearly": "the first of each year",
    "manifests": "what was backed up, signed",
}


def _row(one: Retention, kept: str) -> str:
    part = "" if set(one.locked) == set(one.expiring) else ", WAL only"
    return (
        f"| {one.name} | {_WHAT[one.name]} | {kept} | {_days(one.lock_days)}{part} | after {_days(one.expire_days)} |"
    )


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _fulls(count: int) -> str:
    return "full backup" if count == 1 else f"{count} full backups"
