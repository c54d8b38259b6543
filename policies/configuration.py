"""How strict a stack is: `policies/PACK/STACK.json`, in the form that `pulumi --policy-pack-config` takes.

A key is a rule's id, or `all`; a value is a level, or an object with `enforcementLevel` and `undetermined`. What is not
said is `mandatory` and `fail`. An update leaves nothing unknown, so that there `undetermined` always fails.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

from console.errors import InputError


class Level(StrEnum):
    """What a failure does."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"
    DISABLED = "disabled"


class Undecided(StrEnum):
    """What a value does that is unknown at preview."""

    FAIL = "fail"
    NOTE = "note"


@dataclass(frozen=True)
class Strictness:
    """How strict one rule is."""

    level: Level = Level.MANDATORY
    undetermined: Undecided = Undecided.FAIL


SCHEMA: Final[Mapping[str, Mapping[str, Any]]] = {
    "undetermined": {
        "type": "string",
        "enum": [choice.value for choice in Undecided],
        "default": Undecided.FAIL.value,
        "description": "What a value that is unknown at preview does; after an update it always fails.",
    }
}
"""The properties of each rule's configuration, as packs publish them."""

ALL: Final = "all"


def file_of(pack: str, stack: str) -> Path:
    """Where a stack's configuration of a pack lies."""
    return Path(__file__).resolve().parent / pack / f"{stack}.json"


def load(pack: str, stack: str, rules: Collection[str]) -> dict[str, Strictness]:
    """The strictness of each rule of a pack for a stack; a stack without a file has the default."""
    file = file_of(pack, stack)
    try:
        document: object = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise InputError(f"{file}:{line}: {error}; correct the JSON") from error
    return parse(document, rules, str(file))


def parse(document: object, rules: Collection[str], source: str) -> dict[str, Strictness]:
    """The same from a document that was read; `InputError` names the key."""
    if not isinstance(document, dict):
        raise InputError(f"{source}: an object of rules is expected")
    given = cast("dict[str, Any]", document)
    if unknown := sorted(given.keys() - {*rules, ALL}):
        raise InputError(f"{source}: {unknown[0]}: no such rule; this pack has {', '.join(sorted(rules))}")
    default = _strictness(given.get(ALL, {}), Strictness(), f"{source}: {ALL}")
    return {rule: _strictness(given.get(rule, {}), default, f"{source}: {rule}") for rule in rules}


def _strictness(value: object, default: Strictness, place: str) -> Strictness:
    if isinstance(value, str):
        value = {"enforcementLevel": value}
    if not isinstance(value, dict):
        raise InputError(f"{place}: {value!r:.40}; a level or an object is expected")
    given = cast("dict[str, Any]", value)
    if unknown := sorted(given.keys() - {"enforcementLevel", *SCHEMA}):
        raise InputError(f"{place}.{unknown[0]}: no such key; allowed are enforcementLevel and {', '.join(SCHEMA)}")
    return Strictness(
        _choice(Level, given.get("enforcementLevel", default.level), f"{place}.enforcementLevel"),
        _choice(Undecided, given.get("undetermined", default.undetermined), f"{place}.undetermined"),
    )


def _choice(kind: Any, value: object, place: str) -> Any:
    choices = [choice.value for choice in kind]
    if value not in choices:
        raise InputError(f"{place}: {value!r:.40}; one of {', '.join(choices)} is expected")
    return kind(value)
