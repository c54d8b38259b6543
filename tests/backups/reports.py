"""A report of staging without problems. Tests change it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

Report = dict[str, Any]
COPIES = ("primary", "replica", "offsite")
ROTATION = {
    "pointInTimeDays": 7,
    "minimumFulls": 3,
    "keepDays": {"hourly": 8, "daily": 14, "monthly": 31, "yearly": 366},
}


def ago(**past: float) -> str:
    """Return a time before now, in the report's format."""
    return f"{datetime.now(UTC) - timedelta(**past):%Y-%m-%dT%H:%M:%S}.000Z"


def copies(verified: int, oldest: str | None) -> dict[str, Any]:
    return {store: {"verified": verified, "oldest": oldest} for store in COPIES}


def backup(label: str, class_: str, hours: float, *, planned: bool = False) -> dict[str, Any]:
    return {
        "class": class_,
        "run": label,
        "kind": "full" if label.endswith("F") else "incremental",
        "finishedAt": ago(hours=hours),
        "objects": 12,
        "bytes": 5 * 1024**3,
        "copies": copies(12, ago(hours=1)),
        "agesOutAt": ago(days=-8, hours=hours),
        "planned": planned,
        "dependsOn": [],
        "point": f"backbuild-{label[:8]}T040000Z" if class_ == "daily" else None,
    }


def group(name: str) -> dict[str, Any]:
    full = f"{datetime.now(UTC) - timedelta(hours=10):%Y%m%d-%H%M%S}F"
    increments = [
        backup(f"{full}_{datetime.now(UTC) - timedelta(hours=hour):%Y%m%d-%H%M%S}I", "hourly", hour)
        for hour in range(10)
    ]
    return {
        "group": name,
        "runs": [*increments, backup(full, "hourly", 10), backup(full, "daily", 10)],
        "wal": {
            "objects": 100,
            "bytes": 2048,
            "first": "000000010000000000000001",
            "last": "000000010000000000000064",
            "oldest": ago(days=8),
            "newest": ago(minutes=1),
            "copies": copies(97, ago(days=5)),  # the newest segments are not verified yet
        },
    }


def without_problems() -> Report:
    """Return a report without problems."""
    return {
        "time": ago(),
        "copies": list(COPIES),
        "rotation": copy.deepcopy(ROTATION),
        "groups": [group("coordinator"), group("worker-1")],
        "findings": [finding("unlisted"), finding("damaged", closedAt=ago(hours=2), outcome="repaired")],
        "alarms": [],
        "workers": [
            {"worker": name, "at": ago(minutes=minutes), "outcome": "ok", "detail": {"checked": 7}}
            for name, minutes in (("replicate", 4), ("verify", 1), ("age-out", 50), ("watch", 4))
        ],
        "planned": [
            {
                "class": "hourly", "group": "worker-1", "run": "20261110-010000F", "kind": "backup",
                "objects": 9, "bytes": 4096, "dueAt": ago(hours=-20),
            }
        ],
        "audit": [],
    }  # fmt: skip


def finding(kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "store": "replica",
        "key": "hourly/backup/worker-1/20261124-010000F/bundle/1",
        "detail": "what is wrong with it",
        "foundAt": ago(hours=3),
        "closedAt": None,
        "outcome": None,
        **changes,
    }
