"""What `--on aws` would call: a scenario's own steps, on a stage that writes calls down and asks no cloud."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from drills.restore.members import COMMAND
from drills.running.aws import machines
from drills.running.aws.edge import AwsEdge
from drills.running.aws.stage import AwsStage
from drills.running.prober import OK, Answer
from drills.running.scenario import Scenario
from drills.sites.claims import parameter_of
from model.restore_points import POINT
from model.topology import Port, Topology

COMMAND_WIDTH = 90
SSM = "ssm:SendCommand"


class Calls:
    """Calls in their order: each action with its detail, and the members that it is about."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], set[str]] = {}

    def add(self, action: str, detail: str = "", members: Sequence[str] = ()) -> None:
        """Add a call."""
        self._known.setdefault((action, detail), set()).update(members)

    def taken(self) -> list[str]:
        """Return the calls so far as lines, and forget them."""
        lines = [
            action + (f" on {', '.join(sorted(members))}" if members else "") + (f": {detail}" if detail else "")
            for (action, detail), members in self._known.items()
        ]
        self._known = {}
        return lines


class PlannedMachines:
    """Machines that answer as healthy ones do; the first member of each group leads it."""

    poll_seconds: float = 0

    def __init__(self, topology: Topology, calls: Calls) -> None:
        self._members: list[str] = [member.name for group in topology.groups for member in group.members]
        self._calls: Calls = calls

    def running(self) -> set[str]:
        """Return the names of all members."""
        self._calls.add("ec2:DescribeInstances")
        return set(self._members)

    def run(self, member: str, command: str, seconds: float) -> str:  # noqa: ARG002
        """Write a command down."""
        shown = command if len(command) <= COMMAND_WIDTH else f"{command[:COMMAND_WIDTH]}…"
        self._calls.add(SSM, shown, [member])
        if command == machines.LEADS:
            return "200" if member.endswith("-0") else "503"
        return f"{time.time()}\n" if "commits" in command else ""

    def stop(self, members: Sequence[str]) -> None:
        """Write down that machines lose power."""
        self._calls.add("ec2:StopInstances (Force, SkipOsShutdown)", "", members)

    def start(self, members: Sequence[str]) -> None:
        """Write down that machines get power."""
        self._calls.add("ec2:DescribeInstances")
        self._calls.add("ec2:StartInstances", "", members)

    def allow_reading(self, secret: str) -> None:
        """Write down that the machines may read a secret."""
        self._calls.add("secretsmanager:TagResource", secret)

    def forbid_reading(self, secret: str) -> None:
        """Write down the end of `allow_reading`."""
        self._calls.add("secretsmanager:UntagResource", secret)

    def keep_aside(self, members: Sequence[str], label: str) -> list[str]:
        """Fail: a drill at AWS restores beside."""
        raise AssertionError(members, label)


class PlannedEdge(AwsEdge):
    """An edge that is not asked."""

    def __init__(self, stage: PlannedStage) -> None:
        super().__init__(stage)
        self._calls: Calls = stage.calls

    @property
    def _health(self) -> str:
        return self._stage.topology.hostnames.health_url

    def probe(self) -> None:
        """Write down that the API is asked."""
        self._calls.add("GET", f"{self._health}, twice a second")

    @property
    def answers(self) -> list[Answer]:
        """The answer of a healthy API."""
        return [Answer(0, 0, OK, {"database": "ok"})]

    def failed(self, seconds: float = 60) -> Answer:  # noqa: ARG002
        """Return the answer of an API without a database."""
        return Answer(0, 0, 503, {"database": "down"})

    def served(self, seconds: float = 300) -> None:  # noqa: ARG002
        """Suppose that the API serves again."""
        self._stage.served_again("the API serves again")

    def lose_worker(self, purpose: Literal["api", "status"]) -> None:
        """Write down that a Cloudflare Worker is deleted."""
        script = f"{self._stage.topology.prefix}-{purpose}"
        self._calls.add("Cloudflare: DELETE", f"/accounts/…/workers/scripts/{script}?force=true")
        self._stage.fault(f"{script} deleted")


