"""The objects of the simulated clouds: a ledger on disk, and an index of names, addresses and references.

The document is meant to be read and edited by people: under `outputs` stands each object as the cloud holds it, once,
and `given` lists which of them were inputs. Change a value or delete an entry, and `refresh` finds exactly that.
`generations` counts the objects made for each URN, so that a new object never gets an old one's id.
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
class Thing:
    """One object: its type and id, the URN it was made for, the place it is in, and all its properties."""

    type: str
    id: str
    urn: str
    scope: str
    given: tuple[str, ...]
    outputs: Properties

    @property
    def key(self) -> str:
        """What the store files it under."""
        return f"{self.type}::{self.id}" + (f"@{self.scope}" if self.scope else "")

    def entry(self) -> Entry:
        """Its JSON form."""
        known = {"type": self.type, "id": self.id, "urn": self.urn}
        scope = {"scope": self.scope} if self.scope else {}
        return {**known, **scope, "given": list(self.given), "outputs": self.outputs}


def thing_of(entry: Entry) -> Thing:
    """The inverse of `Thing.entry`."""
    return Thing(
        entry["type"], entry["id"], entry["urn"], entry.get("scope", ""), tuple(entry["given"]), entry["outputs"]
    )


def decode(document: Entry) -> dict[str, Entry]:
    """The ledger's entries of a store document; raises on anything that is not one."""
    if document["version"] != 1:
        raise ValueError(f"version {document['version']!r} is not 1, the only one that this sandbox reads")
    entries = cast(dict[str, Entry], document["objects"])
    for key, entry in entries.items():
        thing = thing_of(entry)
        if not isinstance(thing.outputs, dict):  # pyright: ignore[reportUnnecessaryIsInstance] (edited by people)
            raise TypeError(f"the outputs of {key} are not an object")
    generations = cast(dict[str, int], document.get("generations", {}))
    return {**{_GENERATION + urn: {"made": made} for urn, made in generations.items()}, **entries}


def encode(entries: dict[str, Entry]) -> Entry:
    """The inverse of `decode`."""
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
    """Who holds which URN, id, name and address range, and who refers to whom; every look-up is a dictionary's."""

    things: dict[str, Thing] = field(default_factory=dict[str, Thing])
    _types: Table = field(default_factory=dict[Any, Keys])
    _urns: Table = field(default_factory=dict[Any, Keys])
    _ids: Table = field(default_factory=dict[Any, Keys])
    _handles: Table = field(default_factory=dict[Any, Keys])
    _referring: Table = field(default_factory=dict[Any, Keys])
    _names: dict[Name, str] = field(default_factory=dict[Name, str])
    _ranges: dict[Name, list[Range]] = field(default_factory=dict[Name, list[Range]])

    def add(self, key: str, thing: Thing, facts: Facts) -> None:
        """Enter an object; one that was there under this key must have been dropped before."""
        self.things[key] = thing
        for table, at in self._places(thing, facts):
            table.setdefault(at, {})[key] = None
        for name in names(thing, facts):
            self._names[name] = key
        for at, first, last in ranges(thing, facts):
            insort(self._ranges.setdefault(at, []), (first, last, key))

    def drop(self, key: str, facts: Facts) -> None:
        """Remove an object; one that is not there is no error."""
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

    def _places(self, thing: Thing, facts: Facts) -> Iterator[tuple[Table, Any]]:
        yield self._types, thing.type
        yield self._urns, thing.urn
        yield self._ids, (thing.type, thing.id)
        for handle in handles(thing, facts):
            yield self._handles, (facts.kind or thing.type, handle)
        for pattern in facts.references:
            for _, value in matching(thing.outputs, pattern):
                yield self._referring, str(value)

    def of_type(self, type: str) -> list[Thing]:
        """The objects of a type."""
        return [self.things[key] for key in self._types.get(type, ())]

    def of_urn(self, urn: str) -> list[Thing]:
        """The objects made for a URN, the newest last."""
        return [self.things[key] for key in self._urns.get(urn, ())]

    def of_id(self, type: str, id: str) -> list[Thing]:
        """The objects of a type with this id: more than one only where ids are unique in a region or account."""
        return [self.things[key] for key in self._ids.get((type, id), ())]

    def of_kind(self, kind: str, handle: str) -> list[Thing]:
        """The objects of a kind that are known by this id, ARN or name."""
        return [self.things[key] for key in self._handles.get((kind, handle), ())]

    def named(self, name: Name) -> Thing | None:
        """The object that holds a unique name."""
        key = self._names.get(name)
        return self.things[key] if key is not None else None

    def referring(self, handle: str) -> list[Thing]:
        """The objects that refer to another by this handle."""
        return [self.things[key] for key in self._referring.get(handle, ())]

    def overlapping(self, at: Name, first: int, last: int) -> Iterator[Thing]:
        """The objects whose address range meets this one; ranges of one owner never overlap, so two suffice."""
        held = self._ranges.get(at, [])
        place = bisect_left(held, (first, 0, ""))
        for low, high, key in held[max(place - 1, 0) : place + 1]:
            if low <= last and first <= high:
                yield self.things[key]


