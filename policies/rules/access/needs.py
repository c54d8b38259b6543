"""Read `needs.toml`: the rights that each principal needs, who may assume a role, and which resources have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import Field

from console.errors import InputError
from policies.graph import Graph
from policies.reading import Strict, Text, parse_toml, read, validate
from policies.views.placeholders import placeholders

FILE: Final = Path(__file__).resolve().parent / "needs.toml"


class Row(Strict):
    """The table of one header in the file."""

    rights: list[Text] = Field(default_factory=list[Text])
    assumed_by: list[Text] = Field(default_factory=list[Text])
    profiles: list[Text] = Field(default_factory=list[Text])
    used_by: list[Text] = Field(default_factory=list[Text])


@dataclass(frozen=True)
class Needs:
    """What one principal needs, with all placeholders filled in."""

    rights: frozenset[str]
    assumed_by: frozenset[str]
    profiles: frozenset[str]
    used_by: frozenset[str]


@cache
def table(file: Path = FILE) -> Mapping[str, Row]:
    """Return the committed table: header to row. `InputError` names a header that is not a regular expression."""
    document = parse_toml(read(file, "make it readable"), str(file))
    rows: dict[str, Row] = {}
    for header, row in document.items():
        try:
            re.compile(header)
        except re.error as error:
            raise InputError(f"{file}: {header!r} is not a regular expression: {error}; correct it") from None
        rows[header] = validate(Row, row, str(file), header)
    return rows


def services(rows: Mapping[str, Row]) -> list[str]:
    """Return the services of AWS that the table names in full."""
    return [header for header in rows if header.startswith("Service ")]


def needs_of(graph: Graph, label: str) -> Needs | None:
    """Return what a principal needs, None if the table does not know it."""
    for header, row in table().items():
        if (match := re.fullmatch(header, label)) is not None:
            groups = {str(number): text or "" for number, text in enumerate(match.groups(), 1)}
            filled = {**placeholders(graph), **groups}
            return Needs(*(_filled(one, filled) for one in (row.rights, row.assumed_by, row.profiles, row.used_by)))
    return None


def _filled(texts: list[str], values: Mapping[str, str]) -> frozenset[str]:
    return frozenset(re.sub(r"\{([^{}]+)\}", lambda found: values.get(found[1], found[0]), text) for text in texts)