class PlannedStage(AwsStage):
    """A stage that waits for nothing."""

    def __init__(self, topology: Topology, root: Path, folder: Path, run: str) -> None:
        super().__init__(topology, root, folder, run)
        self.calls: Calls = Calls()
        self.power = PlannedMachines(topology, self.calls)
        self.edge = PlannedEdge(self)

    def until(self, what: str, holds: Callable[[], bool], seconds: float, pause: float = 0) -> float:  # noqa: ARG002
        """Suppose that something holds at once."""
        self.calls.add("wait until", f"{what}, at most {seconds:g} s")
        return time.monotonic()

    def pass_time(self, seconds: float) -> None:
        """Let no time pass."""
        self.calls.add("wait", f"{seconds:g} s")

    def steady(self) -> None:
        """Write down what is asked before the fault."""
        self.unhealthy()
        self.edge.probe()

    def healthy(self, seconds: float = 0) -> None:  # noqa: ARG002
        """Write down what is asked until redundancy is back."""
        self.unhealthy()
        super().healthy()

    def served(self, *groups: str, seconds: float = 600) -> None:
        """Suppose that groups serve again."""
        self.calls.add("wait until", f"{', '.join(groups)} and the API serve again, at most {seconds:g} s")

    def restorable(self, copy: str, seconds: float = 600) -> None:  # noqa: ARG002
        """Write down how the backups are listed."""
        self._read_copies(f"{COMMAND} list {copy}")

    def restore(self, copy: str, to: str, into: str | None = None, invariants: Sequence[str] = ()) -> dict[str, Any]:
        """Write down a restore beside."""
        self._read_copies(f"{COMMAND} begin, start and status of fetch, recover, check, serve from {copy}")
        for query in invariants:
            self.calls.add(SSM, query, [self.members("coordinator")[0]])
        place = {"socket": f"/run/backbuild-restored-{into}", "port": str(Port.RESTORED.number)}
        point = datetime.fromisoformat(to).strftime(POINT)
        return {"point": point, "beside": {f"{group}-0": place for group in self.groups}}

    def sql_beside(self, member: str, socket: str, port: str, statement: str) -> str:
        """Write down a query in a cluster beside, and return the same numbers for each."""
        super().sql_beside(member, socket, port, statement)
        return "0 0"

    def remove_restore(self, name: str) -> None:
        """Write down how a cluster beside is removed."""
        self.calls.add(SSM, f"{COMMAND} remove {name}", [f"{group}-0" for group in self.groups])
        self.power.forbid_reading(self.topology.secrets.backup_readers)

    def rebuild(self) -> None:
        """Write down what Pulumi is told."""
        self.calls.add("Pulumi's Automation API", "refresh, then up")

    def _read_copies(self, command: str) -> None:
        self.power.allow_reading(self.topology.secrets.backup_readers)
        self.calls.add(SSM, command, [f"{group}-0" for group in self.groups])
        self.power.forbid_reading(self.topology.secrets.backup_readers)


def plan_of(topology: Topology, root: Path, scenario: Scenario) -> list[str]:
    """Return the lines of a dry run at AWS: each step with its calls."""
    parameter = parameter_of(topology)
    lines = [f"{scenario.title} ({scenario.name})", f"  {scenario.situation}"]
    with tempfile.TemporaryDirectory() as folder:
        stage = PlannedStage(topology, root, Path(folder), "RUN")

        def add(heading: str) -> None:
            lines.append(f"  {heading}")
            lines.extend(f"     {call}" for call in stage.calls.taken())

        stage.calls.add("ssm:GetCommandInvocation", "after each command, until it ends")
        stage.calls.add("ssm:PutParameter", f"{parameter}, only if it does not exist")
        stage.remote.begin_on_machines()
        stage.steady()
        add("before: hold the stack, start the clients, wait until everything is healthy")
        for number, step in enumerate(scenario.steps, 1):
            step.do(stage)
            add(f"{number}. {step.text}{'' if step.operator else ' [the drill does this]'}")
        for group in stage.groups:
            stage.traffic.present(group)
        stage.remote.end()
        stage.mend()
        stage.calls.add("ssm:GetParameter, ssm:DeleteParameter", parameter)
        add("after: look for every acknowledged commit, stop the clients, undo what is still broken")
    return lines
