"""What a run tells whoever looks on; the display and the tests implement it, machines get `Silent`."""

from __future__ import annotations

from typing import Protocol

from sandbox.engine.plan import Step


class Watcher(Protocol):
    """Told of everything as it happens, from several threads."""

    def started(self, step: Step) -> None:
        """A step begins; not called for steps that do nothing."""
        ...

    def finished(self, step: Step, seconds: float) -> None:
        """A step is over, and recorded."""
        ...

    def planned_step(self, step: Step) -> None:
        """A preview has decided on a step."""
        ...

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """Something to read: `debug`, `info`, `warning` or `error`."""
        ...


class Silent:
    """Looks away."""

    def started(self, step: Step) -> None:
        """Nothing."""

    def finished(self, step: Step, seconds: float) -> None:
        """Nothing."""

    def planned_step(self, step: Step) -> None:
        """Nothing."""

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """Nothing."""
