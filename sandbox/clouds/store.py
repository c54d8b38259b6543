"""The store of the simulated clouds' objects: a ledger on disk, and indexes in memory.

The document may be read and edited by hand: `outputs` holds the properties of an object, and `given` lists which of
them were inputs. If you change a value or delete an entry, `refresh` reports exactly that as drift. `generations`
counts the objects created for each URN, so that a new object never gets an old object's id.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from sandbox.clouds.facts import Facts, Package, matching
from sandbox.ledger import Entry, Ledger
from sandbox.values import Properties, Value

_GENERATION = "generation "


@dataclass(frozen=True)
class CloudObject:
    """One object: type, id, the URN it was created for, its scope (region or account), and all its properties."""

    type: str
    id: str
    urn: str
    scope: str
    given: tuple[str, ...]
    outputs: Properties

    @property
    def key(self) -> str:
        """The object's key in the store."""
        return f"{self.type}::{self.id}" + (f"@{self.scope}" if self.scope else "")

    def entry(self) -> Entry:
        """Return the object's JSON form."""
        known = {"type": self.type, "id": self.id, "urn": self.urn}
        scope = {"scope": self.scope} if self.scope else {}
        return {**known, **scope, "given": list(self.given), "outputs": self.outputs}


def object_of(entry: Entry) -> CloudObject:
    """Convert the JSON form to an object."""
    return CloudObject(
        entry["type"], entry["id"], entry["urn"], entry.get("scope", ""), tuple(entry["given"]), entry["outputs"]
    )


def decode(document: Entry) -> dict[str, Entry]:
    """Convert a store document to ledger entries; raise an error if it is malformed."""
    if document["version"] != 1:
        raise ValueError(f"version {document['version']!r} is not supported, only 1")
    entries = cast(dict[str, Entry], document["objects"])
    for key, entry in entries.items():
        thing = object_of(entry)
        if not isinstance(thing.outputs, dict):  # pyright: ignore[reportUnnecessaryIsInstance] (the file may have been edited)
            raise TypeError(f"the outputs of {key} are not an object")
    generations = cast(dict[str, int], document.get("generations", {}))
    return {**{_GENERATION + urn: {"made": made} for urn, made in generations.items()}, **entries}


def encode(entries: dict[str, Entry]) -> Entry:
    """Convert ledger entries to a store document."""
    return {
        "version": 1,
        "objects": {key: entry for key, entry in entries.items() if not key.startswith(_GENERATION)},
        "generations": {
            key.removeprefix(_GENERATION): entry["made"]
            for key, entry in entries.items()
            if key.startswith(_GENERATION)
        },
    }


Name = tuple[Any, ...]
Range = tuple[int, int, str]
Keys = dict[str, None]  # an ordered set
Table = dict[Any, Keys]


@dataclass
class Index:
    """Objects by type, URN, id, handle, reference, unique name and address range."""

    things: dict[str, CloudObject] = field(default_factory=dict[str, CloudObject])
    _types: Table = field(default_factory=dict[Any, Keys])
    _urns: Table = field(default_factory=dict[Any, Keys])
    _ids: Table = field(default_factory=dict[Any, Keys])
    _handles: Table = field(default_factory=dict[Any, Keys])
    _referring: Table = field(default_factory=dict[Any, Keys])
    _names: dict[Name, str] = field(default_factory=dict[Name, str])
    _ranges: dict[Name, list[Range]] = field(default_factory=dict[Name, list[Range]])

    def add(self, key: str, thing: CloudObject, facts: Facts) -> None:
        """Add an object. The caller must first drop an existing object with this key."""
        self.things[key] = thing
        for table, at in self._places(thing, facts):
            table.setdefault(at, {})[key] = None
        for name in names(thing, facts):
            self._names[name] = key
        for at, first, last in ranges(thing, facts):
            insort(self._ranges.setdefault(at, []), (first, last, key))

    def drop(self, key: str, facts: Facts) -> None:
        """Remove an object if it exists."""
        thing = self.things.pop(key, None)
        if thing is None:
            return
        for table, at in self._places(thing, facts):
            table[at].pop(key, None)
        for name in names(thing, facts):
            if self._names.get(name) == key:
                del self._names[name]
        for at, first, last in ranges(thing, facts):
            self._ranges[at].remove((first, last, key))

    def _places(self, thing: CloudObject, facts: Facts) -> Iterator[tuple[Table, Any]]:
        yield self._types, thing.type
        yield self._urns, thing.urn
        yield self._ids, (thing.type, thing.id)
        for handle in handles(thing, facts):
            yield self._handles, (facts.kind or thing.type, handle)
        for pattern in facts.references:
            for _, value in matching(thing.outputs, pattern):
                yield self._referring, str(value)

    def of_type(self, type: str) -> list[CloudObject]:
        """Return the objects of a type."""
        return [self.things[key] for key in self._types.get(type, ())]

    def of_urn(self, urn: str) -> list[CloudObject]:
        """Return the objects created for a URN, the newest last."""
        return [self.things[key] for key in self._urns.get(urn, ())]

    def of_id(self, type: str, id: str) -> list[CloudObject]:
        """Return the objects of a type with this id. There may be one in each scope."""
        return [self.things[key] for key in self._ids.get((type, id), ())]

    def of_kind(self, kind: str, handle: str) -> list[CloudObject]:
        """Return the objects of a kind with this id, ARN or name."""
        return [self.things[key] for key in self._handles.get((kind, handle), ())]

    def named(self, name: Name) -> CloudObject | None:
        """Return the object with a unique name, or None."""
        key = self._names.get(name)
        return self.things[key] if key is not None else None

    def referring(self, handle: str) -> list[CloudObject]:
        """Return the objects that refer to another object by this handle."""
        return [self.things[key] for key in self._referring.get(handle, ())]

    def overlapping(self, at: Name, first: int, last: int) -> Iterator[CloudObject]:
        """Yield the objects whose range overlaps `first` to `last`.

        Ranges of one owner do not overlap each other, so only the two nearest to `first` are compared.
        """
        held = self._ranges.get(at, [])
        place = bisect_left(held, (first, 0, ""))
        for low, high, key in held[max(place - 1, 0) : place + 1]:
            if low <= last and first <= high:
                yield self.things[key]


