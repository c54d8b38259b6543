"""Faults, repairs and waits of a scenario on a stack at AWS.

It differs from the live sandbox in how machines lose power, who is asked, and where clients run. Waiting, restores,
SQL and measurement are the same code. What only the sandbox has raises `SiteError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Never, Protocol

from drills.failover.writers import TABLE
from drills.running.aws import machines
from drills.running.aws.edge import AwsEdge
from drills.running.aws.traffic import RemoteTraffic
from drills.running.aws.updates import Updates
from drills.running.pairs import TABLE as PAIRS_TABLE
from drills.running.pairs import PairWriters
from drills.running.report import aws_limitations
from drills.running.stage import HEALTHY_SECONDS, Stage
from drills.sites.aws import AwsSite
from drills.sites.parallel import everywhere
from drills.sites.site import Site, SiteError
from model.topology import Topology

QUESTION_SECONDS = 60
MENDING_PAUSE = 5.0


class Machines(Site, Protocol):
    """The machines of a stack, which can lose power."""

    def stop(self, members: Sequence[str]) -> None:
        """Let machines lose power at once. Raises `SiteError`."""
        ...

    def start(self, members: Sequence[str]) -> None:
        """Give power to machines again, as soon as it is gone. Raises `SiteError`."""
        ...


class AwsStage(Stage):
    """One stack at AWS with clients that write. It asks no cloud before `steady`."""

    on: str = "aws"

    def __init__(self, topology: Topology, root: Path, folder: Path, run: str) -> None:
        super().__init__(topology, root, folder, run)
        self.remote: RemoteTraffic = RemoteTraffic(topology, self.machines, run, self.sql)
        self.traffic = self.remote
        self.edge = AwsEdge(self)
        self.to_undo: dict[str, Callable[[], None]] = {}
        """The functions that undo the present faults, by the names of what they undo."""

    @property
    def limitations(self) -> Sequence[str]:
        """What a report must say about where it was measured."""
        return aws_limitations(self.remote.clock_seconds)

    @cached_property
    def power(self) -> Machines:
        """The machines."""
        return AwsSite(self.topology)

    @cached_property
    def updates(self) -> Updates:
        """Pulumi on the stack."""
        return Updates(self.root, self.topology.stack)

    def machines(self) -> Site:
        """Return the machines, wherever the stack is."""
        return self.power

    def fleet(self) -> Never:
        """Raise `SiteError`: a step that needs the sandbox's own machines cannot run here."""
        raise SiteError(f"{self.topology.stack} is at AWS, and this step needs a part of the live sandbox")

    def site(self) -> Never:
        """Raise `SiteError`, as `fleet`."""
        self.fleet()

    # These run the sandbox's `up`, which must not touch another stack of the same name.

    def begin_rebuilding(self) -> Never:
        """Raise `SiteError`, as `fleet`; `rebuild` runs Pulumi."""
        self.fleet()

    def roll(self, project: Path) -> Never:  # noqa: ARG002
        """Raise `SiteError`, as `fleet`."""
        self.fleet()

    def deploy(self, project: Path) -> Never:  # noqa: ARG002
        """Raise `SiteError`, as `fleet`."""
        self.fleet()

    # Questions.

    def leader(self, group: str) -> str:
        """Return the member that leads a group."""
        running = self.power.running()
        asked = everywhere(self._leads, [one for one in self.members(group) if one in running])
        found = [member for member, leads in asked.items() if leads]
        if len(found) != 1:
            raise SiteError(f"{group} has {len(found)} leaders among {', '.join(asked) or 'no running member'}")
        return found[0]

    def _leads(self, member: str) -> bool:
        try:
            return self.power.run(member, machines.LEADS, QUESTION_SECONDS).strip() == "200"
        except SiteError:  # Patroni does not run there, or the machine is booting
            return False

    def unhealthy(self) -> dict[str, str]:
        """Return the reason for each machine that is not healthy."""
        names = [member.name for group in self.topology.groups for member in group.members]
        running = self.power.running()
        asked = everywhere(self._reason, [name for name in names if name in running])
        return {name: why for name in names if (why := asked.get(name, "no running instance"))}

    def _reason(self, member: str) -> str:
        """Return why a machine is not healthy, or an empty text."""
        try:
            self.power.run(member, machines.HEALTHY, QUESTION_SECONDS)
        except SiteError as error:
            return str(error)
        return ""

    def steady(self) -> None:
        """Wait until every machine is healthy and every group serves, also through the API."""
        super().steady()
        self.edge.probe()

    def served(self, *groups: str, seconds: float = 600) -> None:
        """Wait until groups acknowledge commits that began after the fault, and the API serves.

        The clients on the machines do not go through the gateways, but the API does, whose health needs commits.
        """
        super().served(*groups, seconds=seconds)
        in_database = self.served_at
        if self.topology.coordinator.name in groups:
            self.edge.served(seconds)
            assert in_database is not None
            assert self.served_at is not None
            self.served_at = max(in_database, self.served_at)

    def pairs(self, first: str, second: str) -> PairWriters:
        """Return clients that commit the same numbers in two groups."""
        return RemotePairs(self, first, second)

    # Faults, and their ends.

    def lose_power(self, *members: str) -> None:
        """End machines at once."""
        self.fault(f"{', '.join(members)}: power lost")
        self.to_undo[_power(members)] = lambda: self.give_power(*members)
        self.power.stop(members)

    def give_power(self, *members: str) -> None:
        """Boot machines that have lost power."""
        self.timeline.add("recovery", f"{', '.join(members)}: power is back")
        self.power.start(members)
        self.to_undo.pop(_power(members), None)

    def rebuild(self) -> None:
        """Create what is lost again, and wait until everything is created."""
        self.timeline.add("recovery", "refresh and up: lost resources are created again")
        self.updates.bring_back()
        self.to_undo.pop("the deployment", None)
        self.timeline.add("recovery", "up has created everything, and every health gate has passed")

    def restore(self, copy: str, to: str, into: str | None = None, invariants: Sequence[str] = ()) -> dict[str, Any]:
        """Restore all groups from a copy, beside. In place it would replace the data of a stack that serves."""
        if into is None:
            raise SiteError(f"a drill does not replace the data of {self.topology.stack}; restore beside")
        self.to_undo["the cluster beside"] = self.end_beside
        return super().restore(copy, to, into, invariants)

    def remove_restore(self, name: str) -> None:
        """End a restore and delete its cluster."""
        super().remove_restore(name)
        self.to_undo.pop("the cluster beside", None)

    def mend(self) -> None:
        """Undo every fault that is left, and remove the clients' table. `left` gets what could not be undone."""
        self.edge.mend()
        broken = dict(self.to_undo)
        for what, undo in broken.items():
            self._undo(what, undo)
        if broken:
            self._undo("the machines' health", lambda: self._wait_for_health(HEALTHY_SECONDS, MENDING_PAUSE))
        self._undo("the clients on the machines, which end by themselves after six hours", self.remote.remove)
        self._undo(f"the table {TABLE}", self._drop_table)

    def _drop_table(self) -> None:
        for group in self.groups:
            self.sql(group, f"DROP TABLE IF EXISTS {TABLE}, {PAIRS_TABLE}")


