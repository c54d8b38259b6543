"""A stack whose machines answer `backbuild-restore` from memory."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drills.restore.members import COMMAND
from drills.sites.site import SiteError
from harness.stacks import topology_of

TOPOLOGY = topology_of("staging")
POINT = "backbuild-20261124T023000Z"
GROUPS = {member.name: group.name for group in TOPOLOGY.database_groups for member in group.members}

Json = dict[str, Any]


def results_of(member: str, step: str, _arguments: Json) -> Json:
    """Return what a step returns on a member without any problem."""
    match step:
        case "fetch":
            found = {"run": f"{member}-run", "class": "hourly", "finishedAt": "2026-11-24T01:30:00Z"}
            return {**found, "bytes": 5, "objects": 2, "unlisted": 1, "points": {POINT: "000000010000000000000007"}}
        case "recover":
            return {"prepared": [], "nodes": [], "system": f"{GROUPS[member]}-system", "bytes": 9}
        case "committed":
            return {"committed": []}
        case "check":
            return {"databases": ["backbuild"], "relations": 3, "references": {"backbuild": {"countries": 7}}}
        case "serve":
            return {"socket": "/run/backbuild-restored-audit", "port": 5434}
        case _:
            return {}


@dataclass
class Machine:
    """A member: the restore on it, and how often a step must be asked for before it ends."""

    name: str = ""
    plan: Json = field(default_factory=dict)
    results: Json = field(default_factory=dict)
    failed: Json | None = None
    running: str | None = None
    asked: int = 0
    delay: int = 0
    down: int = 0
    """How often it does not answer from now on."""


class FakeSite:
    """A site. `log` has what was done, in order; `failures` the reasons of steps that fail, by member and step."""

    poll_seconds: float = 0

    def __init__(self, result: Callable[[str, str, Json], Json] = results_of) -> None:
        self.machines = {member: Machine() for member in GROUPS}
        self.leaders = {group.members[0].name for group in TOPOLOGY.database_groups}
        self.log: list[tuple[str, ...]] = []
        self.failures: dict[tuple[str, str], str] = {}
        self.vanishing: set[tuple[str, str]] = set()
        """Steps that end without a result."""
        self.rebooting: dict[tuple[str, str], int] = {}
        """Steps during which a member reboots once, and how often it does not answer then."""
        self.reading = False
        self.listed: Callable[[str, str], Json] = lambda member, copy: {
            "group": GROUPS[member],
            "copy": copy,
            "problem": None,
            "from": "2026-11-20T01:30:00Z",
            "walUntil": "2026-11-24T02:31:00Z",
            "newestListedPoint": POINT,
            "runs": [{"run": "20261124-013005F", "finishedAt": "2026-11-24T01:30:47Z", "classes": ["hourly"]}],
            "rehearsed": None,
        }
        self.answers: dict[str, str] = {}
        """The output of other commands, by a part of them."""
        self._result = result
        self._lock = threading.Lock()

    def running(self) -> set[str]:
        gateways = {member.name for member in TOPOLOGY.gateways.members}
        return set(self.machines) | gateways

    def run(self, member: str, command: str, _seconds: float) -> str:
        with self._lock:
            if not command.startswith(COMMAND):
                self.log.append(("shell", member, command))
                if "/primary" in command:
                    return "yes\n" if member in self.leaders else ""
                return next((answer for part, answer in self.answers.items() if part in command), "t\n")
            machine = self.machines[member]
            if machine.down:
                machine.down -= 1
                raise SiteError(f"{member}: it does not answer")
            word, *given = shlex.split(command)[1:]
            return getattr(self, f"_{word}")(member, machine, *given)

    def _begin(self, member: str, machine: Machine, name: str, plan: str) -> str:
        if machine.name and (machine.name, machine.plan) != (name, json.loads(plan)):
            raise SiteError(f"{member}: {member} has the restore {machine.name}")
        machine.name, machine.plan = name, json.loads(plan)
        self.log.append(("begin", member, name))
        return ""

    def _start(self, member: str, machine: Machine, name: str, step: str, arguments: str) -> str:
        assert (machine.name, machine.running) == (name, None)
        self.log.append((step, member, arguments))
        machine.running, machine.failed, machine.asked = step, None, 0
        if lost := self.rebooting.pop((member, step), 0):
            machine.running, machine.down = None, lost
        elif (member, step) in self.vanishing:
            machine.running = None
        elif (member, step) in self.failures:
            machine.running, machine.failed = None, {"step": step, "reason": self.failures[member, step]}
        elif not machine.delay:
            self._end(member, machine, json.loads(arguments))
        else:
            machine.plan["arguments"] = arguments
        return ""

    def _end(self, member: str, machine: Machine, arguments: Json) -> None:
        assert machine.running
        machine.results[machine.running] = self._result(member, machine.running, arguments)
        machine.running = None

    def _status(self, member: str, machine: Machine, step: str = "") -> str:
        if not machine.name:
            return "{}\n"
        if machine.running:
            machine.asked += 1
            if machine.asked >= machine.delay:
                self._end(member, machine, json.loads(machine.plan.pop("arguments")))
        shown = {"name": machine.name, "plan": machine.plan, "running": bool(machine.running), "progress": {}}
        results = {name: result for name, result in machine.results.items() if name == step}
        return json.dumps({**shown, "failed": machine.failed, "results": results})

    def _list(self, member: str, _machine: Machine, *copies: str) -> str:
        assert self.reading
        return json.dumps([self.listed(member, copy) for copy in copies])

    def _remove(self, member: str, _machine: Machine, name: str) -> str:
        self.log.append(("remove", member, name))
        self.machines[member] = Machine()
        return ""

    def allow_reading(self, secret: str) -> None:
        assert secret == TOPOLOGY.secrets.backup_readers
        self.log.append(("allow",))
        self.reading = True

    def forbid_reading(self, secret: str) -> None:
        assert secret == TOPOLOGY.secrets.backup_readers
        self.log.append(("forbid",))
        self.reading = False

    def keep_aside(self, members: Sequence[str], label: str) -> list[str]:
        self.log.append(("snapshot", *members))
        return [f"{member}-{label}" for member in members]

    @property
    def done(self) -> list[str]:
        """Return what was done, without repetitions on several machines."""
        words = [self._word(entry) for entry in self.log]
        return [word for index, word in enumerate(words) if index == 0 or words[index - 1] != word]

    @staticmethod
    def _word(entry: tuple[str, ...]) -> str:
        if entry[0] != "shell":
            return entry[0]
        command = entry[2]
        return next((f"doors {word}" for word in ("shut", "open") if f"doors {word}" in command), "ask")
