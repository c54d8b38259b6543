"""Rules for single values. A rule returns None for a valid value, otherwise a message that says what is valid."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Sequence
from datetime import date
from typing import Any, cast

from sandbox.clouds.facts import Rule
from sandbox.values import holds_unknown


def between(low: float, high: float, unit: str = "") -> Rule:
    """Accept a number from `low` to `high`, inclusive."""
    allowed = f"from {low} to {high}{f' {unit}' if unit else ''}"
    return lambda value: None if low <= value <= high else f"{value} is out of range; allowed is {allowed}"


def at_least(low: float) -> Rule:
    """Accept a number of at least `low`."""
    return lambda value: None if value >= low else f"{value} is too small; the minimum is {low}"


def one_of(*allowed: str | int) -> Rule:
    """Accept one of the listed values."""
    listed = ", ".join(str(value) for value in allowed)
    return lambda value: None if value in allowed else f"{value!r} is not among the values allowed: {listed}"


def zero_or(low: int, high: int, unit: str = "") -> Rule:
    """Accept 0, or a number in a range."""
    inside = between(low, high, unit)
    return lambda value: None if value == 0 else inside(value) and f"{inside(value)}, or 0"


def text(pattern: str, words: str) -> Rule:
    """Accept a string that matches the pattern completely; `words` describe the pattern."""
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else f"{value!r} must be {words}"


def at_most_characters(count: int) -> Rule:
    """Accept a string of at most `count` characters."""
    return lambda value: None if len(value) <= count else f"has {len(value)} characters; at most {count} are allowed"


def at_most_items(count: int) -> Rule:
    """Accept a list of at most `count` items."""
    return lambda value: None if len(value) <= count else f"has {len(value)} items; at most {count} are allowed"


def every(*rules: Rule) -> Rule:
    """Accept a value that all rules accept; return the first rule's message otherwise."""
    return lambda value: next((reason for rule in rules if (reason := rule(value)) is not None), None)


def cidr4(shortest: int = 0, longest: int = 32) -> Rule:
    """Accept an IPv4 range in CIDR notation without host bits, with a prefix length in the given range."""

    def rule(value: str) -> str | None:
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError as error:
            return f"{value!r} is not an IPv4 range such as 10.0.0.0/16: {error}"
        if "/" not in value or not shortest <= network.prefixlen <= longest:
            return f"{value!r} must have a prefix from /{shortest} to /{longest}"
        return None

    return rule


def cidr6(value: str) -> str | None:
    """Accept an IPv6 range in CIDR notation."""
    try:
        ipaddress.IPv6Network(value)
    except ValueError as error:
        return f"{value!r} is not an IPv6 range such as 2001:db8::/32: {error}"
    return None


def ipv4(value: str) -> str | None:
    """Accept an IPv4 address."""
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return f"{value!r} is not an IPv4 address such as 10.0.0.4"
    return None


def day(value: str) -> str | None:
    """Accept a date, YYYY-MM-DD."""
    try:
        return None if str(date.fromisoformat(value)) == value else f"{value!r} must be written YYYY-MM-DD"
    except ValueError:
        return f"{value!r} is not a date; it must be written YYYY-MM-DD"


def base64_of_at_most(count: int) -> Rule:
    """Accept base64 that decodes to at most `count` bytes."""

    def rule(value: str) -> str | None:
        try:
            size = len(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError) as error:
            return f"is not base64: {error}"
        return None if size <= count else f"holds {size} bytes; at most {count} are allowed"

    return rule


def bytes_at_most(count: int) -> Rule:
    """Accept a string of at most `count` bytes in UTF-8."""

    def rule(value: str) -> str | None:
        size = len(value.encode())
        return None if size <= count else f"holds {size} bytes; at most {count} are allowed"

    return rule


def json_object(value: Any) -> str | None:
    """Accept a JSON object as text."""
    parsed = _parsed(value)
    return parsed if isinstance(parsed, str) else None


_VERSIONS = ("2012-10-17", "2008-10-17")


def iam_policy(value: Any) -> str | None:
    """Accept an IAM policy document: a version, and statements with effect, action and resource or principal."""
    policy = cast(dict[str, Any], value) if isinstance(value, dict) else _parsed(value)
    if isinstance(policy, str):
        return policy
    if policy.get("Version") not in _VERSIONS:
        return f"has Version {policy.get('Version')!r}; it must be one of {', '.join(_VERSIONS)}"
    statements: Any = policy.get("Statement")
    listed = cast(list[Any], statements if isinstance(statements, list) else [statements])
    if not listed or not all(isinstance(statement, dict) for statement in listed):
        return "has no Statement; give a list of objects with Effect, Action and Resource"
    return next((reason for each in listed if (reason := _statement(each)) is not None), None)


def _statement(statement: dict[str, Any]) -> str | None:
    if statement.get("Effect") not in {"Allow", "Deny"}:
        return f"has a Statement whose Effect is {statement.get('Effect')!r}; it must be Allow or Deny"
    if not {"Action", "NotAction"} & statement.keys():
        return "has a Statement without Action or NotAction"
    known = {
        "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"
    }  # fmt: skip
    unknown = statement.keys() - known
    return (
        f"has a Statement with {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}" if unknown else None
    )


def _parsed(value: Any) -> dict[str, Any] | str:
    try:
        document: Any = json.loads(value)
    except (ValueError, TypeError) as error:
        return f"is not JSON: {error}"
    return cast(dict[str, Any], document) if isinstance(document, dict) else "must be a JSON object"


def tags(value: Any) -> str | None:
    """Accept AWS tags: at most 50, keys up to 128 and values up to 256 characters, no reserved `aws:` prefix."""
    if not isinstance(value, dict):
        return None
    given = cast(dict[str, Any], value)
    if len(given) > 50:
        return f"holds {len(given)} tags; at most 50 are allowed"
    for key, content in given.items():
        if not 1 <= len(key) <= 128:
            return f"the key {key[:20]!r}… has {len(key)} characters; allowed is from 1 to 128"
        if key.lower().startswith("aws:"):
            return f"the key {key!r} starts with aws:, which is reserved; choose another prefix"
        if isinstance(content, str) and len(content) > 256:
            return f"the value of {key!r} has {len(content)} characters; at most 256 are allowed"
    return None


def distinct(field: str) -> Rule:
    """Accept a list of objects with different values of `field`."""

    def rule(value: Sequence[dict[str, Any]]) -> str | None:
        given = [item.get(field) for item in value if not holds_unknown(item.get(field))]
        twice = {str(each) for each in given if each is not None and given.count(each) > 1}
        return f"has {field} {', '.join(sorted(twice))} more than once; each must differ" if twice else None

    return rule
