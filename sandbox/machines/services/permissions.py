"""Whether the policies of a role allow an action, as IAM evaluates them. Pure.

Supports `Allow` and `Deny`, wildcards in actions and resources, and the condition `StringEquals`. A statement with
anything else allows nothing, and denies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

_KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition"}


def allowed(documents: Iterable[str], action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Return whether policy documents allow an action on a resource; `context` has the condition keys."""
    effects = {
        statement.get("Effect")
        for document in documents
        for statement in json.loads(document)["Statement"]
        if _applies(statement, action, resource, context)
    }
    return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    if statement.keys() - _KNOWN:
        return statement.get("Effect") == "Deny"
    return (
        _matches(statement["Action"], action)
        and _matches(statement["Resource"], resource)
        and _holds(statement.get("Condition", {}), context)
    )


def _matches(patterns: str | list[str], value: str) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns))


def _holds(condition: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    if condition.keys() - {"StringEquals"}:
        return False
    expected = condition.get("StringEquals", {})
    return all(
        context.get(key) in ([values] if isinstance(values, str) else values) for key, values in expected.items()
    )
