"""How strict a stack is: `policies/PACK/STACK.json`, in the format of `pulumi --policy-pack-config`.

A key is a rule's id, or `all`; a value is a level, or an object with `enforcementLevel` and `undetermined`. The
defaults are `mandatory` and `fail`. After an update no value is unknown, so an undetermined verdict always fails.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import Field, model_validator

from console.errors import InputError
from policies.reading import Strict, parse_json, read, validate


class Level(StrEnum):
    """What a failure of a rule does."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"
    DISABLED = "disabled"


class Undecided(StrEnum):
    """What an undetermined verdict does at preview."""

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
        "description": "What an undetermined verdict does at preview; after an update it always fails.",
    }
}
"""The properties of each rule's configuration, as packs publish them."""

ALL: Final = "all"


def file_of(pack: str, stack: str) -> Path:
    """Return the file with a stack's configuration of a pack."""
    return Path(__file__).resolve().parent / pack / f"{stack}.json"


class Entry(Strict):
    """The value of one key: what it does not set is inherited from `all`."""

    level: Annotated[Level, Field(alias="enforcementLevel", strict=False)] = Level.MANDATORY
    undetermined: Annotated[Undecided, Field(strict=False)] = Undecided.FAIL

    @model_validator(mode="before")
    @classmethod
    def _level_alone(cls, value: object) -> object:
        if not isinstance(value, str | dict):
            raise ValueError(f"{value!r:.40}; a level or an object is expected")
        return {"enforcementLevel": value} if isinstance(value, str) else value  # pyright: ignore[reportUnknownVariableType]

    def over(self, default: Strictness) -> Strictness:
        """Return the default with what this entry sets."""
        return replace(default, **self.model_dump(exclude_unset=True))


def load(pack: str, stack: str, rules: Collection[str]) -> dict[str, Strictness]:
    """Return the strictness of each rule of a pack for a stack; a stack without a file has the default."""
    file = file_of(pack, stack)
    if not file.exists():
        return parse({}, rules, str(file))
    content = read(file, "make it readable, or delete it to use the default")
    return parse(parse_json(content, str(file)), rules, str(file))


def parse(document: object, rules: Collection[str], source: str) -> dict[str, Strictness]:
    """Return the strictness that a document configures; `InputError` names the source and the key."""
    if not isinstance(document, dict):
        raise InputError(f"{source}: {document!r:.40}; write an object with rule ids as its keys")
    given = cast("dict[str, object]", document)
    if unknown := sorted(given.keys() - {*rules, ALL}):
        raise InputError(f"{source}: {unknown[0]}: no such rule; this pack has {', '.join(sorted(rules))}")
    entries = {key: validate(Entry, value, source, key) for key, value in given.items()}
    default = entries[ALL].over(Strictness()) if ALL in entries else Strictness()
    return {rule: entries[rule].over(default) if rule in entries else default for rule in rules}
