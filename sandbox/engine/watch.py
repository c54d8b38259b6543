"""The events of a run. The display and the tests implement `Watcher`; `SilentWatcher` ignores all events."""

from __future__ import annotations

from typing import Protocol

from sandbox.engine.plan import Step


class Watcher(Protocol):
    """Receives the events of a run as they happen. Methods are called from several threads."""

    def started(self, step: Step) -> None:
        """A step begins. Not called for `same` steps."""
        ...

    def finished(self, step: Step, seconds: float) -> None:
        """A step has ended, and its result is recorded."""
        ...

    def planned_step(self, step: Step) -> None:
        """A preview has planned a step."""
        ...

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """A message of the severity `debug`, `info`, `warning` or `error`."""
        ...


class SilentWatcher:
    """A watcher that ignores all events."""

    def started(self, step: Step) -> None:
        """Ignore the event."""

    def finished(self, step: Step, seconds: float) -> None:
        """Ignore the event."""

    def planned_step(self, step: Step) -> None:
        """Ignore the event."""

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """Ignore the event."""
