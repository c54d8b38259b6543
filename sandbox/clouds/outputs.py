"""Computes an object's outputs: its inputs, the outputs in its facts, and plausible values for all others."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.clouds.differ import same
from sandbox.clouds.facts import EvaluationContext, Facts, NotYetKnown, digits, value_of
from sandbox.clouds.schema import Shape, Type
from sandbox.values import UNKNOWN, Properties, Value

# Outputs contain no current time, so that two runs of one program create equal objects.
EPOCH = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class PreviousObject:
    """An object before an update: all its properties, and the names of its inputs."""

    outputs: Properties
    given: tuple[str, ...]


def compute_outputs(
    facts: Facts,
    shape: Shape,
    context: EvaluationContext,
    inputs: Properties,
    common: Properties,
    *,
    id: str,
    before: PreviousObject | None = None,
) -> Properties:
    """Return all outputs of a new object, or of one changed from `before`. An empty `id` means a preview."""
    kept = {name: value for name, value in before.outputs.items() if name not in before.given} if before else {}
    given = {name: value for name, value in inputs.items() if value is not None and not name.startswith("__")}
    outputs: Properties = {**kept, **given, **common}
    context.fields.update(outputs)
    context.fields["id"] = id or UNKNOWN
    changed = _changed(before, outputs)
    for name, computed in facts.defaults.items():
        if name in shape.outputs and name not in given:
            outputs[name] = context.fields[name] = _value(computed, context)
    for name, computed in facts.computed.items():
        if name in given or name not in shape.outputs:
            continue
        context.fields_read.clear()
        value = _value(computed, context) if id else UNKNOWN
        if name not in kept or context.fields_read & changed:
            outputs[name] = value
            changed.add(name)
        context.fields[name] = outputs[name]
    for path, value in facts.filled.items():
        name, _, inside = path.partition(".")
        holder, was = outputs.get(name), _value_before(before, name)
        if isinstance(holder, dict) and holder.get(inside) is None:
            outputs[name] = {**holder, inside: (value if id else UNKNOWN) if was.get(inside) is None else was[inside]}
    for name, kind in shape.computed.items():
        if name not in outputs:
            outputs[name] = _default_output(name, kind, id, context) if id else UNKNOWN
    return {name: value for name, value in outputs.items() if value is not None}


def without_filled(inputs: Properties, facts: Facts, given: Properties) -> Properties:
    """Return inputs for `read`, without values that the cloud filled in: providers report those only as outputs."""
    result = dict(inputs)
    for path in facts.filled:
        name, _, inside = path.partition(".")
        holder, was = result.get(name), given.get(name)
        if isinstance(holder, dict) and not (isinstance(was, dict) and inside in was):
            result[name] = {key: value for key, value in holder.items() if key != inside}
    return result


def _value_before(before: PreviousObject | None, name: str) -> Properties:
    """Return the value of an object property before an update, or {} for a new object."""
    was = before.outputs.get(name) if before else None
    return was if isinstance(was, dict) else {}


def _changed(before: PreviousObject | None, outputs: Properties) -> set[str]:
    if before is None:
        return set()
    names = {*before.outputs, *outputs}
    return {name for name in names if not same(before.outputs.get(name), outputs.get(name))}


def _value(computed: object, context: EvaluationContext) -> Value:
    try:
        return value_of(computed, context)  # pyright: ignore[reportArgumentType] (facts have no other types)
    except NotYetKnown:
        return UNKNOWN


_ZEROS: dict[str, Value] = {"boolean": False, "integer": 0, "number": 0}


def _default_output(name: str, type: Type, id: str, context: EvaluationContext) -> Value:
    """Return a value for an output that is not in the facts, from its name and type."""
    if type.kind == "list":
        return []
    if type.kind == "map":
        return {}
    if type.kind != "string":
        return _ZEROS.get(type.kind)
    lower = name.lower()
    guesses: tuple[tuple[tuple[str, ...], str], ...] = (
        (("arn",), f"arn:{context['partition']}:sandbox:{context['region']}:{context['account']}:{id}"),
        (("url",), f"https://{digits(id, 12)}.sandbox.example/"),
        (("endpoint", "hostname", "address", "domain", "dnsname"), f"{digits(id, 12)}.sandbox.example"),
        (("name",), id),
        (("id", "tag", "key"), digits(f"{id} {name}", 32)),
        (("on", "at", "date", "time"), EPOCH),
    )
    return next((guess for endings, guess in guesses if lower.endswith(endings)), None)