def handles(thing: Thing, facts: Facts) -> set[str]:
    """By what others refer to an object."""
    known = (thing.outputs.get(name) for name in facts.known_as)
    return {thing.id, *(value for value in known if isinstance(value, str))} - {""}


def names(thing: Thing, facts: Facts) -> Iterator[Name]:
    """The unique names that an object holds, as far as they are known."""
    for group in facts.unique:
        values = [thing.outputs.get(name) for name in group]
        if all(isinstance(value, str | int | float) for value in values):
            yield (facts.kind or thing.type, thing.scope, group, *values)


def ranges(thing: Thing, facts: Facts) -> Iterator[tuple[Name, int, int]]:
    """The address range that an object holds within its owner, first to last, when both are known."""
    if facts.cidr is None:
        return
    owner, text = thing.outputs.get(facts.cidr.owner), thing.outputs.get(facts.cidr.property)
    if isinstance(owner, str) and isinstance(text, str):
        with suppress(ValueError):  # a person may have written anything into the store
            network = ipaddress.ip_network(text, strict=False)
            yield (thing.type, owner), int(network.network_address), int(network.broadcast_address)


class Objects:
    """The store: what exists (in the ledger) and what the current preview plans (in memory)."""

    def __init__(self, ledger: Ledger, packages: Iterable[Package]) -> None:
        self._ledger: Ledger = ledger
        self._packages: dict[str, Package] = {package.name: package for package in packages}
        self.existing: Index = Index()
        self.planned: Index = Index()
        for key, entry in ledger.items():
            if not key.startswith(_GENERATION):
                thing = thing_of(entry)
                self.existing.add(key, thing, self.facts(thing.type))

    def facts(self, type: str) -> Facts:
        """The facts of a type of any package."""
        return self._packages[type.partition(":")[0]].facts(type)

    def generation(self, urn: str) -> int:
        """How many objects were made for a URN so far."""
        entry = self._ledger.get(_GENERATION + urn)
        return entry["made"] if entry else 0

    def facts_of_kind(self, kind: str) -> Facts | None:
        """The facts of the type that references call `kind`, where that is one type."""
        return self.facts(kind) if ":" in kind else None

    def insert(self, thing: Thing) -> None:
        """Store a new object, and that one more was made for its URN."""
        self._ledger.put(_GENERATION + thing.urn, {"made": self.generation(thing.urn) + 1})
        self._ledger.put(thing.key, thing.entry())
        self.existing.add(thing.key, thing, self.facts(thing.type))

    def replace(self, thing: Thing) -> None:
        """Store a changed object."""
        self._ledger.put(thing.key, thing.entry())
        self.existing.drop(thing.key, self.facts(thing.type))
        self.existing.add(thing.key, thing, self.facts(thing.type))

    def remove(self, thing: Thing) -> None:
        """Forget an object."""
        self._ledger.remove(thing.key)
        self.existing.drop(thing.key, self.facts(thing.type))

    def plan(self, thing: Thing) -> None:
        """Remember, for the rest of this preview, what an object would be."""
        facts = self.facts(thing.type)
        self.planned.drop(thing.urn, facts)
        self.planned.add(thing.urn, thing, facts)

    def forget_plans(self) -> None:
        """Begin another preview."""
        self.planned = Index()

    def find(self, type: str, id: str, urn: str) -> Thing | None:
        """The object with an id, of several the one made for this URN."""
        found = self.existing.of_id(type, id)
        return next((thing for thing in found if thing.urn == urn), found[0] if found else None)

    def look(self, kind: str, handle: Value) -> Properties | None:
        """The outputs of the object of a kind with this id, ARN or name, or None."""
        found = self.look_all(kind, handle)
        return found[-1] if found else None

    def look_all(self, kind: str, handle: Value) -> list[Properties]:
        """The outputs of all objects of a kind with this id, ARN or name; those that exist hide those planned."""
        if not isinstance(handle, str):
            return []
        found = self.existing.of_kind(kind, handle) or self.planned.of_kind(kind, handle)
        return [{**thing.outputs, "id": thing.id} for thing in found]

    def referrers(self, thing: Thing, facts: Facts, types: tuple[str, ...]) -> Iterator[Thing]:
        """The other objects of these types that refer to this one."""
        for handle in handles(thing, facts):
            for referrer in self.existing.referring(handle):
                if referrer.type in types and referrer.key != thing.key:
                    yield referrer

    def only_planned(self, type: str) -> Thing | None:
        """The one planned object of a type: what an unknown reference to that type must mean."""
        found = self.planned.of_type(type)
        return found[0] if len(found) == 1 else None

    def referring(self, handle: str, types: tuple[str, ...]) -> list[Properties]:
        """The outputs of the objects of these types that refer to `handle`."""
        return [thing.outputs for thing in self.existing.referring(handle) if thing.type in types]

    def of_type(self, type: str) -> list[Properties]:
        """The outputs and ids of all objects of a type that exist."""
        return [{**thing.outputs, "id": thing.id} for thing in self.existing.of_type(type)]
