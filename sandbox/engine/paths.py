"""Parse, read and write property paths such as `tags.Name`, `rules[0].port` or `["a.b"].c`."""

from __future__ import annotations

import re
from functools import reduce
from typing import Final, cast

from sandbox.engine.errors import UnsupportedError
from sandbox.values import Properties, Secret, Value, transform

Path = tuple[str | int, ...]
ANY: Final = "*"

_STEP: Final = re.compile(
    r'\[(?P<index>\d+)\]|\["(?P<quoted>(?:[^"\\]|\\.)*)"\]|\[(?P<any>\*)\]|\.?(?P<name>[^.\[\]"]+)'
)


def parse(text: str) -> Path:
    """Parse a path. Raise an `UnsupportedError` that quotes it if it is malformed."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise UnsupportedError(f"{text!r} is not a property path; write for example tags.Name or rules[0].port")
        position = match.end()
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["quoted"] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", match["quoted"]))
        else:
            steps.append(match["any"] or match["name"])
    return tuple(steps)


def contains(outer: Path, inner: Path) -> bool:
    """Whether `inner` is equal to or below `outer`; `*` in `outer` matches any one step."""
    return len(outer) <= len(inner) and all(mine in (ANY, theirs) for mine, theirs in zip(outer, inner, strict=False))


def overlaps(one: Path, other: Path) -> bool:
    """Whether the paths are equal or one is below the other."""
    return contains(one, other) or contains(other, one)


class _Missing:
    pass


MISSING: Final = _Missing()


def get(value: Value | _Missing, path: Path) -> Value | _Missing:
    """Return the value at `path`, or `MISSING`. Secrets on the way are unwrapped."""
    return reduce(_step, path, value)


def _step(value: Value | _Missing, step: str | int) -> Value | _Missing:
    if isinstance(value, Secret):
        return _step(value.value, step)
    if isinstance(value, dict) and isinstance(step, str):
        return cast("dict[str, Value | _Missing]", value).get(step, MISSING)
    if isinstance(value, list) and isinstance(step, int):
        items = cast("list[Value]", value)
        return items[step] if step < len(items) else MISSING
    return MISSING


def keep_old(news: Properties, olds: Properties, ignored: list[str]) -> Properties:
    """Return `news` with the old value at each path in `ignored` (`ignore_changes`).

    A path without a value in `olds` has none in the result.
    """
    if not ignored:
        return news
    result = cast(Properties, transform(news, lambda leaf: leaf))
    for text in ignored:
        path = parse(text)
        if path and path[0] == ANY:
            return dict(olds)
        _keep(result, olds, path)
    return result


def _keep(news: Value, olds: Value, path: Path) -> None:
    """Copy the value at `path` from `olds` to `news`, in place, if both have the path's parent."""
    step, rest = path[0], path[1:]
    if step == ANY:
        for key in _keys(news) | _keys(olds):
            _keep(news, olds, (key, *rest))
        return
    old = get(olds, (step,))
    if rest:
        new = get(news, (step,))
        if not isinstance(new, _Missing) and not isinstance(old, _Missing):
            _keep(new, old, rest)
    elif isinstance(news, dict) and isinstance(step, str):
        if isinstance(old, _Missing):
            news.pop(step, None)
        else:
            news[step] = old
    elif isinstance(news, list) and isinstance(step, int) and step < len(news) and not isinstance(old, _Missing):
        news[step] = old


def _keys(value: Value) -> set[str | int]:
    if isinstance(value, dict):
        return set(value)
    return set(range(len(value))) if isinstance(value, list) else set()
