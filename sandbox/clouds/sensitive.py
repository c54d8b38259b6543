"""Marks sensitive properties as secret in responses, as bridged providers do according to their schema."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.values import Properties, Secret, Value


def marked(properties: Properties, patterns: Iterable[str]) -> Properties:
    """Return a copy of `properties` with each value that matches a pattern (`bindings[].text`) as a `Secret`."""
    result: Value = properties
    for pattern in patterns:
        result = _marked(result, pattern.replace("[]", ".[]").split("."))
    assert isinstance(result, dict)
    return result


def _marked(value: Value, steps: list[str]) -> Value:
    if not steps:
        return value if value is None or isinstance(value, Secret) else Secret(value)
    if steps[0] == "[]":
        return [_marked(item, steps[1:]) for item in value] if isinstance(value, list) else value
    if isinstance(value, dict) and steps[0] in value:
        return {**value, steps[0]: _marked(value[steps[0]], steps[1:])}
    return value
