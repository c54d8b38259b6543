"""What a site can do with a stack's machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from console.errors import CommandError


class SiteError(CommandError):
    """A machine or the cloud did not do what it was asked to. The message names the machine and the reason."""


class Site(Protocol):
    """The machines of one stack and the cloud around them."""

    poll_seconds: float
    """How often a machine may be asked for its progress."""

    def running(self) -> set[str]:
        """Return the names of the members whose machines run. Raises `SiteError`."""
        ...

    def run(self, member: str, command: str, seconds: float) -> str:
        """Run a shell command as root on a member and return its output. Raises `SiteError`."""
        ...

    def allow_reading(self, secret: str) -> None:
        """Let the machines read the read-only keys of all copies."""
        ...

    def forbid_reading(self, secret: str) -> None:
        """End `allow_reading`."""
        ...

    def keep_aside(self, members: Sequence[str], label: str) -> list[str]:
        """Make a snapshot of each member's data volume, unless there is one with this label; return their names."""
        ...
