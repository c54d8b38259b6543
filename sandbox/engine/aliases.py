"""The former URNs of a resource: from its own aliases and from its parent's aliases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.engine import urns


@dataclass(frozen=True)
class Alias:
    """A former identity: a whole `urn`, or the parts of it that were different. An empty part is unchanged."""

    urn: str = ""
    name: str = ""
    type: str = ""
    parent: str = ""
    no_parent: bool = False
    project: str = ""
    stack: str = ""


def former_urns(urn: str, parent: str, aliases: Iterable[Alias], renamed: Mapping[str, str]) -> list[str]:
    """Return every URN that the resource `urn` may have had, the most likely first, without the current one.

    `renamed` holds the former URN of every resource that was found by an alias. For a child of a renamed component,
    the result includes URNs below the component's former URN, with names that begin with the component's former name.
    """
    own = [_resolved(urn, parent, alias, renamed) for alias in aliases]
    former_parent = renamed.get(parent)
    inherited: list[str] = []
    if former_parent is not None:
        inherited = [_below(former_parent, parent, candidate) for candidate in (urn, *own)]
    return [candidate for candidate in dict.fromkeys((*own, *inherited)) if candidate != urn]


def _resolved(urn: str, parent: str, alias: Alias, renamed: Mapping[str, str]) -> str:
    if alias.urn:
        return alias.urn
    now = urns.parse(urn)
    former_parent = "" if alias.no_parent else renamed.get(alias.parent, alias.parent) or parent
    return urns.make(
        alias.stack or now.stack,
        alias.project or now.project,
        former_parent,
        alias.type or now.type,
        alias.name or now.name,
    )


def _below(former_parent: str, parent: str, urn: str) -> str:
    """Return the URN that a child had below its parent's former URN."""
    former, now, child = urns.parse(former_parent), urns.parse(parent), urns.parse(urn)
    name = child.name
    if name.startswith(now.name):  # children are customarily named after their component: NAME-part
        name = former.name + name.removeprefix(now.name)
    stack = urns.parse(urn).stack
    return urns.make(stack, child.project, former_parent, child.type, name)
