"""A stack's resources as rules read them: typed, indexed, with explicit unknown values.

A property is JSON with one addition: `Unknown`, for a value that is known only after an update, or is secret. Reading
it raises `Undetermined`, which no rule catches: an unknown value never counts as compliant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from functools import cached_property
from typing import Final, TypeAlias

STACK: Final = "pulumi:pulumi:Stack"


class Unknown(Enum):
    """Why a value cannot be read."""

    LATER = "is known only after `up`"
    SECRET = "is secret"  # noqa: S105 (says so, holds none)
    ENCRYPTED = "is encrypted; export the state with `--show-secrets`, or run the packs in a preview of the stack"


Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Unknown | None"

_reads: ContextVar[set[tuple[str, str]] | None] = ContextVar("reads", default=None)


@contextmanager
def recorded() -> Generator[set[tuple[str, str]]]:
    """Record which properties are read: pairs of a URN and a path with `[]` in place of each index.

    A view that was computed before is not read again, so record with a new `Graph`.
    """
    found: set[tuple[str, str]] = set()
    token = _reads.set(found)
    try:
        yield found
    finally:
        _reads.reset(token)


def schema_path(path: str) -> str:
    """Return a path with `[]` in place of each index: `rules[0].prefix` becomes `rules[].prefix`."""
    return re.sub(r"\[\d+\]", "[]", path)


def _record(urn: str, path: str) -> None:
    found = _reads.get()
    if found is not None:
        found.add((urn, schema_path(path)))


_IDENTITIES: Final = ("id", "arn", "name", "bucket", "queueId", "queueName", "scriptName", "certRequestPem")


class Undetermined(Exception):  # noqa: N818 (not an error: an answer)
    """A rule read a value that is unknown, or not of the expected type."""

    def __init__(self, urn: str, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.urn: str = urn
        self.path: str = path
        self.later: bool = reason == Unknown.LATER.value
        """Whether the value is unknown only because no update has happened yet."""


class Node:
    """A mapping inside a resource, with its path for messages."""

    def __init__(self, urn: str, path: str, properties: Mapping[str, Value]) -> None:
        self.urn: str = urn
        self.path: str = path
        self.properties: Mapping[str, Value] = properties

    def read(self, path: str) -> Value:
        """Return the value at a dotted path, None if there is none."""
        _record(self.urn, f"{self.path}.{path}" if self.path else path)
        first, *deeper = path.split(".")
        value = self.properties.get(first)
        walked = f"{self.path}.{first}" if self.path else first
        for step in deeper:
            if not isinstance(value, dict):
                break
            value = value.get(step)
            walked = f"{walked}.{step}"
        else:
            deeper = []
        if isinstance(value, Unknown):
            raise Undetermined(self.urn, walked, value.value)
        return None if deeper else value

    def known(self, path: str) -> bool:
        """Return whether there is a known value at a path."""
        try:
            return self.read(path) is not None
        except Undetermined:
            return False

    def text(self, path: str) -> str:
        """Return a text, empty if there is none."""
        value = self.read(path)
        return "" if value is None else str(self._demand(path, value, str))

    def number(self, path: str) -> float | None:
        """Return a number, None if there is none; some providers write numbers as text."""
        value = self.read(path)
        if value is None or type(value) is int:
            return value
        try:
            number = value if isinstance(value, float) else float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):  # a comparison with NaN would always be false
            raise self._unexpected(path, value, "a number")
        return number

    def flag(self, path: str) -> bool:
        """Return true or false; an absent value is false."""
        value = self.read(path)
        return value is not None and bool(self._demand(path, value, bool))

    def words(self, path: str) -> list[str]:
        """Return a list of texts, empty if there is none."""
        return [str(self._demand(f"{path}[{index}]", one, str)) for index, one in enumerate(self._listed(path))]

    def items(self, path: str) -> list[Node]:
        """Return a list of mappings, empty if there is none."""
        found: list[Node] = []
        for index, one in enumerate(self._listed(path)):
            place = f"{self.path}.{path}[{index}]" if self.path else f"{path}[{index}]"
            if isinstance(one, Unknown):
                raise Undetermined(self.urn, place, one.value)
            if not isinstance(one, dict):
                raise self._unexpected(f"{path}[{index}]", one, "a mapping")
            found.append(Node(self.urn, place, one))
        return found

    def _listed(self, path: str) -> list[Value]:
        value = self.read(path)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._unexpected(path, value, "a list")
        return value

    def _demand(self, path: str, value: Value, kind: type) -> Value:
        if isinstance(value, Unknown):
            raise Undetermined(self.urn, f"{self.path}.{path}" if self.path else path, value.value)
        if not isinstance(value, kind):
            raise self._unexpected(path, value, {str: "a text", bool: "true or false"}[kind])
        return value

    def _unexpected(self, path: str, value: Value, expected: str) -> Undetermined:
        return Undetermined(
            self.urn, f"{self.path}.{path}" if self.path else path, f"is {value!r:.60}, {expected} is expected"
        )


@dataclass(frozen=True, slots=True)
class ProviderOf:
    """The provider of a resource, and the region it is configured for."""

    urn: str
    region: str


class Resource(Node):
    """One resource: its identity, its properties, and what it depends on."""

    def __init__(
        self,
        urn: str,
        type: str,
        properties: Mapping[str, Value],
        *,
        parent: str = "",
        protect: bool = False,
        dependencies: Iterable[str] = (),
        property_dependencies: Mapping[str, Iterable[str]] | None = None,
        provider: ProviderOf | None = None,
        inputs: Mapping[str, Value] | None = None,
        options: Mapping[str, Value] | None = None,
        hidden_options: Iterable[str] = (),
    ) -> None:
        super().__init__(urn, "", properties)
        self.type: str = type
        self.name: str = urn.rpartition("::")[2]
        self.parent: str = parent
        self.dependencies: frozenset[str] = frozenset(dependencies)
        self.property_dependencies: dict[str, tuple[str, ...]] = {
            key: tuple(needs) for key, needs in (property_dependencies or {}).items()
        }
        self.provider: ProviderOf | None = provider
        self.inputs: Mapping[str, Value] = properties if inputs is None else inputs
        self.options: Mapping[str, Value] = {**(options or {}), **({"protect": True} if protect else {})}
        self.hidden_options: frozenset[str] = frozenset(hidden_options)
        """Options that the source of this graph does not show."""

    @property
    def set_inputs(self) -> dict[str, Value]:
        """The inputs that the program sets, without the engine's own."""
        return {key: value for key, value in self.inputs.items() if not key.startswith("__") and value is not None}

    @property
    def protect(self) -> bool:
        """Whether the engine refuses to delete it."""
        _record(self.urn, "@protect")
        return self.options.get("protect") is True

    @property
    def is_component(self) -> bool:
        """Whether it only groups other resources, and exists in no cloud."""
        return self.provider is None and not self.type.startswith("pulumi:providers:")

    @property
    def label(self) -> str:
        """`Instance worker-1-0`: its name for people."""
        return f"{self.type.rpartition(':')[2]} {self.name}"

    @property
    def needs(self) -> frozenset[str]:
        """The URNs of all its dependencies, without its parent."""
        return self.dependencies.union(*self.property_dependencies.values())

    @property
    def region(self) -> str:
        """Its own `region`, else its provider's."""
        if self.known("region"):
            return self.text("region")
        if self.provider is not None and self.provider.region:
            _record(self.provider.urn, "region")
            return self.provider.region
        raise Undetermined(self.urn, "region", "is known neither from the resource nor from its provider")

    @property
    def identities(self) -> frozenset[str]:
        """The values by which other resources may refer to it."""
        found = (self.properties.get(key) for key in _IDENTITIES)
        return frozenset(value for value in found if isinstance(value, str) and value)


