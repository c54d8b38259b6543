"""The status Worker before a played world, with a clock that a test sets."""

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
    """Drives the Worker; `minute` counts from START."""

    host: Host
    world: World

    def cron(self, minute: float, **instruction: Any) -> None:
        """Call the Worker as its cron does, at a minute."""
        assert self.host.scheduled(at(minute), **{"clock": at(minute), **instruction}) == "ok"

    def crons(self, minutes: range) -> None:
        """Call the cron at each of these minutes."""
        for minute in minutes:
            self.cron(minute)

    def get(self, path: str, minute: float = 0.5, **instruction: Any) -> dict[str, Any]:
        """Read a path at a minute."""
        return self.host.fetch(path, instruction={"clock": at(minute), **instruction})

    def get_while_hanging(self, path: str, minute: float = 0.5, **instruction: Any) -> dict[str, Any]:
        """Read what waits for hosts that hang: time passes while nothing else is waited for, two seconds in all."""
        response = self.get(path, minute, hanging=sorted(self.world.hanging), **instruction)
        assert self.host.passed() == 2, path
        return response

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows that an SQL statement selects."""
        return [tuple(row.values()) for row in self.host.sql(statement)]

    def contact(self, name: str, address: str, *, components: list[str] | None = None, minimum: int = 0) -> None:
        """Enter a contact; its id is its name, and an address with `://` is a webhook's."""
        channel = "webhook" if "://" in address else "email"
        wanted = "NULL" if components is None else f"'{json.dumps(components)}'"
        self.host.sql(
            f"INSERT INTO contacts VALUES ('{name}', '{name}', '{channel}', '{address}', {wanted}, {minimum}, 0)"
        )

    def incident(self, name: str, *components: str, impact: int = 2) -> None:
        """Open an incident as an operator does."""
        self.host.sql(
            f"INSERT INTO incidents VALUES ('{name}', '{name}', {impact}, 'identified', '{json.dumps(components)}', 0, "
            f"{MINUTE * 60_000}, {MINUTE * 60_000}, NULL)"
        )

    def maintenance(self, name: str, start: int, end: int, *components: str, emergency: bool = False) -> None:
        """Plan maintenance, from and to a minute."""
        self.host.sql(
            f"INSERT INTO maintenances VALUES ('{name}', '{name}', 'scheduled', '{json.dumps(components)}', "
            f"{int(emergency)}, 0, {MINUTE + start}, {MINUTE + end}, 0)"
        )


def at(minute: float) -> str:
    """Return a minute after START as ISO 8601."""
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
