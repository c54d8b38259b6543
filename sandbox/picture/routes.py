"""The routes of arrows. Each pair of lanes has its own channel, so that arrows do not cross or touch boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sandbox.picture.diagram import Box, Diagram, Edge
from sandbox.picture.layout import MACHINES, STORAGE
from sandbox.picture.reading import CUSTOMERS
from sandbox.picture.shapes import Canvas, Rect


def draw(canvas: Canvas, diagram: Diagram) -> None:
    """Draw every edge between placed boxes."""
    edges = [edge for edge in diagram.edges if edge.source in canvas.places and edge.target in canvas.places]
    roles = [role.name for role in diagram.machines.roles]
    storage = diagram.storage
    buckets = _keys([*storage.sources, *storage.copies])
    front, alarms = _keys(diagram.front), _keys(diagram.alarms)
    _way_in(canvas, _between(edges, [CUSTOMERS, *front], front), front)
    _over_the_top(canvas, _between(edges, front, buckets), _keys(storage.sources))
    _into_machines(canvas, _between(edges, front, roles))
    _among_roles(canvas, _between(edges, roles, roles), roles)
    # Machines write to the source buckets; the copies they only read, with keys that are shut outside of a restore.
    _into_storage(canvas, _between(edges, roles, _keys(storage.sources)))
    _within_storage(canvas, diagram, edges)
    _watching(canvas, _between(edges, front, alarms), _between(edges, roles, alarms))
    _to_channels(canvas, _between(edges, alarms, _keys(diagram.channels)), alarms)


def _keys(boxes: Sequence[Box]) -> list[str]:
    return [box.key for box in boxes]


def _between(edges: Sequence[Edge], sources: Sequence[str], targets: Sequence[str]) -> list[Edge]:
    return [edge for edge in edges if edge.source in sources and edge.target in targets]


def _way_in(canvas: Canvas, edges: Sequence[Edge], front: Sequence[str]) -> None:
    """Draw edges from customers down, and from box to box to the right. An edge that skips a box passes above it."""
    for edge in edges:
        source, target = canvas.places[edge.source], canvas.places[edge.target]
        if edge.source == CUSTOMERS:
            canvas.arrow((target.center, source.bottom), (target.center, target.y))
            canvas.text(target.center + 8, source.bottom + 22, edge.label, "label")
        elif front.index(edge.target) == front.index(edge.source) + 1:
            canvas.arrow((source.right, source.middle), (target.x, source.middle))
            canvas.text((source.right + target.x) / 2, source.middle - 7, edge.label, "label", "middle")
        else:
            y = source.y - 12
            canvas.arrow(
                (source.right - 16, source.y), (source.right - 16, y), (target.x + 16, y), (target.x + 16, target.y)
            )


def _over_the_top(canvas: Canvas, edges: Sequence[Edge], sources: Sequence[str]) -> None:
    """Draw edges from the entry path to a bucket: above the other boxes, then down along the side."""
    for number, edge in enumerate(edges):
        source, target = canvas.places[edge.source], canvas.places[edge.target]
        x, y = source.right - 30 + 8 * number, source.y - 18 - 6 * number
        if edge.target in sources:
            down = target.right - 24 - 10 * number
            canvas.arrow((x, source.y), (x, y), (down, y), (down, target.y))
        else:
            down = STORAGE[1] - 6 - 4 * number
            canvas.arrow((x, source.y), (x, y), (down, y), (down, target.middle), (target.right, target.middle))
        canvas.text(source.right + 36, y + 4, edge.label, "label", "middle")


def _into_machines(canvas: Canvas, edges: Sequence[Edge]) -> None:
    for edge in edges:
        source, target = canvas.places[edge.source], canvas.places[edge.target]
        x = min(source.center, target.right - 10)
        canvas.arrow((x, source.bottom), (x, target.y))
        canvas.text(x + 7, source.bottom + 40, edge.label, "label")


def _among_roles(canvas: Canvas, edges: Sequence[Edge], roles: Sequence[str]) -> None:
    """Draw edges between roles. An edge to the next role uses the gap; one that skips a role passes on the left."""
    lane = 0
    for edge in edges:
        back = next((other for other in edges if (other.source, other.target) == (edge.target, edge.source)), None)
        if back is not None and roles.index(edge.source) > roles.index(edge.target):
            continue  # drawn as one line with two heads, together with the opposite edge
        upper, lower = sorted((canvas.places[edge.source], canvas.places[edge.target]), key=_height)
        ends = (
            (upper.bottom, lower.y) if roles.index(edge.source) < roles.index(edge.target) else (lower.y, upper.bottom)
        )
        if abs(roles.index(edge.source) - roles.index(edge.target)) == 1:
            canvas.down(upper.x + 60, *ends, edge.label, heads=1 if back is None else 2)
        else:
            lane += 1
            _around(canvas, edge, MACHINES[0] + 24 - 10 * lane, heads=1 if back is None else 2)


def _around(canvas: Canvas, edge: Edge, x: float, *, heads: int) -> None:
    source, target = canvas.places[edge.source], canvas.places[edge.target]
    canvas.arrow(
        (source.x, source.middle), (x, source.middle), (x, target.middle), (target.x, target.middle), heads=heads
    )
    canvas.text(x + 6, target.y - 12, edge.label, "label")


def _into_storage(canvas: Canvas, edges: Sequence[Edge]) -> None:
    """Draw edges from roles to a bucket. The lowest role's line leads to it; the other lines join that line."""
    x = MACHINES[1] + 14
    for target in dict.fromkeys(edge.target for edge in edges):
        place = canvas.places[target]
        *others, lowest = sorted((canvas.places[edge.source] for edge in edges if edge.target == target), key=_height)
        for source in others:
            canvas.arrow((source.right, source.middle), (x, source.middle), heads=0)
        canvas.arrow((lowest.right, lowest.middle), (x, lowest.middle), (x, place.middle), (place.x, place.middle))
        canvas.text((x + place.x) / 2 + 1, place.middle - 7, edges[0].label, "label", "middle")
        x += 8


