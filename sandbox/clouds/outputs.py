"""Works out what an object's outputs are: its inputs, what the facts compute, and a plausible rest."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.clouds.differ import same
from sandbox.clouds.facts import Facts, Making, NotYetKnown, digits, value_of
from sandbox.clouds.schema import Shape, Type
from sandbox.values import UNKNOWN, Properties, Value

# No outputs hold the time of day: two runs of one program make equal objects.
EPOCH = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Before:
    """An object before an update: all its properties, and the names of those that were inputs."""

    outputs: Properties
    given: tuple[str, ...]


def fill(
    facts: Facts,
    shape: Shape,
    making: Making,
    inputs: Properties,
    common: Properties,
    *,
    id: str,
    before: Before | None = None,
) -> Properties:
    """All outputs of a new object, or of one changed from `before`; without an `id` it is only planned."""
    kept = {name: value for name, value in before.outputs.items() if name not in before.given} if before else {}
    given = {name: value for name, value in inputs.items() if value is not None and not name.startswith("__")}
    outputs: Properties = {**kept, **given, **common}
    making.fields.update(outputs)
    making.fields["id"] = id or UNKNOWN
    changed = _changed(before, outputs)
    for name, computed in facts.defaults.items():
        if name in shape.outputs and name not in given:
            outputs[name] = making.fields[name] = _value(computed, making)
    for name, computed in facts.computed.items():
        if name in given or name not in shape.outputs:
            continue
        making.asked.clear()
        value = _value(computed, making) if id else UNKNOWN
        if name not in kept or making.asked & changed:
            outputs[name] = value
            changed.add(name)
        making.fields[name] = outputs[name]
    for path, value in facts.filled.items():
        name, _, inside = path.partition(".")
        holder, was = outputs.get(name), _held(before, name)
        if isinstance(holder, dict) and holder.get(inside) is None:
            outputs[name] = {**holder, inside: (value if id else UNKNOWN) if was.get(inside) is None else was[inside]}
    for name, kind in shape.computed.items():
        if name not in outputs:
            outputs[name] = _plausible(name, kind, id, making) if id else UNKNOWN
    return {name: value for name, value in outputs.items() if value is not None}


def without_filled(inputs: Properties, facts: Facts, given: Properties) -> Properties:
    """Inputs as a read reports them, without what the cloud filled in: providers keep that among the outputs only."""
    result = dict(inputs)
    for path in facts.filled:
        name, _, inside = path.partition(".")
        holder, was = result.get(name), given.get(name)
        if isinstance(holder, dict) and not (isinstance(was, dict) and inside in was):
            result[name] = {key: value for key, value in holder.items() if key != inside}
    return result


def _held(before: Before | None, name: str) -> Properties:
    """What an object among the properties held before an update; empty for a new one."""
    was = before.outputs.get(name) if before else None
    return was if isinstance(was, dict) else {}


def _changed(before: Before | None, outputs: Properties) -> set[str]:
    if before is None:
        return set()
    names = {*before.outputs, *outputs}
    return {name for name in names if not same(before.outputs.get(name), outputs.get(name))}


def _value(computed: object, making: Making) -> Value:
    try:
        return value_of(computed, making)  # pyright: ignore[reportArgumentType] (facts hold nothing else)
    except NotYetKnown:
        return UNKNOWN


_ZEROS: dict[str, Value] = {"boolean": False, "integer": 0, "number": 0}


def _plausible(name: str, type: Type, id: str, making: Making) -> Value:
    """A value for an output that no facts mention, judged by its name and type alone."""
    if type.kind == "list":
        return []
    if type.kind == "map":
        return {}
    if type.kind != "string":
        return _ZEROS.get(type.kind)
    lower = name.lower()
    guesses: tuple[tuple[tuple[str, ...], str], ...] = (
        (("arn",), f"arn:{making['partition']}:sandbox:{making['region']}:{making['account']}:{id}"),
        (("url",), f"https://{digits(id, 12)}.sandbox.example/"),
        (("endpoint", "hostname", "address", "domain", "dnsname"), f"{digits(id, 12)}.sandbox.example"),
        (("name",), id),
        (("id", "tag", "key"), digits(f"{id} {name}", 32)),
        (("on", "at", "date", "time"), EPOCH),
    )
    return next((guess for endings, guess in guesses if lower.endswith(endings)), None)
