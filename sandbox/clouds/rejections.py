"""Operations that a cloud rejects because of its other objects: duplicate names, overlaps, dangling references."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from sandbox.clouds.facts import Cidr, EvaluationContext, Facts, NotYetKnown, Package, matching
from sandbox.clouds.store import CloudObject, Name, Objects, names, ranges
from sandbox.values import UNKNOWN


def rejections(
    objects: Objects,
    thing: CloudObject,
    facts: Facts,
    context: EvaluationContext,
    package: Package,
    *,
    planned: bool,
    itself: CloudObject | None = None,
) -> Iterator[str]:
    """Yield the reasons for which an object cannot be created or updated.

    `itself` is the object before an update; `planned` is true in a preview.
    """
    yield from _taken_names(objects, thing, facts, planned, itself)
    yield from _dangling_references(objects, thing, facts, package, planned)
    if facts.cidr is not None:
        yield from _overlapping_ranges(
            objects, with_assumed_owner(objects, thing, facts), facts, facts.cidr, planned, itself
        )
    context.before = itself.outputs if itself else None
    for check in (facts.rejects, None if planned else facts.rejects_in_update):
        try:
            reason = check(context) if check else None
        except NotYetKnown:
            reason = None
        if reason is not None:
            yield reason


def with_assumed_owner(objects: Objects, thing: CloudObject, facts: Facts) -> CloudObject:
    """Return the object with its unknown owner replaced by the only planned object of the owner's type, if any."""
    if facts.cidr is None or thing.outputs.get(facts.cidr.owner) is not UNKNOWN:
        return thing
    owner = objects.only_planned(facts.cidr.kind)
    return thing if owner is None else replace(thing, outputs={**thing.outputs, facts.cidr.owner: owner.urn})


def _conflicts(
    objects: Objects, thing: CloudObject, found: CloudObject, planned: bool, itself: CloudObject | None
) -> bool:
    """Whether `found` conflicts: it is neither the object itself nor one that this preview removes."""
    if itself is not None and found.key == itself.key:
        return False
    if not planned:
        return True
    return found.urn != thing.urn and (found.id == "" or found.urn not in objects.planned.things)


def _taken_names(
    objects: Objects, thing: CloudObject, facts: Facts, planned: bool, itself: CloudObject | None
) -> Iterator[str]:
    for name in names(thing, facts):
        for found in _candidates(objects, name, planned):
            if found is not None and _conflicts(objects, thing, found, planned, itself):
                described = ", ".join(f"{key} {value!r}" for key, value in zip(name[2], name[3:], strict=True))
                yield f"{described} is taken by {_description(found)}; choose another, or import that one"
                return


def _candidates(objects: Objects, name: Name, planned: bool) -> list[CloudObject | None]:
    return [objects.existing.named(name), *([objects.planned.named(name)] if planned else [])]


def _dangling_references(
    objects: Objects, thing: CloudObject, facts: Facts, package: Package, planned: bool
) -> Iterator[str]:
    # Only inputs: values that the cloud filled in may refer to the cloud's own objects.
    given = {name: thing.outputs[name] for name in thing.given}
    for pattern, kind in facts.references.items():
        for path, value in matching(given, pattern):
            if not isinstance(value, str) or package.external_references.search(value):
                continue
            # In a preview, a name may belong to an object that is not planned yet; a generated id cannot.
            if planned and not _generated(objects, kind, package).fullmatch(value):
                continue
            if objects.look(kind, value) is None:
                yield f"{path} {value!r} does not exist: no {kind} has this id, ARN or name; declare it or correct it"


def _generated(objects: Objects, kind: str, package: Package) -> re.Pattern[str]:
    """Return the pattern of ids that the cloud generates for a kind."""
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


def _overlapping_ranges(
    objects: Objects, thing: CloudObject, facts: Facts, cidr: Cidr, planned: bool, itself: CloudObject | None
) -> Iterator[str]:
    for at, first, last in ranges(thing, facts):
        described = f"{cidr.property} {thing.outputs[cidr.property]}"
        owner = objects.look(cidr.kind, at[1])
        if owner is None and at[1] in objects.planned.things:
            owner = objects.planned.things[at[1]].outputs
        bounds = owner.get(cidr.property) if owner else None
        if isinstance(bounds, str):
            network = ipaddress.ip_network(bounds, strict=False)
            if first < int(network.network_address) or last > int(network.broadcast_address):
                kind = cidr.kind.rpartition(":")[2]
                yield f"{described} is not inside {bounds} of its {kind}; choose a range within it"
        indices = (objects.existing, objects.planned) if planned else (objects.existing,)
        for found in (found for index in indices for found in index.overlapping(at, first, last)):
            if _conflicts(objects, thing, found, planned, itself):
                overlapped = f"{found.outputs[cidr.property]} of {_description(found)}"
                yield f"{described} overlaps {overlapped}; choose another range"


def _description(thing: CloudObject) -> str:
    return f"{thing.id or 'an object in this plan'} ({thing.urn})"
