"""Checks inputs against the SDK's schema (names, types, listed values) and against the rules of the facts.

Every failure names the path, the problem and the remedy. Unknown values pass; they are checked during the update.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from sandbox.clouds.facts import Rule, join, matching
from sandbox.clouds.schema import Declared, Property, Schema, Type
from sandbox.provider import CheckFailure
from sandbox.values import UNKNOWN, Properties, Value


def against_schema(schema: Schema, declared: Declared, inputs: Properties, path: str = "") -> Iterator[CheckFailure]:
    """Yield properties that are misspelt, missing, of the wrong type or not among the listed values, at any depth."""
    for name, value in inputs.items():
        if name in declared:
            yield from _property(schema, declared[name], value, join(path, name))
        elif value is not None and not name.startswith("__"):
            yield CheckFailure(join(path, name), f"there is no such property; {suggest(name, declared)}")
    for name, wanted in declared.items():
        if wanted.required and inputs.get(name) is None:
            yield CheckFailure(join(path, name), f"is required and missing; give a {wanted.type}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Suggest the most similar known name, or list all of them if none is similar."""
    folded = {each.lower().replace("_", ""): each for each in known}
    near = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]}?"
    return f"known are {', '.join(sorted(folded.values()))}" if folded else "no property is allowed here"


def _property(schema: Schema, property: Property, value: Value, path: str) -> Iterator[CheckFailure]:
    if value is None or value is UNKNOWN:
        return
    failures = list(_value(schema, property.type, value, path))
    yield from failures
    if property.allowed and not failures:
        yield from _allowed(property.allowed, value, path)


def _allowed(allowed: tuple[str | int, ...], value: Value, path: str) -> Iterator[CheckFailure]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _allowed(allowed, item, f"{path}[{index}]")
    elif isinstance(value, dict) or value is UNKNOWN or value is None:
        return
    elif str(value).lower() not in {str(each).lower() for each in allowed}:
        yield CheckFailure(path, f"{value!r} is not among the values allowed: {', '.join(map(str, allowed))}")


def _value(schema: Schema, type: Type, value: Value, path: str) -> Iterator[CheckFailure]:
    if value is UNKNOWN or value is None or type.kind == "any":
        return
    if type.kind == "union":
        yield from _union(schema, type, value, path)
    elif type.kind == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value(schema, type.of[0], item, f"{path}[{index}]")
    elif type.kind == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _value(schema, type.of[0], item, join(path, key))
    elif type.kind == "object" and isinstance(value, dict):
        yield from against_schema(schema, schema.object(type.name), value, path)
    elif not _is(type, value):
        yield CheckFailure(path, f"must be a {type}, not {_described(value)}")


def _union(schema: Schema, type: Type, value: Value, path: str) -> Iterator[CheckFailure]:
    attempts = [list(_value(schema, option, value, path)) for option in type.of]
    if all(attempts):
        nested = [failures for failures in attempts if failures[0].path != path]
        yield from nested[0] if nested else [CheckFailure(path, f"must be a {type}, not {_described(value)}")]


def _is(type: Type, value: Value) -> bool:
    match type.kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return False


def _described(value: Value) -> str:
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case str():
            return f"the string {value[:40]!r}"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case _:
            return "an object"


def against_rules(rules: Mapping[str, Rule], inputs: Properties) -> Iterator[CheckFailure]:
    """Yield the values that the facts' rules reject."""
    for pattern, rule in rules.items():
        for path, value in matching(inputs, pattern):
            reason = rule(value)
            if reason is not None:
                yield CheckFailure(path, reason)
