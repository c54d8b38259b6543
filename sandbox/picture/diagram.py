"""The content of a diagram, without positions: boxes in lanes, machines by zone, and edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A box: its kind, its title, and further lines of text."""

    key: str
    kind: str
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edge:
    """`source` calls, writes to or notifies `target`. Both are keys of boxes or names of roles."""

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
    """A group of redundant machines, by zone."""

    name: str
    detail: str
    zones: Mapping[str, tuple[Member, ...]]


@dataclass(frozen=True)
class Role:
    """The groups with the same function."""

    name: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Machines:
    """A region's machines. Roles are sorted from clients to servers; `notes` holds a note for each zone."""

    region: str
    zones: tuple[str, ...]
    notes: Mapping[str, str]
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class Storage:
    """Object storage: source buckets, the queues they notify, consumers, target buckets, and scheduled Workers."""

    sources: tuple[Box, ...]
    queues: tuple[Box, ...]
    carriers: tuple[Box, ...]
    copies: tuple[Box, ...]
    scheduled: tuple[Box, ...]


@dataclass(frozen=True)
class Diagram:
    """The whole diagram."""

    title: str
    domains: tuple[str, ...]
    front: tuple[Box, ...]
    machines: Machines
    storage: Storage
    alarms: tuple[Box, ...]
    channels: tuple[Box, ...]
    edges: tuple[Edge, ...]
