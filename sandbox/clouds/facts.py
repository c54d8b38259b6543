"""`Facts`: the behaviour of a resource type that the SDK's schema does not contain, in a short declarative form.

A type without facts also works: its id is generated, and its outputs are its inputs and a plausible value for each
output that is always filled in according to the SDK. To add a type, add `Facts(…)` under its token to the package's
table.

Templates are Python format strings. Their fields are the object's inputs and earlier outputs by wire name, `id`, the
package's settings (for AWS `region`, `partition`, `dnsSuffix` and `account`), and `hexN`: N hexadecimal digits, which
depend on the object's URN and on how many objects were created for that URN before.

Property patterns (`rules[].conditions.prefix`) name a property at any depth; `[]` matches every item of a list.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from sandbox.provider import CheckFailure
from sandbox.values import UNKNOWN, Properties, Value

Rule = Callable[[Any], str | None]
"""Checks one known value; returns None, or a message that says what is valid."""

InputsRule = Callable[[Properties], Iterable[CheckFailure]]
"""Checks all inputs together. Values may be missing or `UNKNOWN`."""


class NotYetKnown(Exception):  # noqa: N818 (control flow, not an error)
    """A template or function needs a value that is only known during an update."""


class ObjectLookup(Protocol):
    """Look-ups of other objects in the cloud, for facts that depend on them."""

    def look(self, kind: str, handle: Value) -> Properties | None:
        """Return the outputs of the object of a kind with this id, ARN or name, or None."""
        ...

    def look_all(self, kind: str, handle: Value) -> list[Properties]:
        """Return the outputs of all such objects: several scopes may have one with the same name."""
        ...

    def referring(self, handle: str, types: tuple[str, ...]) -> list[Properties]:
        """Return the outputs of the objects of these types that refer to `handle`."""
        ...

    def of_type(self, type: str) -> list[Properties]:
        """Return the outputs and ids of all existing objects of a type, without planned ones."""
        ...


@dataclass
class EvaluationContext:
    """The fields of one object while its outputs are computed. Reads are recorded, to find changed dependencies."""

    fields: dict[str, Value]
    entropy: str
    objects: ObjectLookup
    now: datetime
    fields_read: set[str] = field(default_factory=set[str])
    before: Properties | None = None
    """The object's outputs before an update; None for a new object."""

    def __getitem__(self, name: str) -> Any:
        self.fields_read.add(name)
        if name.startswith("hex") and name[3:].isdigit():
            return digits(self.entropy, int(name[3:]))
        value = self.fields.get(name)
        if value is UNKNOWN:
            raise NotYetKnown(name)
        return "" if value is None else value

    def get(self, name: str) -> Any:
        """Return a field's value, or None if it is absent."""
        self.fields_read.add(name)
        value = self.fields.get(name)
        if value is UNKNOWN:
            raise NotYetKnown(name)
        return value


Computed = str | int | bool | list[Any] | dict[str, Any] | Callable[[EvaluationContext], Value] | None
"""An output: a template, a constant, or a function."""


@dataclass(frozen=True)
class Cidr:
    """An address range that must be inside a range of its owner, and must not overlap another range of that owner."""

    property: str
    owner: str
    kind: str


@dataclass(frozen=True)
class Renewal:
    """The replacement of an object after a period of time, such as that of a certificate before it expires."""

    output: str
    """The boolean output that a refresh sets to true when the replacement is due."""
    due: Callable[[Properties, Properties, datetime], bool]
    """Whether an object with these outputs and new inputs must be replaced at this time."""


