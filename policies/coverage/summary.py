"""What the packs judge in a stack, and what they do not: counts for the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.coverage.table import Row, covering, table
from policies.coverage.walk import leaves
from policies.graph import Graph
from policies.views.contents import contents

JUDGED: Final = "read by rules"
LISTED: Final = "limited to values in the table"
REVIEWED: Final = "reviewed by a person"
FREE: Final = "free"
UNCOVERED: Final = "judged by nobody"


@dataclass(frozen=True)
class Coverage:
    """The types, properties and options of a stack by who judges them, and the reviewed contents."""

    types: int
    properties: Mapping[str, int]
    """Who judges to the number of properties and options; each property of a type counts once."""
    free: Mapping[str, tuple[str, ...]]
    """Reason to the free properties."""
    contents: int

    @property
    def line(self) -> str:
        """The counts as a sentence."""
        counts = ", ".join(f"{count} {who}" for who, count in self.properties.items() if count)
        total = sum(self.properties.values())
        return f"{self.types} types, {total} properties and options: {counts}. {self.contents} reviewed contents"


def coverage(graph: Graph) -> Coverage:
    """Count what the coverage table says about the properties that a stack has."""
    found: dict[str, dict[str, str]] = {who: {} for who in (JUDGED, LISTED, REVIEWED, FREE, UNCOVERED)}
    types: set[str] = set()
    for type, path, row in _properties(graph):
        types.add(type)
        found[_who(row)].setdefault(f"{type} {path}", "" if row is None else row.free or "")
    weaker: set[str] = set()
    for who in reversed(found):  # a property that is free in one table of its type is not judged
        for key in [key for key in found[who] if key in weaker]:
            del found[who][key]
        weaker |= found[who].keys()
    free: dict[str, list[str]] = {}
    for key, reason in found[FREE].items():
        free.setdefault(reason, []).append(key)
    return Coverage(
        len(types),
        {who: len(keys) for who, keys in found.items()},
        {reason: tuple(sorted(keys)) for reason, keys in sorted(free.items())},
        len(contents(graph)),
    )


def _properties(graph: Graph) -> Iterator[tuple[str, str, Row | None]]:
    for resource in graph.resources:
        covered = covering(table(), resource.type, resource.name)
        if resource.is_component or covered is None:
            continue
        paths = dict.fromkeys(path for path, _ in leaves(resource.set_inputs))
        for path in (*paths, *(f"@{name}" for name in resource.options)):
            yield resource.type, path, covered.row(path)


def _who(row: Row | None) -> str:
    if row is None:
        return UNCOVERED
    if row.baseline:
        return REVIEWED
    if row.judged:
        return JUDGED
    return LISTED if row.listed else FREE
