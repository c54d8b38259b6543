"""Clients that write to all groups during a drill, and what they notice: outages, and lost commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from drills.failover import writers as clients
from drills.failover.checks import Commit, acknowledged_by_deposed, longest_stall, lost
from drills.failover.fleet import Fleet
from drills.failover.writers import Writer

FRESH_SECONDS = 2.0  # a group serves if a commit was acknowledged within this time


class Traffic:
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

    def commits(self, group: str | None = None) -> list[Commit]:
        """Return the acknowledged commits of a group, or of all groups, in their order."""
        known = [*self._former, *(commit for one in self._writers for commit in list(one.commits))]
        return sorted((one for one in known if group in {None, one.group}), key=lambda one: one.acknowledged)

    def serves(self, group: str) -> bool:
        """Return whether a commit of a group was acknowledged just now."""
        last = [one.commits[-1].acknowledged for one in self._writers if one.group == group and one.commits]
        return any(time.monotonic() - moment < FRESH_SECONDS for moment in last)

    def first_after(self, moment: float, group: str) -> float | None:
        """Return when the first commit that began after a moment was acknowledged."""
        return next((one.acknowledged for one in self.commits(group) if one.begun >= moment), None)

    def outage(self, group: str, since: float, until: float) -> float:
        """Return the longest time without an acknowledged commit of a group, in seconds."""
        return longest_stall([one.acknowledged for one in self.commits(group)], since, until).seconds

    def lost(self) -> list[Commit]:
        """Return the acknowledged commits that the database does not have now."""
        missing: list[Commit] = []
        for group in {group for group, _ in self._routes}:
            ways = [way for (of, _), routes in self._routes.items() if of == group for way in routes]
            missing += lost(self.commits(group), clients.present(ways, self._run))
        return missing

    def deposed(self) -> list[Commit]:
        """Return the commits that a leader acknowledged after its group had a later one."""
        return acknowledged_by_deposed(self.commits())
