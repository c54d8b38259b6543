"""Clients that write to all groups during a drill, and what they notice: outages, and lost commits."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from drills.failover import writers as clients
from drills.failover.checks import Commit, acknowledged_by_deposed, longest_stall, lost
from drills.failover.fleet import Fleet
from drills.failover.writers import Writer

FRESH_SECONDS = 2.0  # a group serves if a commit was acknowledged within this time


class Clients(ABC):
    """Clients that write to all groups, and what they notice. Moments are seconds of the monotonic clock here."""

    @property
    @abstractmethod
    def groups(self) -> Collection[str]:
        """The groups that the clients write to."""

    @abstractmethod
    def begin(self) -> None:
        """Start the clients."""

    @abstractmethod
    def end(self) -> None:
        """Stop the clients; their commits are kept."""

    @abstractmethod
    def recorded(self) -> list[Commit]:
        """Return the acknowledged commits, in any order."""

    @abstractmethod
    def known_until(self, group: str) -> float:
        """Return the moment up to which all acknowledged commits of a group are known."""

    @abstractmethod
    def present(self, group: str) -> Collection[tuple[str, int]]:
        """Return the writer and the number of each commit that a group has now."""

    def commits(self, group: str | None = None) -> list[Commit]:
        """Return the acknowledged commits of a group, or of all groups, in their order."""
        return sorted((one for one in self.recorded() if group in {None, one.group}), key=lambda one: one.acknowledged)

    def serves(self, group: str) -> bool:
        """Return whether a commit of a group was acknowledged just now."""
        return any(self.known_until(group) - one.acknowledged < FRESH_SECONDS for one in self.commits(group)[-1:])

    def first_after(self, moment: float, group: str) -> float | None:
        """Return when the first commit that began after a moment was acknowledged."""
        return next((one.acknowledged for one in self.commits(group) if one.begun >= moment), None)

    def outage(self, group: str, since: float, until: float) -> float:
        """Return the longest time without an acknowledged commit of a group, in seconds."""
        known = min(until, self.known_until(group))
        return longest_stall([one.acknowledged for one in self.commits(group)], since, known).seconds

    def lost(self) -> list[Commit]:
        """Return the acknowledged commits that the database does not have now."""
        return [one for group in self.groups for one in lost(self.commits(group), self.present(group))]

    def deposed(self) -> list[Commit]:
        """Return the commits that a leader acknowledged after its group had a later one."""
        return acknowledged_by_deposed(self.commits())


class Traffic(Clients):
    """Writers for every group: through each gateway to the coordinator, and from the coordinators to the workers."""

    def __init__(self, fleet: Callable[[], Fleet], run: str, folder: Path) -> None:
        self._fleet: Callable[[], Fleet] = fleet
        self._run: str = run
        self._folder: Path = folder
        self._former: list[Commit] = []
        self._writers: list[Writer] = []
        self._unwatch: Callable[[], None] = lambda: None
        self._generations: int = 0

    def begin(self) -> None:
        """Start the writers."""
        routes = self._fleet().routes(self._folder)
        self._generations += 1
        self._routes = routes
        self._writers = [
            Writer(self._run, group, f"{name} ({self._generations})", ways) for (group, name), ways in routes.items()
        ]
        self._unwatch = clients.watch(self._writers, threading.Event())
        for one in self._writers:
            one.start()

    def end(self) -> None:
        """Stop the writers; their commits are kept."""
        self._stop(self._writers, self._unwatch)
        self._writers = []

    def renew(self) -> None:
        """Start new writers, then stop the former ones: a machine that was replaced cannot be entered any more."""
        former, unwatch = self._writers, self._unwatch
        self.begin()
        self._stop(former, unwatch)

    def _stop(self, writers: Sequence[Writer], unwatch: Callable[[], None]) -> None:
        for one in writers:
            one.stop()
        unwatch()
        self._former += [commit for one in writers for commit in one.commits]

    @property
    def groups(self) -> Collection[str]:
        """The groups that the clients write to."""
        return {group for group, _ in self._routes}

    def serves(self, group: str) -> bool:
        """Return whether a commit of a group was acknowledged just now."""
        last = [one.commits[-1].acknowledged for one in self._writers if one.group == group and one.commits]
        return any(time.monotonic() - moment < FRESH_SECONDS for moment in last)

    def recorded(self) -> list[Commit]:
        """Return the acknowledged commits, in any order."""
        return [*self._former, *(commit for one in self._writers for commit in list(one.commits))]

    def known_until(self, group: str) -> float:  # noqa: ARG002
        """Return the present moment: the clients are threads of this process."""
        return time.monotonic()

    def present(self, group: str) -> Collection[tuple[str, int]]:
        """Return the writer and the number of each commit that a group has now."""
        ways = [way for (of, _), routes in self._routes.items() if of == group for way in routes]
        return clients.present(ways, self._run)
