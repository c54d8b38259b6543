"""The deep diff of a resource's old and new inputs, for `Provider.diff`."""

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
    """Yield each path that differs, its change, and the added or removed value. Null equals absent."""
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
    """Whether two values are equal; unlike in Python, `true` is not equal to 1."""
    return isinstance(old, bool) == isinstance(new, bool) and old == new


def classify(changes: Iterable[tuple[str, Change, Value]], replaces: Iterable[str]) -> dict[str, Change]:
    """Return the detailed diff. Changes that match a pattern in `replaces` force a replacement."""
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
    """Yield the patterns of all added or removed values, including those inside an added or removed object."""
    yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _patterns(join(place, key), item)
    elif isinstance(value, list):
        for item in value:
            yield from _patterns(f"{place}[]", item)
