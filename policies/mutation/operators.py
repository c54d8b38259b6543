"""Operators: functions that make mutants of a graph by removing, adding or changing resources.

An operator knows resource types, property paths and file paths. It knows no rule.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
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
    return replace(graph, resources=[by_urn.get(one.urn, one) for one in graph.resources])


def without(graph: Graph, *gone: Resource) -> Graph:
    """Return the graph without these resources and without dependencies on them."""
    urns = {one.urn for one in gone}
    return replace(graph, resources=[_forget(one, urns) for one in graph.resources if one.urn not in urns])


def revised(resource: Resource, **attributes: Any) -> Resource:
    """Return a copy of a resource with other attributes."""
    changed = copy.copy(resource)
    for name, value in attributes.items():
        setattr(changed, name, value)
    return changed


def optioned(resource: Resource, **options: Value) -> Resource:
    """Return a copy of a resource with other resource options."""
    return revised(resource, options={**resource.options, **options})


def assigned(resource: Resource, path: str, change: New) -> Resource | None:
    """Return a copy with another value at a path (`rules[*].enabled`: in each item), or None if nothing changes."""
    properties, inputs = _changed(resource.properties, path, change), _changed(resource.inputs, path, change)
    same = properties == resource.properties and inputs == resource.inputs
    return None if same else revised(resource, properties=properties, inputs=inputs)


def _changed(values: Mapping[str, Value], path: str, change: New) -> dict[str, Value]:
    result: dict[str, Value] = copy.deepcopy(dict(values))
    function: Change = change if callable(change) else lambda _: change
    _assign(result, re.split(r"\.|(?=\[)", path), function)
    return result


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


# -- operators


def each(type: str, where: Where, change: Callable[[Graph, Resource], Resource | None]) -> Operator:
    """Change one resource of a type in each mutant; none is made where `change` returns None."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            if (changed := change(graph, resource)) is not None:
                yield Mutant(resource.label, replaced(graph, changed))

    return make


def put(type: str, path: str, change: New, where: Where = anything) -> Operator:
    """Set a property of one resource."""
    return each(type, where, lambda _, resource: assigned(resource, path, change))


def put_everywhere(changes: Mapping[str, tuple[str, New]]) -> Operator:
    """Set properties of all resources of these types in one mutant; `changes` maps a type to a path and its change."""

    def make(graph: Graph) -> Iterator[Mutant]:
        changed = [
            new
            for type, (path, change) in changes.items()
            for resource in graph.of(type)
            if (new := assigned(resource, path, change)) is not None
        ]
        if changed:
            yield Mutant(f"all {len(changed)} at once", replaced(graph, *changed))

    return make


def substitute(type: str, path: str, old: str, new: str, where: Where = anything) -> Operator:
    """Replace a part of a text property of one resource."""
    return put(type, path, lambda text: text.replace(old, new), where)


def unprotect(type: str, where: Where = anything) -> Operator:
    """Remove the engine's protection from deletion of one resource."""
    return each(type, where, lambda _, one: optioned(one, protect=False) if one.protect else None)


def unlink(type: str, target: str, where: Where = anything, to: Where = anything) -> Operator:
    """Remove the dependencies of one resource on those of another type, as a dropped `depends_on` does."""

    def change(graph: Graph, resource: Resource) -> Resource | None:
        gone = {one.urn for one in filter(to, graph.of(target))}
        return _forget(resource, gone) if resource.needs & gone else None

    return each(type, where, change)


def relink(
    type: str, path: str, choose: Callable[[Graph, Resource], Resource | None], where: Where = anything
) -> Operator:
    """Let a property of one resource refer to the resource that `choose` returns, by value and by dependency."""

    def change(graph: Graph, resource: Resource) -> Resource | None:
        target = choose(graph, resource)
        changed = None if target is None else assigned(resource, path, target.properties.get("id"))
        if target is None or changed is None:
            return None
        top = re.split(r"[.\[]", path)[0]
        old = set(resource.property_dependencies.get(top, ()))
        return revised(
            changed,
            dependencies=(changed.dependencies - old) | {target.urn},
            property_dependencies={**changed.property_dependencies, top: (target.urn,)},
        )

    return each(type, where, change)


def drop(type: str, where: Where = anything) -> Operator:
    """Remove one resource."""

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
        properties = {**first.properties, "id": "more", "arn": "more", **changes}
        return revised(first, urn=f"{first.urn}-more", name=f"{first.name}-more", properties=properties)

    return add(make)


def declared(
    graph: Graph, type: str, name: str, properties: dict[str, Value], needs: dict[str, tuple[str, ...]] | None = None
) -> Resource:
    """Return a new resource of the graph's stack; `needs` are its property dependencies."""
    prefix = "::".join(graph.stack.urn.split("::")[:2])
    package = type.partition(":")[0]
    provider = next((one.provider for one in graph.resources if one.type.partition(":")[0] == package), None)
    return Resource(f"{prefix}::{type}::{name}", type, properties, property_dependencies=needs, provider=provider)


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
