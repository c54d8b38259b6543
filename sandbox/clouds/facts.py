"""What no SDK says about a resource type, in a form short enough to write by the dozen.

A type without facts works too: its id is generated, and its outputs are its inputs plus a plausible value for whatever
the SDK says is always filled in. To add a type, add one `Facts(…)` under its token to the package's table.

Templates are plain format strings. Their fields are the object's inputs and earlier outputs by wire name, `id`, the
package's settings (for AWS `region`, `partition`, `dnsSuffix` and `account`), and `hexN`: N hexadecimal digits that are
stable for the object's URN and differ each time an object is made for it.

Property patterns (`rules[].conditions.prefix`) name a property at any depth; `[]` stands for every item of a list.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from sandbox.provider import CheckFailure
from sandbox.values import UNKNOWN, Properties, Value

Rule = Callable[[Any], str | None]
"""Judges one known value; what it returns says what would be right."""

Together = Callable[[Properties], Iterable[CheckFailure]]
"""Judges the inputs as a whole; values it needs may be missing or `UNKNOWN`."""


class NotYetKnown(Exception):  # noqa: N818 (control flow, not an error)
    """A template or function asked for a value that only a real update can tell."""


class World(Protocol):
    """The other objects of the cloud, for facts that depend on them."""

    def look(self, kind: str, handle: Value) -> Properties | None:
        """The outputs of the object of that kind with this id, ARN or name, or None."""
        ...

    def look_all(self, kind: str, handle: Value) -> list[Properties]:
        """The outputs of all such objects, where several places have one of that name."""
        ...

    def referring(self, handle: str, types: tuple[str, ...]) -> list[Properties]:
        """The outputs of the objects of these types that refer to `handle`."""
        ...

    def of_type(self, type: str) -> list[Properties]:
        """The outputs and ids of all objects of a type that exist; of those planned, none."""
        ...


@dataclass
class Making:
    """One object while its outputs are worked out. Reading a field records it, so that an update knows what depends."""

    fields: dict[str, Value]
    entropy: str
    world: World
    asked: set[str] = field(default_factory=set[str])
    before: Properties | None = None
    """The outputs of the object that is changed; None for a new one."""

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        if name.startswith("hex") and name[3:].isdigit():
            return digits(self.entropy, int(name[3:]))
        value = self.fields.get(name)
        if value is UNKNOWN:
            raise NotYetKnown(name)
        return "" if value is None else value

    def get(self, name: str) -> Any:
        """Like indexing, but None for what is not there."""
        self.asked.add(name)
        value = self.fields.get(name)
        if value is UNKNOWN:
            raise NotYetKnown(name)
        return value


Computed = str | int | bool | list[Any] | dict[str, Any] | Callable[[Making], Value] | None
"""An output: a template, a constant, or a function."""


@dataclass(frozen=True)
class Cidr:
    """Address ranges that must lie inside those of an owner, and apart from each other's."""

    property: str
    owner: str
    kind: str


