"""Count the properties of a stack by who judges them, for the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.coverage.table import Covered, Row, covering, table
from policies.coverage.walk import leaves
from policies.graph import Graph, Resource
from policies.views.contents import contents

JUDGED: Final = "read by rules"
LISTED: Final = "limited to values in the table"
REVIEWED: Final = "reviewed by a person"
FREE: Final = "free"
UNCOVERED: Final = "without a row in the table"


@dataclass(frozen=True)
class Coverage:
    """The number of a stack's types, of its properties and options by who judges them, and of its contents."""

    types: int
    properties: Mapping[str, int]
    """Who judges to the number of properties and options. Resources with the same table count a property once."""
    free: Mapping[str, tuple[str, ...]]
    """Reason to the free properties with that reason. Each names the first resource that has the property."""
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
    free: dict[str, set[str]] = {}
    types: set[str] = set()
    for resource, covered, path in _properties(graph):
        types.add(resource.type)
        row = covered.row(path)
        label = found[_who(row)].setdefault(f"{covered.place} {path}", f"{resource.type} {resource.name}: {path}")
        if row is not None and row.free:
            free.setdefault(row.free, set()).add(label)
    return Coverage(
        len(types),
        {who: len(keys) for who, keys in found.items()},
        {reason: tuple(sorted(properties)) for reason, properties in sorted(free.items())},
        len(contents(graph)),
    )


def _properties(graph: Graph) -> Iterator[tuple[Resource, Covered, str]]:
    """Return each property and option of each resource that is in the table."""
    for resource in graph.resources:
        covered = covering(table(), resource.type, resource.name)
        if resource.is_component or covered is None:
            continue
        paths = dict.fromkeys(path for path, _ in leaves(resource.set_inputs))
        for path in (*paths, *(f"@{name}" for name in resource.options)):
            yield resource, covered, path


def _who(row: Row | None) -> str:
    if row is None:
        return UNCOVERED
    if row.baseline:
        return REVIEWED
    if row.judged:
        return JUDGED
    return LISTED if row.listed else FREE
