"""What a picture of a stack shows, before anything is placed: boxes in lanes, machines by zone, who talks to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """One thing drawn as a box: what it is, what it is called, and what else is worth a line."""

    key: str
    kind: str
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edge:
    """`source` calls, writes to or tells `target`; both are keys of boxes, or names of roles."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Member:
    """One machine."""

    name: str
    address: str


@dataclass(frozen=True)
class Group:
    """Machines that stand in for each other, by zone."""

    name: str
    detail: str
    zones: Mapping[str, tuple[Member, ...]]


@dataclass(frozen=True)
class Role:
    """The groups that do the same work."""

    name: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Machines:
    """A region's machines, roles from the one nearest to customers to the one that all others need; notes by zone."""

    region: str
    zones: tuple[str, ...]
    notes: Mapping[str, str]
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class Storage:
    """Where objects go: the buckets written to, what hears of it, what carries it on, and where to."""

    sources: tuple[Box, ...]
    queues: tuple[Box, ...]
    carriers: tuple[Box, ...]
    copies: tuple[Box, ...]
    scheduled: tuple[Box, ...]


@dataclass(frozen=True)
class Diagram:
    """The whole picture."""

    title: str
    domains: tuple[str, ...]
    front: tuple[Box, ...]
    machines: Machines
    storage: Storage
    alarms: tuple[Box, ...]
    channels: tuple[Box, ...]
    edges: tuple[Edge, ...]