@dataclass(frozen=True)
class Facts:
    """What is true of every object of one type."""

    id: Computed = ""
    """Template or function of the id; empty for the package's usual one."""
    computed: Mapping[str, Computed] = field(default_factory=dict[str, Computed])
    """Outputs that the cloud decides: unknown in a preview."""
    filled: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Dotted paths inside objects among the inputs that the cloud fills where they are absent: unknown in a preview."""
    read_back: Callable[[Properties], Properties] | None = None
    """What a refresh finds in place of the outputs that an update answered."""
    sensitive: tuple[str, ...] = ()
    """Property patterns that the provider declares sensitive: secret in what it answers, whoever gave them."""
    defaults: Mapping[str, Computed] = field(default_factory=dict[str, Computed])
    """Outputs for inputs that were not given, known beforehand."""
    replaces: tuple[str, ...] = ()
    """Property patterns whose change takes a new object; `*` for all of them."""
    replaces_when: Mapping[str, str] = field(default_factory=dict[str, str])
    """Properties whose change takes a new object only when that other property is true."""
    unique: tuple[tuple[str, ...], ...] = ()
    """Groups of properties of which no two objects within `scope` may share all values."""
    scope: str = ""
    """Template of the place within which ids and unique names are unique; empty for the whole cloud."""
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    """Property pattern to the rule for its values."""
    together: tuple[Together, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict[str, str])
    """Property pattern to the kind of object that must exist under this id, ARN or name."""
    kind: str = ""
    """What references call such an object; empty for its type token."""
    known_as: tuple[str, ...] = ("arn", "name")
    """Outputs, besides the id, by which others refer to it."""
    held_by: tuple[str, ...] = ()
    """Types whose references forbid that it is deleted."""
    takes_along: tuple[str, ...] = ()
    """Types whose objects go with the one that they refer to."""
    cidr: Cidr | None = None
    refuses: Callable[[Making], str | None] | None = None
    """Why the cloud, given its other objects, refuses to make or change this one."""
    validates: Callable[[Making], str | None] | None = None
    """The same for what the cloud tries out when it makes the object: not asked in a preview."""
    undeletable: tuple[str, str] | None = None
    """Where the provider cannot delete: the property that names what the object goes with, and the remedy."""
    protected: Callable[[Properties], str | None] | None = None
    """Why the cloud refuses to delete an object with these outputs."""
    autoname: str = ""
    """The input that gets a generated name when none is given."""
    autoname_format: str = "{name}-{hex7}"


NO_FACTS = Facts()

Function = Callable[[Properties, Mapping[str, str]], Properties]
"""Answers a provider function: its arguments and the package's settings to its result."""


Lookup = Callable[[Properties, "Store"], Properties | None]


class Store(Protocol):
    """The objects as a function may look them up and change them."""

    def find(self, type: str, id: str, urn: str) -> Any:
        """The object of a type with this id, or None."""
        ...

    def replace(self, thing: Any) -> None:
        """Store a changed object."""
        ...


@dataclass(frozen=True)
class Package:
    """One provider package: its types, its functions, and what all its types share."""

    name: str
    types: Mapping[str, Facts]
    functions: Mapping[str, Function]
    lookups: Mapping[str, Lookup] = field(default_factory=dict[str, Any], kw_only=True)
    """Functions that answer from the objects; None where no object is meant, and `functions` answer."""
    settings: Callable[[Properties], dict[str, str]]
    """The configuration to template fields."""
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    """Rules for properties of this name in every type."""
    judges: tuple[Callable[[Properties, Mapping[str, str]], Iterable[CheckFailure]], ...] = ()
    """Judge the inputs of every type, given the package's settings."""
    config_rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    common: Mapping[str, Callable[[Properties, Properties], Value]] = field(
        default_factory=dict[str, Callable[[Properties, Properties], Value]]
    )
    """Outputs that follow from configuration and inputs in every type that declares them; known in a preview."""
    replaces: tuple[str, ...] = ()
    """Property patterns whose change takes a new object of any type."""
    id: str = "{hex32}"
    foreign: re.Pattern[str] = re.compile(r"(?!)")
    """References to what the cloud itself or another account provides."""

    def facts(self, type: str) -> Facts:
        """The facts of a type; none are needed for it to work."""
        return self.types.get(type, NO_FACTS)


def digits(entropy: str, count: int) -> str:
    """`count` stable hexadecimal digits."""
    return hashlib.shake_256(entropy.encode()).hexdigest((count + 1) // 2)[:count]


def value_of(computed: Computed, making: Making) -> Value:
    """What an output is; raises `NotYetKnown` when it depends on what is not."""
    if isinstance(computed, str):
        return computed.format_map(making)  # pyright: ignore[reportArgumentType] (it only indexes)
    return computed(making) if callable(computed) else computed


@cache
def _steps(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.replace("[]", ".[]").split("."))


def matching(value: Value, pattern: str) -> Iterator[tuple[str, Value]]:
    """Every property that a pattern names, with its path; those absent, null or unknown are left out."""
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
    """The path of a property within an object, in Pulumi's notation."""
    if re.fullmatch(r"[A-Za-z_$][\w$-]*", name):
        return f"{path}.{name}" if path else name
    return f'{path}["{name}"]'