@dataclass(frozen=True)
class Facts:
    """The behaviour of all objects of one type."""

    id: Computed = ""
    """Template or function of the id; if empty, the package's default."""
    computed: Mapping[str, Computed] = field(default_factory=dict[str, Computed])
    """Outputs that the cloud computes: unknown in a preview."""
    generated: Callable[[EvaluationContext], tuple[str, Properties]] | None = None
    """Returns the id and the outputs of a new object that are made together, such as a key and its fingerprints."""
    renewal: Renewal | None = None
    filled: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Dotted paths inside input objects that the cloud fills in if they are absent: unknown in a preview."""
    read_back: Callable[[Properties], Properties] | None = None
    """Outputs that a refresh returns, if they differ from those that an update returns."""
    sensitive: tuple[str, ...] = ()
    """Property patterns that the provider declares sensitive: secret in all its responses."""
    defaults: Mapping[str, Computed] = field(default_factory=dict[str, Computed])
    """Default values of inputs, known in a preview."""
    replaces: tuple[str, ...] = ()
    """Property patterns whose change forces a replacement; `*` matches all properties."""
    replaces_when: Mapping[str, str] = field(default_factory=dict[str, str])
    """Properties whose change forces a replacement only if the other property is true."""
    unique: tuple[tuple[str, ...], ...] = ()
    """Groups of properties whose combined values must be unique within `scope`."""
    scope: str = ""
    """Template of the scope in which ids and names are unique; if empty, the whole cloud."""
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    """Rules for values, by property pattern."""
    inputs_rules: tuple[InputsRule, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict[str, str])
    """For each property pattern, the kind of the object that must exist with this id, ARN or name."""
    kind: str = ""
    """The name of this kind in `references`; if empty, the type token."""
    known_as: tuple[str, ...] = ("arn", "name")
    """Outputs besides the id that other objects may use to refer to this one."""
    deletion_blocked_by: tuple[str, ...] = ()
    """Types whose references to this object prevent its deletion."""
    cascades_to: tuple[str, ...] = ()
    """Types whose objects are deleted together with the object that they refer to."""
    cidr: Cidr | None = None
    rejects: Callable[[EvaluationContext], str | None] | None = None
    """Returns the reason why the cloud rejects a create or update, given its other objects, or None."""
    rejects_in_update: Callable[[EvaluationContext], str | None] | None = None
    """Like `rejects`, but only during an update: the result may depend on objects that the update creates."""
    undeletable: tuple[str, str] | None = None
    """If the provider cannot delete the type: the property that refers to the owner, and the remedy."""
    rejects_deletion: Callable[[Properties], str | None] | None = None
    """Returns the reason why the cloud rejects the deletion of an object with these outputs, or None."""
    autoname: str = ""
    """The input that gets a generated name if none is given."""
    autoname_format: str = "{name}-{hex7}"


NO_FACTS = Facts()

Function = Callable[[Properties, Mapping[str, str]], Properties]
"""A provider function: takes its arguments and the package's settings."""


Lookup = Callable[[Properties, "Store"], Properties | None]


class Store(Protocol):
    """Objects that a provider function may look up and change."""

    def find(self, type: str, id: str, urn: str) -> Any:
        """Return the object of a type with this id, or None."""
        ...

    def replace(self, thing: Any) -> None:
        """Store a changed object."""
        ...


@dataclass(frozen=True)
class Package:
    """One provider package: its types, its functions, and behaviour that all its types share."""

    name: str
    types: Mapping[str, Facts]
    functions: Mapping[str, Function]
    lookups: Mapping[str, Lookup] = field(default_factory=dict[str, Any], kw_only=True)
    """Functions that look up objects. If the result is None, the function in `functions` is called."""
    settings: Callable[[Properties], dict[str, str]]
    """Converts the provider's configuration to template fields."""
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    """Rules for properties with this name in every type."""
    input_checks: tuple[Callable[[Properties, Mapping[str, str]], Iterable[CheckFailure]], ...] = ()
    """Check the inputs of every type, given the package's settings."""
    config_rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    common: Mapping[str, Callable[[Properties, Properties], Value]] = field(
        default_factory=dict[str, Callable[[Properties, Properties], Value]]
    )
    """Outputs computed from configuration and inputs, in every type that declares them; known in a preview."""
    replaces: tuple[str, ...] = ()
    """Property patterns whose change forces a replacement in every type."""
    id: str = "{hex32}"
    external_references: re.Pattern[str] = re.compile(r"(?!)")
    """References that need not exist in the store: to objects of the cloud itself or of another account."""

    def facts(self, type: str) -> Facts:
        """Return the facts of a type, or empty ones."""
        return self.types.get(type, NO_FACTS)


def digits(entropy: str, count: int) -> str:
    """Return `count` hexadecimal digits that depend only on `entropy`."""
    return hashlib.shake_256(entropy.encode()).hexdigest((count + 1) // 2)[:count]


def value_of(computed: Computed, context: EvaluationContext) -> Value:
    """Evaluate an output; raise `NotYetKnown` if it depends on an unknown value."""
    if isinstance(computed, str):
        return computed.format_map(context)  # pyright: ignore[reportArgumentType] (it only indexes)
    return computed(context) if callable(computed) else computed


@cache
def _steps(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.replace("[]", ".[]").split("."))


def matching(value: Value, pattern: str) -> Iterator[tuple[str, Value]]:
    """Yield path and value of every property that matches a pattern, except null and unknown values."""
    yield from _matching(value, _steps(pattern), "")


def _matching(value: Value, steps: tuple[str, ...], path: str) -> Iterator[tuple[str, Value]]:
    if value is None or value is UNKNOWN:
        return
    if not steps:
        yield path, value
    elif steps[0] == "[]":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _matching(item, steps[1:], f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from _matching(value.get(steps[0]), steps[1:], join(path, steps[0]))


def join(path: str, name: str) -> str:
    """Return the path of a property of an object, in Pulumi's notation."""
    if re.fullmatch(r"[A-Za-z_$][\w$-]*", name):
        return f"{path}.{name}" if path else name
    return f'{path}["{name}"]'
