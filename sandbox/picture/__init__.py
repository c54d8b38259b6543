"""A stack as one picture: zones as columns, groups as rows, and who talks to whom.

Nothing here knows a particular program: what is shown follows from resource types, tags, and the references between
resources, all of which a preview knows.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.engine.state import Resource
from sandbox.picture import layout, routes, svg
from sandbox.picture.diagram import Diagram
from sandbox.picture.reading import read

__all__ = ["picture"]


def picture(resources: Iterable[Resource]) -> str:
    """Draw resources as an SVG document; the same resources give the same text, in whatever order they come."""
    diagram = read(resources)
    canvas, height = layout.place(diagram)
    routes.draw(canvas, diagram)
    return svg.render(canvas, height, diagram.title, _in_words(diagram))


def _in_words(diagram: Diagram) -> str:
    machines = diagram.machines
    groups = [group.name for role in machines.roles for group in role.groups]
    buckets = [box.title for box in (*diagram.storage.sources, *diagram.storage.copies)]
    return " ".join(
        sentence
        for sentence, told in (
            (f"In front: {', '.join(f'{box.kind} {box.title}' for box in diagram.front)}.", diagram.front),
            (f"Machines in {', '.join(machines.zones)}: {', '.join(groups)}.", groups),
            (f"Buckets: {', '.join(buckets)}.", buckets),
            (f"Alarms go to {', '.join(box.title for box in diagram.channels)}.", diagram.channels),
        )
        if told
    )