def _height(rect: Rect) -> float:
    return rect.y


def _within_storage(canvas: Canvas, diagram: Diagram, edges: Sequence[Edge]) -> None:
    storage = diagram.storage
    rows = [_keys(row) for row in (storage.sources, storage.queues, storage.carriers, storage.copies)]
    for upper, lower in pairwise(rows):
        for edge in _between(edges, upper, lower):
            source, target = canvas.places[edge.source], canvas.places[edge.target]
            x = _common_x(source, target)
            canvas.down(x, source.bottom, target.y, edge.label)
    for edge in _between(edges, _keys(storage.scheduled), rows[3]):
        source, target = canvas.places[edge.source], canvas.places[edge.target]
        canvas.down(_common_x(source, target), source.y, target.bottom, edge.label)
    for edge in _between(edges, _keys(storage.scheduled), rows[0]):
        source, target = canvas.places[edge.source], canvas.places[edge.target]
        x = STORAGE[1] - 18
        canvas.arrow(
            (source.right, source.middle), (x, source.middle), (x, target.middle), (target.right, target.middle)
        )


def _common_x(one: Rect, other: Rect) -> float:
    """Return the x of a vertical line that meets both: the middle of the narrower one."""
    return one.center if one.width < other.width else other.center


def _watching(canvas: Canvas, outside: Sequence[Edge], inside: Sequence[Edge]) -> None:
    """Draw edges from monitored objects to alarms: the entry path's on the left side, the machines' straight down."""
    for target in dict.fromkeys(edge.target for edge in outside):
        x = MACHINES[0] - 22
        top = max(canvas.places[edge.source].bottom for edge in outside) + 16
        canvas.arrow((x, top), (x, canvas.places[target].y))
        canvas.text(x + 7, top + 26, outside[0].label, "label")

    for target in dict.fromkeys(edge.target for edge in inside):
        place = canvas.places[target]
        bottom = max(rect.bottom for rect in canvas.grounds if rect.x == MACHINES[0])
        canvas.arrow((place.center, bottom), (place.center, place.y))
        canvas.text(place.center + 8, bottom + 26, inside[0].label, "label")


def _to_channels(canvas: Canvas, edges: Sequence[Edge], alarms: Sequence[str]) -> None:
    """Draw edges to channels. Sources with the same channels share one line below the boxes."""
    buses: dict[tuple[str, ...], list[str]] = {}
    for source in alarms:
        targets = tuple(edge.target for edge in edges if edge.source == source)
        if targets:
            buses.setdefault(tuple(sorted(targets)), []).append(source)
    for number, (targets, sources) in enumerate(buses.items()):
        first, *joining = [canvas.places[source] for source in sources]
        *passed, last = sorted((canvas.places[target] for target in targets), key=lambda rect: rect.x)
        x, y = 6 * number, first.bottom + 14 + 6 * number
        ends = (last.center + x, y), (last.center + x, last.bottom)
        canvas.arrow((first.center, first.bottom), (first.center, y), *ends)
        for source in joining:
            canvas.arrow((source.center, source.bottom), (source.center, y), heads=0)
        for target in passed:
            canvas.arrow((target.center + x, y), (target.center + x, target.bottom))