def handles(thing: CloudObject, facts: Facts) -> set[str]:
    """Return the values by which other objects refer to this one."""
    known = (thing.outputs.get(name) for name in facts.known_as)
    return {thing.id, *(value for value in known if isinstance(value, str))} - {""}


def names(thing: CloudObject, facts: Facts) -> Iterator[Name]:
    """Yield the unique names of an object, except unknown ones."""
    for group in facts.unique:
        values = [thing.outputs.get(name) for name in group]
        if all(isinstance(value, str | int | float) for value in values):
            yield (facts.kind or thing.type, thing.scope, group, *values)


def ranges(thing: CloudObject, facts: Facts) -> Iterator[tuple[Name, int, int]]:
    """Yield the object's address range within its owner, as first and last address, if both are known."""
    if facts.cidr is None:
        return
    owner, text = thing.outputs.get(facts.cidr.owner), thing.outputs.get(facts.cidr.property)
    if isinstance(owner, str) and isinstance(text, str):
        with suppress(ValueError):  # the file may have been edited by hand
            network = ipaddress.ip_network(text, strict=False)
            yield (thing.type, owner), int(network.network_address), int(network.broadcast_address)


class Objects:
    """The store: existing objects (in the ledger) and objects planned by the current preview (in memory)."""

    def __init__(self, ledger: Ledger, packages: Iterable[Package]) -> None:
        self._ledger: Ledger = ledger
        self._packages: dict[str, Package] = {package.name: package for package in packages}
        self.existing: Index = Index()
        self.planned: Index = Index()
        for key, entry in ledger.items():
            if not key.startswith(_GENERATION):
                thing = object_of(entry)
                self.existing.add(key, thing, self.facts(thing.type))

    def facts(self, type: str) -> Facts:
        """Return the facts of a type of any package."""
        return self._packages[type.partition(":")[0]].facts(type)

    def generation(self, urn: str) -> int:
        """Return the number of objects created for a URN so far."""
        entry = self._ledger.get(_GENERATION + urn)
        return entry["made"] if entry else 0

    def facts_of_kind(self, kind: str) -> Facts | None:
        """Return the facts of the type of this kind, or None if there is not exactly one."""
        return self.facts(kind) if ":" in kind else None

    def insert(self, thing: CloudObject) -> None:
        """Store a new object and increment the generation of its URN."""
        self._ledger.put(_GENERATION + thing.urn, {"made": self.generation(thing.urn) + 1})
        self._ledger.put(thing.key, thing.entry())
        self.existing.add(thing.key, thing, self.facts(thing.type))

    def replace(self, thing: CloudObject) -> None:
        """Store a changed object."""
        self._ledger.put(thing.key, thing.entry())
        self.existing.drop(thing.key, self.facts(thing.type))
        self.existing.add(thing.key, thing, self.facts(thing.type))

    def remove(self, thing: CloudObject) -> None:
        """Remove an object."""
        self._ledger.remove(thing.key)
        self.existing.drop(thing.key, self.facts(thing.type))

    def plan(self, thing: CloudObject) -> None:
        """Store a planned object until the end of this preview."""
        facts = self.facts(thing.type)
        self.planned.drop(thing.urn, facts)
        self.planned.add(thing.urn, thing, facts)

    def forget_plans(self) -> None:
        """Remove all planned objects, at the beginning of a preview."""
        self.planned = Index()

    def find(self, type: str, id: str, urn: str) -> CloudObject | None:
        """Return the object with an id; if there are several, the one created for this URN."""
        found = self.existing.of_id(type, id)
        return next((thing for thing in found if thing.urn == urn), found[0] if found else None)

    def look(self, kind: str, handle: Value) -> Properties | None:
        """Return the outputs of the object of a kind with this id, ARN or name, or None."""
        found = self.look_all(kind, handle)
        return found[-1] if found else None

    def look_all(self, kind: str, handle: Value) -> list[Properties]:
        """Return the outputs of all existing objects of a kind with this id, ARN or name, or else of planned ones."""
        if not isinstance(handle, str):
            return []
        found = self.existing.of_kind(kind, handle) or self.planned.of_kind(kind, handle)
        return [{**thing.outputs, "id": thing.id} for thing in found]

    def referrers(self, thing: CloudObject, facts: Facts, types: tuple[str, ...]) -> Iterator[CloudObject]:
        """Yield the other objects of these types that refer to this one."""
        for handle in handles(thing, facts):
            for referrer in self.existing.referring(handle):
                if referrer.type in types and referrer.key != thing.key:
                    yield referrer

    def only_planned(self, type: str) -> CloudObject | None:
        """Return the planned object of a type if there is only one. An unknown reference to the type then means it."""
        found = self.planned.of_type(type)
        return found[0] if len(found) == 1 else None

    def referring(self, handle: str, types: tuple[str, ...]) -> list[Properties]:
        """Return the outputs of the objects of these types that refer to `handle`."""
        return [thing.outputs for thing in self.existing.referring(handle) if thing.type in types]

    def of_type(self, type: str) -> list[Properties]:
        """Return the outputs and ids of all existing objects of a type."""
        return [{**thing.outputs, "id": thing.id} for thing in self.existing.of_type(type)]
