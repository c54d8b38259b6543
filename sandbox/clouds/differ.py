"""Compares what a resource was made with and what it should be: the deep diff behind `Provider.diff`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sandbox.clouds.facts import join
from sandbox.provider import Change
from sandbox.values import UNKNOWN, Value

_INDEX = re.compile(r"\[\d+\]")
_FORCED = {
    Change.ADD: Change.ADD_REPLACE,
    Change.DELETE: Change.DELETE_REPLACE,
    Change.UPDATE: Change.UPDATE_REPLACE,
}


def differences(old: Value, new: Value, path: str = "") -> Iterator[tuple[str, Change, Value]]:
    """Each path that differs, how, and the value that came or went; null and absent are the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            if not key.startswith("__"):
                yield from differences(old.get(key), new.get(key), join(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            was = old[index] if index < len(old) else None
            now = new[index] if index < len(new) else None
            yield from differences(was, now, f"{path}[{index}]")
    elif new is UNKNOWN or not same(old, new):
        kind = Change.ADD if old is None else Change.DELETE if new is None else Change.UPDATE
        yield path, kind, old if new is None else new


def same(old: Value, new: Value) -> bool:
    """Equality that does not take `true` for 1."""
    return isinstance(old, bool) == isinstance(new, bool) and old == new


def classify(changes: Iterable[tuple[str, Change, Value]], replaces: Iterable[str]) -> dict[str, Change]:
    """The detailed diff: those changes that touch a pattern in `replaces` force a new object."""
    forcing = tuple(replaces)
    return {path: _FORCED[kind] if _forces(path, value, forcing) else kind for path, kind, value in changes}


def _forces(path: str, value: Value, forcing: tuple[str, ...]) -> bool:
    if "*" in forcing:
        return True
    touched = set(_patterns(_INDEX.sub("[]", path), value))
    return any(_covers(pattern, place) for pattern in forcing for place in touched)


def _covers(pattern: str, place: str) -> bool:
    return place == pattern or (place.startswith(pattern) and place[len(pattern)] in ".[")


def _patterns(place: str, value: Value) -> Iterator[str]:
    """The patterns of everything that came or went: an object added as a whole touches what is in it."""
    yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _patterns(join(place, key), item)
    elif isinstance(value, list):
        for item in value:
            yield from _patterns(f"{place}[]", item)
