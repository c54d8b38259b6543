"""Changing a graph: a resource goes, a property or a file changes, a dependency is cut. Each operator makes mutants.

An operator knows types, property paths and file paths, and nothing of any rule.
"""

from __future__ import annotations

import base64
import copy
import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from policies.graph import Graph, Resource, Value

Where = Callable[[Resource], bool]
Change = Callable[[Any], Any]


class Absent:
    """Given as a value: take the property away."""


ABSENT = Absent()
New: TypeAlias = "Change | Value | Absent"
"""What a property becomes: a value, or what a function makes of the old one."""


@dataclass(frozen=True)
class Mutant:
    """A stack that was weakened once; `subject` is what was changed."""

    subject: str
    graph: Graph


Operator = Callable[[Graph], Iterator[Mutant]]


def anything(_: Resource) -> bool:
    """Every resource of a type."""
    return True


def named(*parts: str) -> Where:
    """Resources whose name contains one of these."""
    return lambda resource: any(part in resource.name for part in parts)


def ending(*parts: str) -> Where:
    """Resources whose name ends with one of these."""
    return lambda resource: resource.name.endswith(parts)


def having(path: str, *values: Value) -> Where:
    """Resources with one of these values at a path."""
    return lambda resource: _peek(resource.properties, path) in values


def role(*roles: str) -> Where:
    """Machines of these roles."""
    return having("tags.Role", *roles)


def replaced(graph: Graph, *changed: Resource) -> Graph:
    """The graph with these resources in place of their former selves."""
    by_urn = {one.urn: one for one in changed}
    return Graph([by_urn.get(one.urn, one) for one in graph.resources])


def without(graph: Graph, *gone: Resource) -> Graph:
    """The graph without these resources, and without any dependency on them."""
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
    """A resource with something about it changed."""
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
    """A resource with another value at a path (`rules[*].enabled` means each); None where that changes nothing."""
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


# -- operators


def drop(type: str, where: Where = anything) -> Operator:
    """One resource is not declared."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            yield Mutant(resource.label, without(graph, resource))

    return make


def drop_all(type: str, where: Where = anything) -> Operator:
    """None of a kind is declared."""

    def make(graph: Graph) -> Iterator[Mutant]:
        gone = list(filter(where, graph.of(type)))
        if gone:
            yield Mutant(f"all {len(gone)} {type.rpartition(':')[2]}", without(graph, *gone))

    return make


def put(type: str, path: str, change: New, where: Where = anything) -> Operator:
    """One resource has another value at a path."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            changed = assigned(resource, path, change)
            if changed is not None:
                yield Mutant(resource.label, replaced(graph, changed))

    return make


def put_everywhere(changes: Mapping[str, tuple[str, New]], where: Where = anything) -> Operator:
    """All resources of these types are changed at once: type to path and change."""

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
    """One resource may be deleted."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for resource in filter(where, graph.of(type)):
            if resource.protect:
                yield Mutant(resource.label, replaced(graph, revised(resource, protect=False)))

    return make


def unlink(type: str, target: str, where: Where = anything, to: Where = anything) -> Operator:
    """One resource no longer waits for those of another type, as a dropped `depends_on` does."""

    def make(graph: Graph) -> Iterator[Mutant]:
        gone = {one.urn for one in filter(to, graph.of(target))}
        for resource in filter(where, graph.of(type)):
            if resource.needs & gone:
                yield Mutant(resource.label, replaced(graph, _forget(resource, gone)))

    return make


def edit(path: str, pattern: str, replacement: str, where: Where = anything, *, all: bool = False) -> Operator:
    """A file that machines boot with says something else: on one machine, or on all that have it."""

    def change(document: dict[str, Any]) -> None:
        for file in document["write_files"]:
            if file["path"] == path:
                file["content"] = re.sub(pattern, replacement, file["content"], flags=re.MULTILINE)

    return boot(change, where, all=all)


def write(path: str, content: str, where: Where = anything) -> Operator:
    """A machine boots with a file more."""
    file = {"path": path, "content": content, "permissions": "0644"}
    return boot(lambda document: document["write_files"].append(file), where)


def boot(change: Callable[[dict[str, Any]], None], where: Where = anything, *, all: bool = False) -> Operator:
    """What machines boot with is changed in place: on one machine, or on all that it changes anything on."""

    def make(graph: Graph) -> Iterator[Mutant]:
        changed: list[Resource] = []
        for instance in filter(where, graph.of("aws:ec2/instance:Instance")):
            old = yaml.load(
                gzip.decompress(base64.b64decode(str(instance.properties["userDataBase64"]))), yaml.CSafeLoader
            )
            new = copy.deepcopy(old)
            change(new)
            if new != old:
                changed.append(revised(instance, {**instance.properties, "userDataBase64": _encoded(new)}))
        if all and changed:
            yield Mutant(f"all {len(changed)} machines", replaced(graph, *changed))
        elif not all:
            for one in changed:
                yield Mutant(one.label, replaced(graph, one))

    return make


def _encoded(document: dict[str, Any]) -> str:
    text = "#cloud-config\n" + yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, width=4096)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0, compresslevel=1)).decode()


def chain(*operators: Operator) -> Operator:
    """Each operator's mutants, one after the other."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for operator in operators:
            yield from operator(graph)

    return make


def _forget(resource: Resource, urns: set[str]) -> Resource:
    """A resource without its dependencies on these."""
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
    """One resource refers to another one than it did, by value and by dependency."""

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


def add(make_one: Callable[[Graph], Resource]) -> Operator:
    """A resource is declared that was not."""

    def make(graph: Graph) -> Iterator[Mutant]:
        added = make_one(graph)
        yield Mutant(added.label, Graph([*graph.resources, added]))

    return make