class RemotePairs:
    """Clients of pairs on a machine of the first group."""

    def __init__(self, stage: AwsStage, first: str, second: str) -> None:
        self._stage: AwsStage = stage
        self._groups: tuple[str, str] = (first, second)
        self._machine: str = stage.members(first)[0]

    @property
    def count(self) -> int:
        """The number of pairs that were committed in both groups: each is committed in the second one last."""
        return int(self._stage.sql(self._groups[1], f"SELECT count(*) FROM {PAIRS_TABLE}"))

    def start(self) -> None:
        """Make the tables and begin to write."""
        self._stage.to_undo["the clients of pairs"] = self.stop
        for group in self._groups:
            self._stage.sql(group, f"DROP TABLE IF EXISTS {PAIRS_TABLE}")
        start = machines.start_pairs(self._stage.topology, *self._groups)
        self._stage.power.run(self._machine, start, QUESTION_SECONDS)
        found = f"SELECT to_regclass('{PAIRS_TABLE}') IS NOT NULL"
        self._stage.until("the clients of pairs run", lambda: self._stage.sql(self._groups[1], found) == "t", 60)

    def stop(self) -> None:
        """Stop writing."""
        self._stage.power.run(self._machine, machines.STOP_PAIRS, QUESTION_SECONDS)
        self._stage.to_undo.pop("the clients of pairs", None)


def _power(members: Sequence[str]) -> str:
    return f"the power of {', '.join(members)}"