@dataclass
class Graph:
    """All resources of one stack.

    `beside`: resources that are reviewed and not part of the platform, such as a bucket for logs. Only `get`, `targets`
    and `everything` return them.
    `today`: the date of the judgement; None if no rule is to compare a date with it.
    """

    resources: list[Resource]
    beside: list[Resource] = field(default_factory=list[Resource])
    today: date | None = None
    _by_urn: dict[str, Resource] = field(init=False, repr=False)
    _by_type: dict[str, list[Resource]] = field(init=False, repr=False)
    _by_identity: dict[tuple[str, str], list[Resource]] = field(init=False, repr=False)
    views: dict[object, object] = field(init=False, repr=False, default_factory=dict[object, object])
    """Views that rules have computed and share (`policies/views`)."""

    def __post_init__(self) -> None:
        self._by_urn = {one.urn: one for one in (*self.resources, *self.beside)}
        self._by_type = {}
        self._by_identity = {}
        for one in self.resources:
            self._by_type.setdefault(one.type, []).append(one)
        for one in (*self.resources, *self.beside):
            for identity in one.identities:
                self._by_identity.setdefault((one.type, identity), []).append(one)

    def on(self, today: date) -> Graph:
        """Return the same resources, to be judged on a date."""
        return replace(self, today=today)

    def of(self, *types: str) -> list[Resource]:
        """Every resource of these types."""
        return [one for type in types for one in self._by_type.get(type, ())]

    def everything(self, *types: str) -> list[Resource]:
        """Every resource of these types, also those beside the platform."""
        return [*self.of(*types), *(one for one in self.beside if one.type in types)]

    def get(self, urn: str) -> Resource | None:
        """The resource of a URN."""
        return self._by_urn.get(urn)

    @cached_property
    def stack(self) -> Resource:
        """The stack itself: the subject of rules about the whole stack."""
        found = self.of(STACK)
        if found:
            return found[0]
        first = self.resources[0].urn if self.resources else "urn:pulumi:none::none::none::none"
        prefix = "::".join(first.split("::")[:2])
        return Resource(f"{prefix}::{STACK}::{prefix.rpartition('::')[2]}", STACK, {})

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.stack.urn.split("::")[0].rpartition(":")[2]

    def targets(self, resource: Resource, path: str, *types: str) -> list[Resource]:
        """Return the resources of these types that a property refers to: by its known value, else by dependency.

        An unknown value without dependencies is undetermined. A known value that is no identity of a resource of this
        stack refers to no resource.
        """
        _record(resource.urn, path)
        top = path.split(".", maxsplit=1)[0]
        depends = [one for urn in resource.property_dependencies.get(top, ()) if (one := self.get(urn)) is not None]
        named = [one for one in depends if one.type in types]
        values = list(_leaves(_at(resource.properties, path.split("."))))
        found: list[Resource] = []
        for value in values:
            if isinstance(value, str):
                matches = [one for type in types for one in self._by_identity.get((type, value), ())]
                found += [one for one in named if one in matches] or matches or _plausible(named, value)
            elif value is Unknown.LATER and not depends:
                raise Undetermined(resource.urn, path, value.value)
            elif isinstance(value, Unknown):
                found += named
        return list(dict.fromkeys(found))

    def target(self, resource: Resource, path: str, *types: str) -> Resource | None:
        """Return the one resource that a property refers to, None if it refers to none here."""
        found = self.targets(resource, path, *types)
        if len(found) > 1:
            names = ", ".join(sorted(one.name for one in found))
            raise Undetermined(resource.urn, path, f"may be any of {names}")
        return found[0] if found else None

    def referring(self, target: Resource, type: str, path: str) -> list[Resource]:
        """Return the resources of a type whose property refers to `target`."""
        index = self._referring_index(target.type, type, path)
        return index.get(target.urn, [])

    def _referring_index(self, target_type: str, type: str, path: str) -> dict[str, list[Resource]]:
        key = ("referring", target_type, type, path)
        found = self.views.get(key)
        if not isinstance(found, dict):
            found = dict[str, list[Resource]]()
            for one in self.of(type):
                for target in self.targets(one, path, target_type):
                    found.setdefault(target.urn, []).append(one)
            self.views[key] = found
        return found  # pyright: ignore[reportUnknownVariableType] (this method alone writes the key)


def _at(value: Value | Mapping[str, Value], steps: list[str]) -> Value:
    for step in steps:
        if isinstance(value, Unknown):
            return value
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value  # pyright: ignore[reportReturnType] (at least one step)


def _leaves(value: Value) -> Iterator[Value]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    else:
        yield value


def _plausible(named: list[Resource], value: str) -> list[Resource]:
    """Return the dependencies that a known value may identify: those without an id yet, or with this value."""
    return [one for one in named if "id" not in one.properties or value in one.identities]
