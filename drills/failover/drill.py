"""Play one fault after another on live machines, and measure what the clients and the machines notice."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from drills.failover import writers as clients
from drills.failover.checks import Commit, acknowledged_by_deposed, longest_stall, lost
from drills.failover.faults import Fault, judged, resolve
from drills.failover.fleet import Fleet
from drills.failover.writers import Route, Writer

QUIET_SECONDS = 10.0  # the clients' stalls without a fault are measured for this long
LIMIT_SECONDS = 600.0  # a group that is not redundant after this time needs a person
SETTLED_SECONDS = 6.0  # longer than Patroni's loop_wait, so that a state from before the fault is not taken for good
FRESH_SECONDS = 2.0  # a group serves if a commit was acknowledged within this time


@dataclass
class Outcome:
    """What one fault did."""

    fault: str
    target: str
    hold: float
    """Seconds from the fault to its end by an outside hand."""
    stalls: dict[str, float]
    """The longest stall of each writer."""
    groups: dict[str, float]
    """The longest time in which no writer of the group committed."""
    stall: float
    """The stall that the target limits."""
    limit: float
    redundant_after: float | None
    """Seconds from the end of the fault until every machine was healthy; None if that did not happen in time."""
    commits: int
    lost: list[str]
    deposed: list[str]
    """Commits that a leader acknowledged after its group had a later one."""
    leaders: dict[str, list[str]]
    """The members that answer as leader, after the fault."""
    unhealthy: dict[str, str] = field(default_factory=dict[str, str])
    journals: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def failed(self) -> bool:
        """Whether data was lost, two leaders were active, or the group did not come back by itself."""
        one_leader = all(len(members) == 1 for members in self.leaders.values())
        return bool(self.lost or self.deposed) or self.redundant_after is None or not one_leader


class Drill:
    """Writers on the machines of one stack, and the faults so far."""

    def __init__(self, fleet: Fleet, run: str, routes: dict[tuple[str, str], list[Route]]) -> None:
        self.fleet = fleet
        self.run = run
        self.routes = routes
        self.writers: list[Writer] = [Writer(run, group, name, ways) for (group, name), ways in routes.items()]
        self._lost: set[str] = set()
        self._deposed: set[str] = set()

    def commits(self) -> list[Commit]:
        """Return all acknowledged commits so far."""
        return [commit for one in self.writers for commit in list(one.commits)]

    def times(self, *, group: str | None = None, writer: str | None = None) -> list[float]:
        """Return when the commits of a group, or of a writer, were acknowledged."""
        chosen = [one for one in self.writers if one.group == group or one.name == writer]
        return sorted(commit.acknowledged for one in chosen for commit in list(one.commits))

    def quiet(self) -> dict[str, float]:
        """Wait until all is healthy, and return the longest stall of each writer without a fault."""
        self.fleet.boot(list(self.fleet.instances))
        if self.redundant(time.monotonic()) is None:
            reasons = [f"{name}: {why}" for name, why in self.fleet.unhealthy().items()]
            errors = [f"{one.name}: {one.error.strip()}" for one in self.writers if one.error]
            raise RuntimeError("the stack is not healthy before the first fault: " + "; ".join(reasons + errors))
        begun = time.monotonic()
        time.sleep(QUIET_SECONDS)
        return {
            one.name: longest_stall(self.times(writer=one.name), begun, time.monotonic()).seconds
            for one in self.writers
        }

    def play(self, fault: Fault) -> Outcome:
        """Let a fault begin and end, wait until the machines have recovered, and check every commit so far."""
        target = resolve(fault, self.fleet.situation())
        print(f"{fault.kind}: {target.name} for {fault.hold:.0f} s", file=sys.stderr, flush=True)
        for one in self.writers:
            one.go_home()
        time.sleep(FRESH_SECONDS)
        before, begun = len(self.commits()), time.monotonic()
        self.fleet.begin(fault.kind.action, target.name, target.machines)
        if fault.kind.action != "reboot":
            time.sleep(max(0.0, begun + fault.hold - time.monotonic()))
        ended = time.monotonic()
        self.fleet.end(fault.kind.action, target.name, target.machines)
        after = self.redundant(ended)
        until = time.monotonic() if after is None else ended + after
        unhealthy = self.fleet.unhealthy() if after is None else {}
        found = set[str]() if after is None else self._check_lost()
        deposed = {f"{one.writer} {one.number}" for one in acknowledged_by_deposed(self.commits())}
        stalls = {one.name: longest_stall(self.times(writer=one.name), begun, until) for one in self.writers}
        groups = {group: longest_stall(self.times(group=group), begun, until) for group in self.fleet.databases}
        seconds = {name: round(one.seconds, 1) for name, one in groups.items()}
        own = {name: round(one.seconds, 1) for name, one in stalls.items()}
        stall = judged(fault.kind, target, own, seconds)
        if fault.kind.role == "everything":  # service cannot be back before there is power
            stall = round(max(one.end for one in groups.values()) - ended, 1)
        outcome = Outcome(
            fault=str(fault.kind),
            target=target.name,
            hold=round(ended - begun, 1),
            stalls=own,
            groups=seconds,
            stall=stall,
            limit=fault.kind.target,
            redundant_after=None if after is None else round(after, 1),
            commits=len(self.commits()) - before,
            lost=sorted(found - self._lost),
            deposed=sorted(deposed - self._deposed),
            leaders={group: self.fleet.primaries(group) for group in self.fleet.databases},
            unhealthy=unhealthy,
            journals={name: self.fleet.journal(name) for name in unhealthy},
        )
        self._lost |= found
        self._deposed |= deposed
        return outcome

    def redundant(self, since: float) -> float | None:
        """Return after how many seconds all machines were healthy and all groups served; None if that took too long."""
        healthy_since: float | None = None
        names = list(self.fleet.instances)
        while time.monotonic() < since + LIMIT_SECONDS:
            asked = time.monotonic()
            # One after another, because a check takes processor time from what starts; the unhealthy one first.
            waiting = next((name for name in names if self.fleet.reason(name)), None)
            if waiting is not None:
                names.remove(waiting)
                names.insert(0, waiting)
            if waiting is not None or not all(self._serves(group) for group in self.fleet.databases):
                healthy_since = None
            elif healthy_since is None:
                healthy_since = asked
            if healthy_since is not None and asked - healthy_since >= SETTLED_SECONDS:
                return healthy_since - since
            time.sleep(2)
        return None

    def _serves(self, group: str) -> bool:
        return any(time.monotonic() - moment < FRESH_SECONDS for moment in self.times(group=group)[-1:])

    def _check_lost(self) -> set[str]:
        """Return the acknowledged commits that the present leaders do not have."""
        missing: set[str] = set()
        for group in self.fleet.databases:
            recorded = [one for one in self.commits() if one.group == group]
            ways = [way for (of, _), routes in self.routes.items() if of == group for way in routes]
            found = clients.present(ways, self.run)
            missing |= {f"{one.writer} {one.number} (by {one.server})" for one in lost(recorded, found)}
        return missing


@contextmanager
def writing(fleet: Fleet, run: str) -> Generator[Drill]:
    """Start the writers, and stop them at the end."""
    with tempfile.TemporaryDirectory() as folder:
        drill = Drill(fleet, run, fleet.routes(Path(folder)))
        unwatch = clients.watch(drill.writers, threading.Event())
        for one in drill.writers:
            one.start()
        try:
            yield drill
        finally:
            for one in drill.writers:
                one.stop()
            unwatch()


def play_all(drill: Drill, faults: Sequence[Fault], show: Callable[[Outcome], None]) -> list[Outcome]:
    """Play the faults, and stop after one from which the machines have not recovered."""
    outcomes: list[Outcome] = []
    for fault in faults:
        try:
            outcomes.append(drill.play(fault))
        except psycopg.Error as error:
            raise RuntimeError(f"{fault.kind}: the commits cannot be read: {error}") from error
        show(outcomes[-1])
        if outcomes[-1].redundant_after is None:
            break
    return outcomes
