"""What to break: the kinds of faults, a plan from a seed, and the machines that a fault hits."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DATABASES = ("coordinator", "worker")  # the first word of the names of groups that have a leader
LEADER_KILLED = 20.0  # seconds: the targets in docs/failover.md
LEADER_PARTITIONED = 30.0
HANDED_OVER = 5.0
STANDBY_LOST = 4.0
NO_LEADER_LOST = 1.0
OWN_GATEWAY_LOST = 3.0
REDUNDANT = 120.0
SERVICE_BACK = 120.0


@dataclass(frozen=True)
class Kind:
    """A kind of fault: an action of `fleet.py`, the role of the machine that it hits, and the longest stall allowed."""

    action: str
    role: str
    target: float

    def __str__(self) -> str:
        return f"{self.action}: {self.role}"


KINDS = (
    Kind("power loss", "leader", LEADER_KILLED),
    Kind("power loss", "standby", STANDBY_LOST),
    Kind("power loss", "etcd voter", NO_LEADER_LOST),
    Kind("power loss", "gateway", NO_LEADER_LOST),
    Kind("power loss", "everything", SERVICE_BACK),
    Kind("reboot", "leader", LEADER_KILLED),
    Kind("reboot", "standby", STANDBY_LOST),
    Kind("crash of Patroni and PostgreSQL", "leader", LEADER_KILLED),
    Kind("crash of PostgreSQL", "leader", LEADER_KILLED),
    Kind("stop of Patroni", "leader", LEADER_KILLED),
    Kind("switchover", "leader", HANDED_OVER),
    Kind("freeze of Patroni", "leader", LEADER_PARTITIONED),
    Kind("freeze of PostgreSQL", "leader", LEADER_PARTITIONED),
    Kind("freeze of PostgreSQL", "standby", STANDBY_LOST),
    Kind("partition", "leader", LEADER_PARTITIONED),
    Kind("partition, incoming", "leader", LEADER_PARTITIONED),
    Kind("partition, outgoing", "leader", LEADER_PARTITIONED),
    Kind("partition", "standby", STANDBY_LOST),
    Kind("partition", "etcd voter", NO_LEADER_LOST),
    Kind("partition", "gateway", NO_LEADER_LOST),
    Kind("partition", "zone", LEADER_PARTITIONED),
    Kind("full data disk", "leader", LEADER_PARTITIONED),
    Kind("full data disk", "standby", STANDBY_LOST),
)


@dataclass(frozen=True)
class Fault:
    """A planned fault. `choice`, from 0 to 1, selects among the machines that have its role when it begins."""

    kind: Kind
    choice: float
    hold: float
    """Seconds until the fault ends. Some are shorter than a lease, most longer."""


@dataclass(frozen=True)
class Situation:
    """The machines when a fault begins: each group's members, its leader if it has one, and each machine's zone."""

    groups: Mapping[str, Sequence[str]]
    leaders: Mapping[str, str]
    zones: Mapping[str, str]


@dataclass(frozen=True)
class Target:
    """What a fault hits: its name for the report, its machines, and the groups whose leader or standby is hit."""

    name: str
    machines: tuple[str, ...]
    groups: tuple[str, ...]


def group_of(machine: str) -> str:
    """Return the group of a machine: its name without its index."""
    return machine.rpartition("-")[0]


def is_database(group: str) -> bool:
    """Whether a group has a leader."""
    return group.startswith(DATABASES)


def plan(seed: int, count: int, kinds: Sequence[Kind] = KINDS) -> list[Fault]:
    """Return `count` faults. All kinds occur, in random order, before any occurs again."""
    chance = random.Random(seed)
    faults: list[Fault] = []
    while len(faults) < count:
        for kind in chance.sample(kinds, len(kinds)):
            hold = chance.choice((chance.uniform(3, 15), chance.uniform(30, 40), chance.uniform(30, 40)))
            faults.append(Fault(kind, chance.random(), hold))
    return faults[:count]


def resolve(fault: Fault, now: Situation) -> Target:
    """Return what a fault hits in a situation."""
    if fault.kind.role == "everything":
        databases = tuple(group for group in sorted(now.groups) if is_database(group))
        return Target("everything", tuple(sorted(now.zones)), databases)
    if fault.kind.role == "zone":
        zone = _pick(sorted(set(now.zones.values())), fault.choice)
        machines = tuple(sorted(name for name, own in now.zones.items() if own == zone))
        return Target(zone, machines, _databases(machines))
    machine = _pick(_candidates(fault.kind.role, now), fault.choice)
    return Target(machine, (machine,), _databases((machine,)))


def judged(kind: Kind, target: Target, writers: Mapping[str, float], groups: Mapping[str, float]) -> float:
    """Return the stall to compare with the kind's target, from the stalls of the writers and of the groups.

    It is the longest one of the groups that the fault hits, or of all groups. The clients of a lost gateway connect to
    another one first, which may take them longer, so their stall counts in proportion to their own target.
    """
    if kind.role == "gateway":
        share = kind.target / OWN_GATEWAY_LOST
        return max(seconds * (share if name == target.name else 1) for name, seconds in writers.items())
    return max(seconds for name, seconds in groups.items() if name in target.groups or not target.groups)


def _candidates(role: str, now: Situation) -> list[str]:
    members = [name for group in sorted(now.groups) for name in now.groups[group]]
    match role:
        case "leader":
            return sorted(now.leaders.values())
        case "standby":
            leaders = set(now.leaders.values())
            return [name for name in members if is_database(group_of(name)) and name not in leaders]
        case "etcd voter":
            return [name for name in members if group_of(name) == "consensus"]
        case _:
            return [name for name in members if group_of(name) == role]


def _databases(machines: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({group_of(name) for name in machines if is_database(group_of(name))}))


def _pick(names: Sequence[str], choice: float) -> str:
    return names[min(int(choice * len(names)), len(names) - 1)]
