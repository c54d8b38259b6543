"""Inserts incidents, maintenance and daily figures into the status page's database."""

from __future__ import annotations

import json

from harness.status import MINUTE, Status

TODAY = MINUTE // 1440


def text(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def incident(
    status: Status,
    name: str,
    *bodies: str,
    impact: int = 2,
    resolved: int | None = None,
    components: tuple[str, ...] = ("api",),
    title: str = "",
) -> None:
    """Insert an incident with an update every ten minutes.

    It begins an hour before START. With `resolved` (a minute since 1970) it begins 42 minutes before that.
    """
    began = MINUTE - 60 if resolved is None else resolved - 42
    state, end = ("identified", "NULL") if resolved is None else ("resolved", str(resolved * 60_000))
    named = json.dumps(components)
    status.host.sql(
        f"INSERT INTO incidents VALUES ('{name}', {text(title or name)}, {impact}, '{state}', '{named}', 0, "
        f"{began * 60_000}, {began * 60_000}, {end})"
    )
    for number, body in enumerate(bodies):
        status.host.sql(
            f"INSERT INTO updates VALUES ('{name}-{number}', 'incident.updated', '{name}', 'identified', {impact}, "
            f"'{named}', {text(body)}, {(began + 10 * number) * 60_000})"
        )


def days(status: Status, component: str, *, trouble: dict[int, dict[str, int]] | None = None, count: int = 90) -> None:
    """Insert figures of whole days before today. `trouble` maps days ago to the minutes of each state."""
    rows: list[str] = []
    for ago in range(1, count):
        bad = (trouble or {}).get(ago, {})
        states = {"degraded": 0, "down": 0, "unknown": 0, **bad}
        ok = 1440 - sum(states.values())
        rows.append(
            f"({TODAY - ago}, '{component}', {ok}, {states['degraded']}, {states['down']}, {states['unknown']})"
        )
    status.host.sql(f"INSERT INTO days VALUES {', '.join(rows)}")


def announcements(status: Status) -> None:
    """Insert an open incident with three updates, three resolved incidents, and planned maintenance."""
    incident(
        status,
        "0b0f6a52-1d5c-4a0e-8a6e-3f0d8a3c2b11",
        "Queries take longer than usual since 09:00 UTC. We are looking for the cause.",
        "An index was dropped by mistake. It is being rebuilt.\nWrites are not affected.",
        "The index is back, and queries are as fast as before. We keep watching.",
        title="Slow queries on the EU database",
        components=("database", "api"),
    )
    past = [
        ("6d1e9c1b-70ff-4cf5-9c44-a1f8a7a4d0e2", "Sign-in with hardware keys fails", 1, 3, ("sign-in",)),
        ("f2b7f0a4-55a1-4f3e-8d0e-4b8b7a0f9c63", "Object storage is not available", 3, 7, ("objectStorage", "files")),
        ("a94c8f37-0e1d-4c9b-b1f5-27c1d5e6f8a0", "Exports are late by up to two hours", 1, 12, ("exports",)),
    ]
    for name, title, impact, ago, components in past:
        incident(
            status,
            name,
            f"{title}: we are looking into it.",
            "The cause is found, and a fix is on its way to all regions.",
            "It works again everywhere. A full account follows within a week.",
            title=title,
            impact=impact,
            components=components,
            resolved=MINUTE - ago * 1440 + 91 * ago,
        )
    planned = "c3d5b8e2-9f64-4a3b-8a17-5e0c2d4f6b79"
    status.maintenance(planned, 6 * 1440, 6 * 1440 + 90, "database", "replication")
    status.host.sql(
        f"UPDATE maintenances SET title = 'The database moves to new machines' WHERE id = '{planned}'; "
        f"INSERT INTO updates VALUES ('{planned}-scheduled', 'maintenance.scheduled', '{planned}', 'scheduled', NULL, "
        "'[\"database\", \"replication\"]', 'Writes are refused for up to two minutes.', "
        f"{(MINUTE - 1440) * 60_000})"
    )
