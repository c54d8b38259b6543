"""Draws a stack as one diagram: zones as columns, groups of machines as rows, connections as arrows.

The diagram depends only on resource types, tags, and references between resources. A preview knows all of these, so no
code here is specific to one program.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.engine.state import Resource
from sandbox.picture import layout, routes, svg
from sandbox.picture.diagram import Diagram
from sandbox.picture.reading import read

__all__ = ["picture"]


def picture(resources: Iterable[Resource]) -> str:
    """Draw resources as an SVG document. The order of the resources does not change the result."""
    diagram = read(resources)
    canvas, height = layout.place(diagram)
    routes.draw(canvas, diagram)
    return svg.render(canvas, height, diagram.title, _text_alternative(diagram))


def _text_alternative(diagram: Diagram) -> str:
    machines = diagram.machines
    groups = [group.name for role in machines.roles for group in role.groups]
    buckets = [box.title for box in (*diagram.storage.sources, *diagram.storage.copies)]
    return " ".join(
        sentence
        for sentence, shown in (
            (f"In front: {', '.join(f'{box.kind} {box.title}' for box in diagram.front)}.", diagram.front),
            (f"Machines in {', '.join(machines.zones)}: {', '.join(groups)}.", groups),
            (f"Buckets: {', '.join(buckets)}.", buckets),
            (f"Alarms go to {', '.join(box.title for box in diagram.channels)}.", diagram.channels),
        )
        if shown
    )
