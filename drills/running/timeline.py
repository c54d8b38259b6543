"""What happened in a drill, and when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["begin", "fault", "detection", "failover", "recovery", "check", "end", "stopped"]


@dataclass(frozen=True)
class Event:
    """One moment: seconds since the drill began, the time in UTC, and a sentence."""

    seconds: float
    at: str
    kind: Kind
    text: str


@dataclass
class Timeline:
    """The events of one drill, in order."""

    events: list[Event] = field(default_factory=list[Event])
    _begun: float = field(default_factory=time.monotonic)

    def seconds(self, moment: float) -> float:
        """Return how long after the beginning a moment of the monotonic clock is."""
        return round(moment - self._begun, 2)

    def add(self, kind: Kind, text: str, moment: float | None = None) -> float:
        """Add an event at a moment of the monotonic clock (default: now), and return the moment."""
        known = time.monotonic() if moment is None else moment
        ago = time.monotonic() - known
        at = datetime.fromtimestamp(time.time() - ago, UTC)
        event = Event(self.seconds(known), at.isoformat(timespec="milliseconds"), kind, text)
        self.events.append(event)
        self.events.sort(key=lambda one: one.seconds)
        return known
