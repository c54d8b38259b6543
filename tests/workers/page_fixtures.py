"""What the status page shows, entered into its database."""

from __future__ import annotations

import json

from .status_fixtures import MINUTE, Status

TODAY = MINUTE // 1440


def text(value: str) -> str:
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
    """Enter an incident that began an hour before START, with an update every ten minutes since."""
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
    """Enter whole days before today; `trouble`: minutes by state, by how many days ago."""
    rows = []
    for ago in range(1, count):
        bad = (trouble or {}).get(ago, {})
        states = {"degraded": 0, "down": 0, "unknown": 0, **bad}
        ok = 1440 - sum(states.values())
        rows.append(
            f"({TODAY - ago}, '{component}', {ok}, {states['degraded']}, {states['down']}, {states['unknown']})"
        )
    status.host.sql(f"INSERT INTO days VALUES {', '.join(rows)}")
