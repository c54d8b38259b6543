"""The layout: the entry path at the top, machines by zone below, storage beside them, alarms at the bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.picture.diagram import Box, Diagram, Group, Machines, Role, Storage
from sandbox.picture.reading import CUSTOMERS
from sandbox.picture.shapes import Canvas, Rect, height_of, spread

WIDTH: Final = 1080.0
MARGIN: Final = 24.0
SIDE: Final = WIDTH - MARGIN  # the right side of full-width parts
FRONT_BOX: Final = 142.0
FRONT_GAP: Final = 72.0
MACHINES: Final = (72.0, 714.0)  # from left to right
STORAGE: Final = (762.0, SIDE)
GAP: Final = 44.0  # between lanes: space for an arrow and its label
STEP: Final = 32.0  # between boxes with an arrow between them
ROW: Final = 50.0  # the height of a group
SHOWN: Final = 4  # maximum number of groups shown for a role; further ones are only counted


def place(diagram: Diagram) -> tuple[Canvas, float]:
    """Place a diagram; return the canvas and its height."""
    canvas = Canvas()
    canvas.text(MARGIN, 34, diagram.title, "heading")
    below = _front(canvas, diagram) + GAP
    bottom = max(_machines_height(diagram.machines), _storage_height(diagram.storage)) + below
    if diagram.machines.roles:
        _machines(canvas, diagram.machines, below, bottom)
    _storage(canvas, diagram.storage, below, bottom)
    return canvas, _alarms(canvas, diagram, bottom + GAP) + MARGIN


def _front(canvas: Canvas, diagram: Diagram) -> float:
    """Place the customers and the boxes between them and the machines; return the lower side."""
    top, inside = 116.0, 158.0
    if not diagram.front:
        return 16.0
    height = height_of(*diagram.front)
    ground = Rect(MARGIN, top, WIDTH - 2 * MARGIN, inside - top + height + 16, "ground")
    canvas.grounds.append(ground)
    for number, box in enumerate(diagram.front):
        canvas.box(box, Rect(40 + number * (FRONT_BOX + FRONT_GAP), inside, FRONT_BOX, height))
    right = canvas.places[diagram.front[-1].key].right + 22
    canvas.text(right, inside + 18, "Cloudflare", "caption")
    for number, domain in enumerate(diagram.domains):
        canvas.text(right, inside + 36 + 15 * number, domain, "small", width=140)
    _customers(canvas, diagram)
    return ground.bottom


def _customers(canvas: Canvas, diagram: Diagram) -> None:
    asked = [edge for edge in diagram.edges if edge.source == CUSTOMERS]
    if not asked:
        return
    centers = [canvas.places[edge.target].center for edge in asked]
    left, right = min(centers) - 56, max(centers) + 56
    place = canvas.places[CUSTOMERS] = Rect(left, 50, right - left, 30, "pill")
    canvas.rects.append(place)
    canvas.text(place.center, place.y + 20, "Customers", "title", "middle")


# -- machines


def _shown(role: Role) -> Sequence[Group]:
    return role.groups if len(role.groups) <= SHOWN else role.groups[: SHOWN - 1]


def _role_height(role: Role) -> float:
    more = 20 if len(role.groups) > SHOWN else 0
    return len(_shown(role)) * ROW + more + 8


def _machines_height(machines: Machines) -> float:
    return 46 + sum(_role_height(role) + STEP for role in machines.roles) - STEP + 16


def _machines(canvas: Canvas, machines: Machines, top: float, bottom: float) -> None:
    left, right = MACHINES
    canvas.grounds.append(Rect(left, top, right - left, bottom - top, "ground"))
    canvas.text(left + 24, top + 28, " ".join(["AWS", machines.region]), "caption")
    zones: dict[str, Rect] = {}
    for zone, (x, width) in zip(machines.zones, spread(left + 170, right - 24, len(machines.zones), 8), strict=True):
        zones[zone] = Rect(x, top + 10, width, bottom - top - 20, "zone")
        canvas.grounds.append(zones[zone])
        label = f"{zone} · {machines.notes[zone]}" if zone in machines.notes else zone
        canvas.text(zones[zone].center, top + 28, label, "small", "middle", width)
    spare = bottom - top - _machines_height(machines)
    step = STEP + spare / max(len(machines.roles) - 1, 1)
    y = top + 46
    for role in machines.roles:
        place = Rect(left + 24, y, right - left - 40, _role_height(role), "strip")
        canvas.grounds.append(place)
        canvas.places[role.name] = place
        _groups(canvas, role, place, zones)
        y = place.bottom + step


def _groups(canvas: Canvas, role: Role, strip: Rect, zones: Mapping[str, Rect]) -> None:
    shown = _shown(role)
    for number, group in enumerate(shown):
        y = strip.y + 4 + number * ROW
        canvas.text(strip.x + 12, y + 21, group.name, "title", width=132)
        canvas.text(strip.x + 12, y + 37, group.detail, "small", width=132)
        for zone, members in group.zones.items():
            column = zones[zone]
            for member, (x, width) in zip(
                members, spread(column.x + 8, column.right - 8, len(members), 6), strict=True
            ):
                place = Rect(x, y + 4, width, ROW - 8)
                canvas.places[member.name] = place
                canvas.rects.append(place)
                canvas.text(place.center, y + 21, member.name, "member", "middle", width - 8)
                canvas.text(place.center, y + 37, member.address, "small", "middle", width - 8)
    if len(shown) < len(role.groups):
        left_out = f"… {len(role.groups) - len(shown)} more"
        canvas.text(strip.x + 12, strip.bottom - 10, left_out, "small")


# -- storage


def _rows(storage: Storage) -> list[tuple[Box, ...]]:
    rows = [storage.sources, storage.queues, storage.carriers, storage.copies, storage.scheduled]
    return [row for row in rows if row]


def _storage_height(storage: Storage) -> float:
    rows = _rows(storage)
    return 42 + sum(height_of(*row) + STEP for row in rows) - STEP + 16 if rows else 0


def _storage(canvas: Canvas, storage: Storage, top: float, bottom: float) -> None:
    rows = _rows(storage)
    if not rows:
        return
    left, right = STORAGE
    canvas.grounds.append(Rect(left, top, right - left, bottom - top, "ground"))
    canvas.text(left + 14, top + 28, "Object storage", "caption")
    spare = bottom - top - _storage_height(storage)
    step = STEP + spare / max(len(rows) - 1, 1)
    y = top + 42
    for row in rows:
        height = height_of(*row)
        for box, (x, width) in zip(row, spread(left + 14, right - 34, len(row), 10), strict=True):
            canvas.box(box, Rect(x, y, width, height))
        y += height + step


# -- alarms


def _alarms(canvas: Canvas, diagram: Diagram, top: float) -> float:
    """Place the alarms and, to their right, the channels; return the lower side."""
    if not diagram.alarms:
        return top - GAP
    height = height_of(*diagram.alarms, *diagram.channels)
    ground = Rect(MARGIN, top, WIDTH - 2 * MARGIN, height + 62, "ground")
    canvas.grounds.append(ground)
    canvas.text(MACHINES[0], top + 24, "Alarms", "caption")
    columns = [*spread(40, 540, len(diagram.alarms), 24), *spread(620, SIDE - 16, len(diagram.channels), 24)]
    for box, (x, width) in zip([*diagram.alarms, *diagram.channels], columns, strict=True):
        canvas.box(box, Rect(x, top + 36, width, height))
    return ground.bottom
