"""Paths in a resource's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from policies.graph import Unknown, Value


class Missing:
    """The type of `MISSING`: a mapping exists, but not its key."""


MISSING: Final = Missing()


def leaves(value: Value | Mapping[str, Value], path: str = "") -> Iterator[tuple[str, Value]]:
    """Return each leaf with its path (`rules[].prefix`). An empty mapping or list is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, value  # pyright: ignore[reportReturnType] (an empty Mapping is a dict)


def values_at(value: Value | Mapping[str, Value], path: str) -> Iterator[Value | Missing]:
    """Return the values at a path; `MISSING` if a key on the way is absent, or a list on the way is empty.

    If a value on the way is unknown, the result is that unknown value.
    """
    if isinstance(value, Unknown):
        yield value
    if not isinstance(value, Mapping):
        return
    first, _, rest = path.partition(".")
    inner = value.get(first.removesuffix("[]"))
    if inner is None or (first.endswith("[]") and inner == []):
        yield MISSING
        return
    for one in inner if first.endswith("[]") and isinstance(inner, list) else [inner]:
        if rest:
            yield from values_at(one, rest)
        else:
            yield one
