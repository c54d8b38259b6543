"""Runs the modules of the status page's formats; builds snapshots for them; and the JSON shapes that clients expect."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, cast
from xml.etree import ElementTree

from harness.waiting import TIMEOUT_SECONDS
from harness.workerd import WORKERS

NOW = "2026-11-24T10:00:30.000Z"
SVG = "{http://www.w3.org/2000/svg}"
SINCE = "2026-09-01T00:00:00.000Z"
SCRIPT = """
import { createInterface } from "node:readline";
import { atom } from "./status/formats/atom.js";
import { badge } from "./status/formats/badge.js";
import { statuspage } from "./status/formats/statuspage.js";
const files = (snapshot) =>
  Object.fromEntries(Object.entries(statuspage(snapshot)).map(([name, body]) => [name, body()]));
const formats = { atom, badge, statuspage: files };
const dated = (key, value) => (/^(at|time|since|.*At)$/.test(key) && value !== null ? new Date(value) : value);
for await (const line of createInterface({ input: process.stdin })) {
  const { format, snapshot } = JSON.parse(line, dated);
  process.stdout.write(`${JSON.stringify(formats[format](snapshot))}\\n`);
}
"""


class Formats:
    """A Node process that renders snapshots with the modules of the formats."""

    def __init__(self) -> None:
        command = ["node", "--input-type=module", "--eval", SCRIPT]
        self.process = subprocess.Popen(
            command, cwd=WORKERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def _ask(self, format: str, snapshot: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"format": format, "snapshot": snapshot}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def statuspage(self, snapshot: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return self._ask("statuspage", snapshot)

    def atom(self, snapshot: dict[str, Any]) -> ElementTree.Element:
        return ElementTree.fromstring(self._ask("atom", snapshot).encode())

    def badge(self, snapshot: dict[str, Any]) -> ElementTree.Element:
        return ElementTree.fromstring(self._ask("badge", snapshot).encode())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=TIMEOUT_SECONDS)


def update(id: str, status: str, at: str, body: str = "A word.") -> dict[str, Any]:
    return {"id": id, "status": status, "body": body, "at": at}


def incident(id: str = "i1", **changes: Any) -> dict[str, Any]:
    """Return an open incident of the database with one update."""
    return {
        "id": id,
        "title": "The database is slow",
        "impact": "major",
        "status": "monitoring",
        "components": ["database"],
        "automatic": False,
        "announcedAt": "2026-11-24T09:05:00.000Z",
        "startedAt": "2026-11-24T09:00:00.000Z",
        "updatedAt": "2026-11-24T09:40:00.000Z",
        "resolvedAt": None,
        "updates": [
            update(f"{id}-3", "monitoring", "2026-11-24T09:40:00.000Z"),
            update(f"{id}-2", "monitoring", "2026-11-24T09:30:00.000Z"),
            update(f"{id}-1", "investigating", "2026-11-24T09:05:00.000Z"),
        ],
        **changes,
    }


def maintenance(id: str = "m1", status: str = "scheduled", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "title": "New database version",
        "status": status,
        "components": ["database"],
        "emergency": False,
        "announcedAt": "2026-11-20T08:00:00.000Z",
        "startsAt": "2026-11-24T10:00:00.000Z",
        "endsAt": "2026-11-24T11:00:00.000Z",
        "updatedAt": "2026-11-24T10:00:00.000Z",
        "updates": [update(f"{id}-1", "scheduled", "2026-11-20T08:00:00.000Z")],
        **changes,
    }


def counted(subject: dict[str, Any]) -> dict[str, Any]:
    """Return an incident or maintenance with its number of updates, by default the number of the given ones."""
    return {"updatesTotal": len(subject["updates"]), **subject}


def snapshot(
    *incidents: dict[str, Any],
    maintenances: tuple[dict[str, Any], ...] = (),
    seen: str = "ok",
    database: str = "ok",
    known: bool = True,
    **changes: Any,
) -> dict[str, Any]:
    """Return a snapshot at NOW; `seen` is the platform's probed state, `known` whether there is a history."""
    history: dict[str, Any] = {
        "since": SINCE,
        "lastSampleAt": NOW,
        "lastStates": {"api": "ok", "database": database},
        "days": {},
        "incidents": [counted(one) for one in incidents],
        "incidentsTotal": len(incidents),
        "maintenances": [counted(one) for one in maintenances],
        "maintenancesTotal": len(maintenances),
        "months": [],
    }
    components = {"api": "ok", "database": database}
    return {
        "platform": "Ledger & <Sons>",
        "contact": "availability@example.com",
        "origin": "https://status.example",
        "time": NOW,
        "components": [{"id": "api", "name": "API"}, {"id": "database", "name": "Database"}],
        "probe": {"answered": True, "status": seen, "components": components, "pending": [], "at": NOW},
        "history": history if known else None,
        **changes,
    }


