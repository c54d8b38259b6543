"""`promises.toml`: every promise with its figures, what declares it, what enforces it and what proves it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from console.errors import InputError

FILE: Final = Path(__file__).resolve().parent.parent / "promises.toml"
LINKS: Final = ("declared_by", "enforced_by", "proven_by")
REASONS: Final = {"declared_by": "not_declared", "enforced_by": "not_enforced", "proven_by": "not_proven"}


@dataclass(frozen=True)
class Promise:
    """One promise. Where a link is empty, `reasons` says why."""

    id: str
    promise: str
    figure: str
    declared_by: tuple[str, ...]
    enforced_by: tuple[str, ...]
    proven_by: tuple[str, ...]
    reasons: Mapping[str, str]
    figures: Mapping[str, float | str] = field(default_factory=dict[str, "float | str"])


@cache
def load(file: Path = FILE) -> Mapping[str, Promise]:
    """Every promise by its id; what is wrong with the file is an `InputError` that names the key."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return {id: _promise(file, id, entry) for id, entry in document.items()}


def _promise(file: Path, id: str, entry: Any) -> Promise:
    if not isinstance(entry, dict):
        raise InputError(f"{file}: {id}: a table is expected, [{id}]")
    table = cast("dict[str, Any]", entry)
    known = {"promise", "figure", "figures", *LINKS, *REASONS.values()}
    if unknown := sorted(table.keys() - known):
        raise InputError(f"{file}: {id}.{unknown[0]}: no such key; allowed are {', '.join(sorted(known))}")
    for key in ("promise", "figure"):
        if not isinstance(table.get(key), str) or not table[key]:
            raise InputError(f"{file}: {id}.{key}: a text is expected")
    links = {key: tuple(table.get(key, ())) for key in LINKS}
    for key, reason in REASONS.items():
        if bool(links[key]) == bool(table.get(reason)):
            raise InputError(f"{file}: {id}: give either {key} or the reason {reason}, and not both")
    reasons = {key: str(table[reason]) for key, reason in REASONS.items() if table.get(reason)}
    return Promise(id, table["promise"], table["figure"], **links, reasons=reasons, figures=table.get("figures", {}))


def number(promise: str, name: str) -> float:
    """A figure of a promise that rules compute with."""
    found = load()[promise].figures.get(name)
    if not isinstance(found, int | float):
        raise InputError(f"{FILE}: {promise}.figures.{name}: a number is expected")
    return float(found)
