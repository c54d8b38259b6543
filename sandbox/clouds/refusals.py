"""What a cloud refuses in the light of its other objects: names taken, ranges that overlap, references to nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from sandbox.clouds.facts import Cidr, Facts, Making, NotYetKnown, Package, matching
from sandbox.clouds.store import Name, Objects, Thing, names, ranges
from sandbox.values import UNKNOWN


def refusals(
    objects: Objects,
    thing: Thing,
    facts: Facts,
    making: Making,
    package: Package,
    *,
    planned: bool,
    itself: Thing | None = None,
) -> Iterator[str]:
    """Why an object cannot be made or become so; `itself` is what it was, `planned` says that this is a preview."""
    yield from _taken(objects, thing, facts, planned, itself)
    yield from _dangling(objects, thing, facts, package, planned)
    if facts.cidr is not None:
        yield from _overlapping(objects, assumed(objects, thing, facts), facts, facts.cidr, planned, itself)
    making.before = itself.outputs if itself else None
    for judge in (facts.refuses, None if planned else facts.validates):
        try:
            reason = judge(making) if judge else None
        except NotYetKnown:
            reason = None
        if reason is not None:
            yield reason


def assumed(objects: Objects, thing: Thing, facts: Facts) -> Thing:
    """The object with its unknown owner replaced by the only one that it can mean, if there is only one."""
    if facts.cidr is None or thing.outputs.get(facts.cidr.owner) is not UNKNOWN:
        return thing
    owner = objects.only_planned(facts.cidr.kind)
    return thing if owner is None else replace(thing, outputs={**thing.outputs, facts.cidr.owner: owner.urn})


def _others(objects: Objects, thing: Thing, found: Thing, planned: bool, itself: Thing | None) -> bool:
    """Whether what was found is in the way: neither the object itself, nor one that this preview moves away."""
    if itself is not None and found.key == itself.key:
        return False
    if not planned:
        return True
    return found.urn != thing.urn and (found.id == "" or found.urn not in objects.planned.things)


def _taken(objects: Objects, thing: Thing, facts: Facts, planned: bool, itself: Thing | None) -> Iterator[str]:
    for name in names(thing, facts):
        for found in _candidates(objects, name, planned):
            if found is not None and _others(objects, thing, found, planned, itself):
                said = ", ".join(f"{key} {value!r}" for key, value in zip(name[2], name[3:], strict=True))
                yield f"{said} is taken by {_called(found)}; choose another, or import that one"
                return


def _candidates(objects: Objects, name: Name, planned: bool) -> list[Thing | None]:
    return [objects.existing.named(name), *([objects.planned.named(name)] if planned else [])]


def _dangling(objects: Objects, thing: Thing, facts: Facts, package: Package, planned: bool) -> Iterator[str]:
    given = {name: thing.outputs[name] for name in thing.given}  # what the cloud itself filled in refers to its own
    for pattern, kind in facts.references.items():
        for path, value in matching(given, pattern):
            if not isinstance(value, str) or package.foreign.search(value):
                continue
            # In a preview, a name may be of an object that has yet to be planned; an id that was generated may not.
            if planned and not _generated(objects, kind, package).fullmatch(value):
                continue
            if objects.look(kind, value) is None:
                yield f"{path} {value!r} does not exist: no {kind} has this id, ARN or name; declare it or correct it"


def _generated(objects: Objects, kind: str, package: Package) -> re.Pattern[str]:
    """What the ids of a kind look like when the cloud makes them up."""
    facts = objects.facts_of_kind(kind)
    template = (facts.id or package.id) if facts else ""
    return _id_pattern(template if isinstance(template, str) else "")


@cache
def _id_pattern(template: str) -> re.Pattern[str]:
    if "{hex" not in template:
        return re.compile(r"(?!)")
    parts = re.split(r"(\{\w+\})", template)
    return re.compile("".join(_part(part) for part in parts))


def _part(part: str) -> str:
    digits = re.fullmatch(r"\{hex(\d+)\}", part)
    return f"[0-9a-f]{{{digits[1]}}}" if digits else ".+" if part.startswith("{") else re.escape(part)


def _overlapping(
    objects: Objects, thing: Thing, facts: Facts, cidr: Cidr, planned: bool, itself: Thing | None
) -> Iterator[str]:
    for at, first, last in ranges(thing, facts):
        said = f"{cidr.property} {thing.outputs[cidr.property]}"
        owner = objects.look(cidr.kind, at[1])
        if owner is None and at[1] in objects.planned.things:
            owner = objects.planned.things[at[1]].outputs
        bounds = owner.get(cidr.property) if owner else None
        if isinstance(bounds, str):
            network = ipaddress.ip_network(bounds, strict=False)
            if first < int(network.network_address) or last > int(network.broadcast_address):
                yield f"{said} is not inside {bounds} of its {cidr.kind.rpartition(':')[2]}; choose a range within it"
        indices = (objects.existing, objects.planned) if planned else (objects.existing,)
        for found in (found for index in indices for found in index.overlapping(at, first, last)):
            if _others(objects, thing, found, planned, itself):
                yield f"{said} overlaps {found.outputs[cidr.property]} of {_called(found)}; choose a range of its own"


def _called(thing: Thing) -> str:
    return f"{thing.id or 'what this plan makes'} ({thing.urn})"
