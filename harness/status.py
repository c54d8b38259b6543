"""Drives the status Worker (a Cloudflare Worker) in a simulated world with a simulated clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.status_world import World
from harness.workerd import Host

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE = int(START.timestamp()) // 60


@dataclass
class Status:
    """A running status Worker. A `minute` is the number of minutes after START."""

    host: Host
    world: World

    def cron(self, minute: float, **instruction: Any) -> None:
        """Run the Worker's cron at a minute."""
        assert self.host.scheduled(at(minute), **{"clock": at(minute), **instruction}) == "ok"

    def crons(self, minutes: range) -> None:
        """Run the Worker's cron at each of these minutes."""
        for minute in minutes:
            self.cron(minute)

    def get(self, path: str, minute: float = 0.5, **instruction: Any) -> dict[str, Any]:
        """Request a path at a minute."""
        return self.host.fetch(path, instruction={"clock": at(minute), **instruction})

    def get_while_hanging(self, path: str, minute: float = 0.5, **instruction: Any) -> dict[str, Any]:
        """Request a path while some hosts never respond. Check that the Worker's limits wait two seconds in all."""
        response = self.get(path, minute, hanging=sorted(self.world.hanging), **instruction)
        assert self.host.passed() == 2, path
        return response

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of an SQL query."""
        return [tuple(row.values()) for row in self.host.sql(statement)]

    def contact(self, name: str, address: str, *, components: list[str] | None = None, minimum: int = 0) -> None:
        """Insert a contact. Its id is its name; an address with `://` is a webhook."""
        channel = "webhook" if "://" in address else "email"
        wanted = "NULL" if components is None else f"'{json.dumps(components)}'"
        self.host.sql(
            f"INSERT INTO contacts VALUES ('{name}', '{name}', '{channel}', '{address}', {wanted}, {minimum}, 0)"
        )

    def incident(self, name: str, *components: str, impact: int = 2) -> None:
        """Insert an open incident, as an operator opens it."""
        self.host.sql(
            f"INSERT INTO incidents VALUES ('{name}', '{name}', {impact}, 'identified', '{json.dumps(components)}', 0, "
            f"{MINUTE * 60_000}, {MINUTE * 60_000}, NULL)"
        )

    def maintenance(self, name: str, start: int, end: int, *components: str, emergency: bool = False) -> None:
        """Insert planned maintenance from the minute `start` to the minute `end`."""
        self.host.sql(
            f"INSERT INTO maintenances VALUES ('{name}', '{name}', 'scheduled', '{json.dumps(components)}', "
            f"{int(emergency)}, 0, {MINUTE + start}, {MINUTE + end}, 0)"
        )


def at(minute: float) -> str:
    """Return the time `minute` minutes after START as ISO 8601."""
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