# Shapes of Statuspage's fields: a type, a set of words, a tuple of alternatives, [a shape of items], or a dict.


class Time:
    """ISO 8601 in UTC, with milliseconds."""


COMPONENT_STATUS = {"operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"}
INCIDENT_STATUS = {"investigating", "identified", "monitoring", "resolved"}
MAINTENANCE_STATUS = {"scheduled", "in_progress", "verifying", "completed"}
PAGE = {"id": str, "name": str, "url": str, "time_zone": {"Etc/UTC"}, "updated_at": Time}
STATUS = {"indicator": {"none", "minor", "major", "critical", "maintenance"}, "description": str}
COMPONENT = {
    "id": str,
    "name": str,
    "status": COMPONENT_STATUS,
    "created_at": Time,
    "updated_at": Time,
    "position": int,
    "description": {None},
    "showcase": bool,
    "start_date": (str, {None}),
    "group_id": {None},
    "page_id": str,
    "group": {False},
    "only_show_if_degraded": {False},
}
UPDATE = {
    "id": str,
    "status": INCIDENT_STATUS | MAINTENANCE_STATUS,
    "body": str,
    "incident_id": str,
    "created_at": Time,
    "updated_at": Time,
    "display_at": Time,
    "affected_components": [
        {"code": str, "name": str, "old_status": COMPONENT_STATUS, "new_status": COMPONENT_STATUS},
    ],
    "deliver_notifications": bool,
    "custom_tweet": {None},
    "tweet_id": {None},
}
INCIDENT = {
    "id": str,
    "name": str,
    "status": INCIDENT_STATUS,
    "created_at": Time,
    "updated_at": Time,
    "monitoring_at": (Time, {None}),
    "resolved_at": (Time, {None}),
    "impact": {"none", "minor", "major", "critical"},
    "shortlink": str,
    "started_at": Time,
    "page_id": str,
    "incident_updates": [UPDATE],
    "components": [COMPONENT],
}
MAINTENANCE = {
    **INCIDENT,
    "status": MAINTENANCE_STATUS,
    "impact": {"maintenance"},
    "scheduled_for": Time,
    "scheduled_until": Time,
}
OWN = {"page": PAGE}
INCIDENTS = {**OWN, "incidents": [INCIDENT]}
MAINTENANCES = {**OWN, "scheduled_maintenances": [MAINTENANCE]}
FILES = {
    "summary.json": {**INCIDENTS, **MAINTENANCES, "components": [COMPONENT], "status": STATUS},
    "status.json": {**OWN, "status": STATUS},
    "components.json": {**OWN, "components": [COMPONENT]},
    "incidents.json": INCIDENTS,
    "incidents/unresolved.json": INCIDENTS,
    "scheduled-maintenances.json": MAINTENANCES,
    "scheduled-maintenances/upcoming.json": MAINTENANCES,
    "scheduled-maintenances/active.json": MAINTENANCES,
}


def faults(value: Any, shape: Any, path: str = "") -> list[str]:
    """Return the paths at which a value does not match a shape."""
    if isinstance(shape, dict):
        fields = cast("dict[str, Any]", shape)
        if not isinstance(value, dict) or value.keys() != fields.keys():
            return [f"{path}: {value}"]
        return [fault for key, inner in fields.items() for fault in faults(value[key], inner, f"{path}.{key}")]
    if isinstance(shape, list):
        (item,) = cast("list[Any]", shape)
        return [fault for number, one in enumerate(value) for fault in faults(one, item, f"{path}[{number}]")]
    if isinstance(shape, tuple):
        alternatives = cast("tuple[Any, ...]", shape)
        return [] if any(not faults(value, one) for one in alternatives) else [f"{path}: {value}"]
    if shape is Time:
        right = isinstance(value, str) and re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{3}Z", value)
    else:
        right = value in shape if isinstance(shape, set) else type(value) is shape
    return [] if right else [f"{path}: {value}"]
