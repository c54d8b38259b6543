"""Operators: functions that make mutants of a graph by removing, adding or changing resources.

An operator knows resource types, property paths and file paths. It knows no rule.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from policies.graph import Graph, Resource, Value

Where = Callable[[Resource], bool]
Change = Callable[[Any], Any]


class Absent:
    """The type of `ABSENT`, a value that removes the property."""


ABSENT = Absent()
New: TypeAlias = "Change | Value | Absent"
"""The new value of a property, or a function from its old value to its new one."""


@dataclass(frozen=True)
class Mutant:
    """A graph with one weakening; `subject` names the changed resource."""

    subject: str
    graph: Graph


Operator = Callable[[Graph], Iterator[Mutant]]


def anything(_: Resource) -> bool:
    """Accept every resource."""
    return True


def named(*parts: str) -> Where:
    """Accept resources whose name contains one of these texts."""
    return lambda resource: any(part in resource.name for part in parts)


def ending(*parts: str) -> Where:
    """Accept resources whose name ends with one of these texts."""
    return lambda resource: resource.name.endswith(parts)


def having(path: str, *values: Value) -> Where:
    """Accept resources that have one of these values at a dotted path."""
    return lambda resource: _peek(resource.properties, path) in values


def replaced(graph: Graph, *changed: Resource) -> Graph:
    """Return the graph with these resources in place of those with the same URNs."""
    by_urn = {one.urn: one for one in changed}
    return Graph([by_urn.get(one.urn, one) for one in graph.resources])


def without(graph: Graph, *gone: Resource) -> Graph:
    """Return the graph without these resources and without dependencies on them."""
    urns = {one.urn for one in gone}
    return Graph([_forget(one, urns) for one in graph.resources if one.urn not in urns])


def revised(
    resource: Resource,
    properties: dict[str, Value] | None = None,
    *,
    protect: bool | None = None,
    dependencies: Iterable[str] | None = None,
    property_dependencies: dict[str, tuple[str, ...]] | None = None,
) -> Resource:
    """Return a copy of a resource; an argument that is given replaces that part of it."""
    return Resource(
        resource.urn,
        resource.type,
        resource.properties if properties is None else properties,
        parent=resource.parent,
        protect=resource.protect if protect is None else protect,
        dependencies=resource.dependencies if dependencies is None else dependencies,
        property_dependencies=resource.property_dependencies
        if property_dependencies is None
        else property_dependencies,
        provider=resource.provider,
    )


def assigned(resource: Resource, path: str, change: New) -> Resource | None:
    """Return a copy with another value at a path (`rules[*].enabled`: in each item), or None if nothing changes."""
    properties: dict[str, Value] = copy.deepcopy(dict(resource.properties))
    function: Change = change if callable(change) else _always(change)
    _assign(properties, re.split(r"\.|(?=\[)", path), function)
    return None if properties == dict(resource.properties) else revised(resource, properties)


def _always(value: Any) -> Change:
    return lambda _: value


def _assign(value: Value, steps: list[str], change: Change) -> None:
    step, *deeper = steps
    if isinstance(value, list):
        indices = range(len(value)) if step == "[*]" else [int(step[1:-1])]
        for index in indices:
            if deeper:
                _assign(value[index], deeper, change)
            else:
                value[index] = change(value[index])
    elif isinstance(value, dict) and deeper:
        _assign(value.get(step), deeper, change)
    elif isinstance(value, dict):
        new = change(value.get(step))
        if new is ABSENT:
            value.pop(step, None)
        else:
            value[step] = new


# -- operators: each mutant changes one resource, unless its docstring says otherwise


def drop(type: str, where: Where = anything) -> Operator:
    """Remove a resource."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            yield Mutant(resource.label, without(graph, resource))

    return make


def drop_all(type: str, where: Where = anything) -> Operator:
    """Remove all resources of a type in one mutant."""

    def make(graph: Graph) -> Iterator[Mutant]:
        gone = list(filter(where, graph.of(type)))
        if gone:
            yield Mutant(f"all {len(gone)} {type.rpartition(':')[2]}", without(graph, *gone))

    return make


