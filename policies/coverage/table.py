"""Read the coverage table: `policies/coverage/*.toml`, one row for each property of each resource type.

A table's header is a resource type and a regular expression for the names of its resources. A row's key is a path in
the resource's inputs, with `[]` for the items of a list, or `@` and a resource option. The row says who judges the
property. `judged` and `baseline` may stand together, and so may the limits:

- `judged`: these rules read it
- `values`: the values that are allowed
- `pattern`: a regular expression for the whole value
- `at_least`, `at_most`: limits of a number
- `refers`: the resources that it may refer to, as `TYPE` or `TYPE NAME`, where NAME is a regular expression
- `baseline`: its content is reviewed (`policies/baseline.toml`)
- `free`: nobody judges it, with the reason

A row with a limit requires a value, unless it is `optional`. Patterns may contain `{1}`, a group of the header's
expression, and the placeholders of `policies/views/placeholders.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, Field, model_validator

from console.errors import InputError
from policies.reading import Strict, Text, line_of, parse_toml, read, validate

LISTS: Final = ("values", "pattern", "at_least", "at_most", "refers", "baseline")
FOLDER: Final = Path(__file__).resolve().parent
PLACEHOLDER: Final = re.compile(r"\{([^{}]*?(?:\{\d\})?)\}")


def _pattern(text: str) -> str:
    try:
        re.compile(PLACEHOLDER.sub("x", text))
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


Pattern = Annotated[Text, AfterValidator(_pattern)]


class Row(Strict):
    """Who judges one property, or one resource option."""

    judged: list[Text] = Field(default_factory=list[str])
    values: list[Any] | None = None
    pattern: Pattern | None = None
    at_least: float | None = None
    at_most: float | None = None
    refers: list[Pattern] = Field(default_factory=list[str])
    baseline: bool = False
    optional: bool = False
    free: Text | None = None

    @model_validator(mode="after")
    def _says_who(self) -> Row:
        if not (self.judged or self.listed or self.free):
            raise ValueError(f"does not say who judges it; add {', '.join(LISTS)}, judged, or free with a reason")
        if self.free and (self.judged or self.listed):
            raise ValueError("is both free and judged; remove one of the two")
        if self.judged and self.limited:
            raise ValueError("is both judged by rules and limited here; keep one of the two")
        if self.values == [] or (
            self.at_least is not None and self.at_most is not None and self.at_least > self.at_most
        ):
            raise ValueError("allows no value; correct the limits")
        if self.optional and not self.listed:
            raise ValueError("is optional without a limit or baseline; remove optional")
        return self

    @property
    def listed(self) -> bool:
        """Whether the row limits the value, or its content is reviewed."""
        return self.baseline or self.limited

    @property
    def limited(self) -> bool:
        """Whether the row itself limits the value."""
        limits = (self.values, self.pattern, self.at_least, self.at_most)
        return bool(self.refers) or any(limit is not None for limit in limits)


@dataclass(frozen=True)
class Covered:
    """The resources of one type with certain names, and their rows by path."""

    type: str
    name: re.Pattern[str]
    rows: Mapping[str, Row]
    place: str
    places: Mapping[str, str]
    """File and line of each row."""

    def row(self, path: str) -> Row | None:
        """Return the row of a path: its own, or that of an enclosing mapping, whose path ends with `.*`; else None."""
        if path in self.rows:
            return self.rows[path]
        parts = path.split(".")
        heads = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
        return next((self.rows[f"{head}.*"] for head in heads if f"{head}.*" in self.rows), None)


Table = Mapping[str, Sequence[Covered]]
"""Resource type to its tables."""


@cache
def table() -> Table:
    """Return the committed table."""
    return load(FOLDER)


def covering(table: Table, type: str, name: str) -> Covered | None:
    """Return the table for a resource's type and name, None if there is none."""
    return next((one for one in table.get(type, ()) if one.name.fullmatch(name)), None)


def load(folder: Path) -> Table:
    """Return the table in a folder; `InputError` names the file, the line and the remedy."""
    found: dict[str, list[Covered]] = {}
    headers: dict[str, str] = {}
    for file in sorted(folder.glob("*.toml")):
        content = read(file, "make it readable")
        lines = content.decode(errors="replace").splitlines()
        for header, rows in parse_toml(content, str(file)).items():
            covered = _covered(header, rows, lines, file)
            if header in headers:
                raise InputError(f"{covered.place}: {header} is also at {headers[header]}; keep one of the two tables")
            headers[header] = covered.place
            found.setdefault(covered.type, []).append(covered)
    return found


def _covered(header: str, rows: object, lines: Sequence[str], file: Path) -> Covered:
    place = f"{file}:{line_of(lines, header)}"
    type, _, name = header.partition(" ")
    if not isinstance(rows, dict) or not name:
        raise InputError(f"{place}: {header}: write a table whose header is a type, a space, and a pattern for names")
    try:
        pattern = re.compile(name)
    except re.error as error:
        raise InputError(f"{place}: {header}: {name!r} is not a regular expression: {error}; correct it") from None
    given = cast("dict[str, object]", rows)
    allowed = {*(str(number) for number in range(1, pattern.groups + 1)), "name", "platform", "account", "region"}
    places = {path: f"{file}:{line_of(lines, header, path)}" for path in given}
    found = {path: validate(Row, row, places[path], f"{header}: {path}") for path, row in given.items()}
    for path, row in found.items():
        for name in _unknown_placeholders(row, allowed):
            known = ", ".join(sorted(allowed))
            raise InputError(f"{places[path]}: {header}: {path}: {{{name}}} is no placeholder; known are {known}")
    return Covered(type, pattern, found, place, places)


def _unknown_placeholders(row: Row, allowed: set[str]) -> Iterator[str]:
    """Return the placeholders of a row that have no value. A number may also be a quantifier of the expression."""
    for text in filter(None, (row.pattern, *row.refers)):
        for name in PLACEHOLDER.findall(text):
            if name not in allowed and not name.startswith("domain ") and not name.replace(",", "").isdigit():
                yield name
