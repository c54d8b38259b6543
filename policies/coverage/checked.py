"""Check the coverage table against the providers' SDKs and the rules."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, Final

from console.errors import InputError
from policies.coverage.table import Table
from policies.sources import OPTIONS
from sandbox.clouds.extract import Source

PROVIDER: Final = "pulumi:providers:"
"""The beginning of a provider's type. The engine adds `version` to its inputs."""


def check(table: Table, rules: Collection[str]) -> None:
    """Raise `InputError` for the first row whose type, property, option or rule does not exist."""
    for type, covered in ((type, one) for type, listed in table.items() for one in listed):
        document = _document(type)
        if document is None:
            raise InputError(f"{covered.place}: {type}: the provider's SDK has no such type; correct it, or remove it")
        for path, row in covered.rows.items():
            place = f"{covered.places[path]}: {type}: {path}"
            if path.startswith("@"):
                if path.removeprefix("@") not in OPTIONS:
                    known = ", ".join(f"@{one}" for one in sorted(OPTIONS))
                    raise InputError(f"{place}: no such option; use one of {known}")
            elif not (type.startswith(PROVIDER) and path == "version") and not _has(type, document["inputs"], path):
                raise InputError(f"{place}: the provider's SDK has no such property; correct the path")
            if unknown := sorted(set(row.judged) - set(rules)):
                raise InputError(f"{place}: there is no rule {unknown[0]}; use the name of a rule in docs/rules.md")


@cache
def _source(package: str) -> Source:
    return Source(package)


def _package(type: str) -> str:
    return type.rpartition(":")[2] if type.startswith(PROVIDER) else type.partition(":")[0]


@cache
def _document(type: str) -> dict[str, Any] | None:
    try:
        return _source(_package(type)).resource(type)
    except LookupError:
        return None


def _has(type: str, properties: dict[str, Any], path: str) -> bool:
    """Return whether a type has an input at a path. A mapping without a schema has every key."""
    first, _, rest = path.partition(".")
    name = first.removesuffix("[]")
    if name == "*":
        return not rest
    if name not in properties:
        return False
    kind: Any = properties[name][0]
    if first.endswith("[]"):
        kind = kind[1] if kind[0] == "list" else None
    if kind is None or not rest:
        return kind is not None
    if kind[0] == "object":
        return _has(type, _source(_package(type)).object(kind[1]), rest)
    return kind in ("any", "string") or kind[0] in {"map", "union"}  # a provider's settings are JSON strings