def put(type: str, path: str, change: New, where: Where = anything) -> Operator:
    """Set a property."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            changed = assigned(resource, path, change)
            if changed is not None:
                yield Mutant(resource.label, replaced(graph, changed))

    return make


def put_everywhere(changes: Mapping[str, tuple[str, New]], where: Where = anything) -> Operator:
    """Set properties of all resources of these types in one mutant; `changes` maps a type to a path and its change."""

    def make(graph: Graph) -> Iterator[Mutant]:
        changed = [
            new
            for type, (path, change) in changes.items()
            for resource in filter(where, graph.of(type))
            if (new := assigned(resource, path, change)) is not None
        ]
        if changed:
            yield Mutant(f"all {len(changed)} at once", replaced(graph, *changed))

    return make


def unprotect(type: str, where: Where = anything) -> Operator:
    """Remove the engine's protection from deletion."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            if resource.protect:
                yield Mutant(resource.label, replaced(graph, revised(resource, protect=False)))

    return make


def unlink(type: str, target: str, where: Where = anything, to: Where = anything) -> Operator:
    """Remove a resource's dependencies on those of another type, as a dropped `depends_on` does."""

    def make(graph: Graph) -> Iterator[Mutant]:
        gone = {one.urn for one in filter(to, graph.of(target))}
        for resource in filter(where, graph.of(type)):
            if resource.needs & gone:
                yield Mutant(resource.label, replaced(graph, _forget(resource, gone)))

    return make


def chain(*operators: Operator) -> Operator:
    """Make each operator's mutants, one operator after the other."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for operator in operators:
            yield from operator(graph)

    return make


def _forget(resource: Resource, urns: set[str]) -> Resource:
    """Return a resource without its dependencies on these URNs."""
    if not resource.needs & urns:
        return resource
    return revised(
        resource,
        dependencies=resource.dependencies - urns,
        property_dependencies={
            key: tuple(urn for urn in needs if urn not in urns) for key, needs in resource.property_dependencies.items()
        },
    )


def _peek(properties: Mapping[str, Value], path: str) -> Value:
    value: Value = dict(properties)
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def relink(
    type: str, path: str, choose: Callable[[Graph, Resource], Resource | None], where: Where = anything
) -> Operator:
    """Let a property refer to the resource that `choose` returns, by value and by dependency."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            target = choose(graph, resource)
            changed = None if target is None else assigned(resource, path, target.properties.get("id"))
            if target is None or changed is None:
                continue
            top = path.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
            needs = {**changed.property_dependencies, top: (target.urn,)}
            old = set(resource.property_dependencies.get(top, ()))
            changed = revised(
                changed, dependencies=(changed.dependencies - old) | {target.urn}, property_dependencies=needs
            )
            yield Mutant(f"{resource.label} -> {target.name}", replaced(graph, changed))

    return make


def substitute(type: str, path: str, old: str, new: str, where: Where = anything) -> Operator:
    """Replace a part of a text property."""
    return put(type, path, lambda text: text.replace(old, new), where)


def add(make_one: Callable[[Graph], Resource]) -> Operator:
    """Add the resource that `make_one` returns."""

    def make(graph: Graph) -> Iterator[Mutant]:
        added = make_one(graph)
        yield Mutant(added.label, Graph([*graph.resources, added]))

    return make


def declare(type: str, **properties: Any) -> Operator:
    """Add a resource with the name `more`."""
    return add(lambda graph: declared(graph, type, "more", {"id": "more", **properties}))


def declare_another(type: str, **changes: Any) -> Operator:
    """Add a copy of the first resource of a type, with some properties changed."""

    def make(graph: Graph) -> Resource:
        first = graph.of(type)[0]
        return Resource(
            f"{first.urn}-more",
            type,
            {**first.properties, "id": "more", "arn": "more", **changes},
            parent=first.parent,
            property_dependencies=first.property_dependencies,
        )

    return add(make)


def declared(
    graph: Graph, type: str, name: str, properties: dict[str, Value], needs: dict[str, tuple[str, ...]] | None = None
) -> Resource:
    """Return a new resource of the graph's stack; `needs` are its property dependencies."""
    prefix = "::".join(graph.stack.urn.split("::")[:2])
    return Resource(f"{prefix}::{type}::{name}", type, properties, property_dependencies=needs)
