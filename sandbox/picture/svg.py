"""Renders a placed diagram as a self-contained SVG: styles for light and dark mode, and a text alternative."""

from __future__ import annotations

from itertools import pairwise
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sandbox.picture.layout import WIDTH
from sandbox.picture.shapes import Arrow, Canvas, Rect, Text

RADIUS: Final = 7.0  # of the rounded corners of arrows
FONT: Final = "ui-sans-serif, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Average width of a character in pixels, by style, to decide when to shorten a text.
ADVANCE: Final = {"small": 5.7, "label": 5.7, "title": 7.2, "member": 6.6, "caption": 6.8, "heading": 10.0}
# Colours by role: light, dark.
COLOURS: Final = {
    "page": ("#ffffff", "#0d1117"),
    "ground": ("#f6f8fa", "#151b23"),
    "zone": ("#e9eef4", "#1d2530"),
    "box": ("#ffffff", "#0d1117"),
    "edge": ("#c4ccd6", "#3a4350"),
    "ink": ("#1f2328", "#e6edf3"),
    "soft": ("#57606a", "#9aa4b0"),
    "accent": ("#0a5fbf", "#6cb0ff"),
}


def render(canvas: Canvas, height: float, title: str, description: str) -> str:
    """Return the SVG document as text."""
    root = Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        width=f"{WIDTH:g}",
        height=f"{height:g}",
        role="img",
    )
    root.set("aria-labelledby", "title desc")
    SubElement(root, "title", id="title").text = title
    SubElement(root, "desc", id="desc").text = description
    SubElement(root, "style").text = _style()
    _markers(root)
    SubElement(root, "rect", {"class": "page", "width": f"{WIDTH:g}", "height": f"{height:g}", "rx": "10"})
    for ground in canvas.grounds:
        _rect(root, ground)
    for arrow in canvas.arrows:
        _arrow(root, arrow)
    for rect in canvas.rects:
        _rect(root, rect)
    for text in canvas.texts:
        _text(root, text)
    indent(root, " ")
    return tostring(root, encoding="unicode") + "\n"


def _style() -> str:
    light, dark = (_colours(0), _colours(1))
    return f"""
text {{ font-family: {FONT}; font-size: 11px; }}
.heading {{ font-size: 18px; font-weight: 600; }}
.caption {{ font-size: 12px; font-weight: 600; }}
.title {{ font-size: 13px; font-weight: 600; }}
.member {{ font-size: 12px; }}
.label {{ stroke-width: 4px; paint-order: stroke; stroke-linejoin: round; }}
.arrow {{ fill: none; stroke-width: 1.5px; }}
.strip {{ fill: none; }}
{light}
@media (prefers-color-scheme: dark) {{
{dark}
}}
"""


def _colours(column: int) -> str:
    colour = {role: pair[column] for role, pair in COLOURS.items()}
    return f"""text {{ fill: {colour["ink"]}; }}
.small {{ fill: {colour["soft"]}; }}
.label {{ fill: {colour["accent"]}; stroke: {colour["ground"]}; }}
.page {{ fill: {colour["page"]}; }}
.ground {{ fill: {colour["ground"]}; stroke: {colour["edge"]}; }}
.zone {{ fill: {colour["zone"]}; }}
.strip {{ stroke: {colour["edge"]}; }}
.box, .pill {{ fill: {colour["box"]}; stroke: {colour["edge"]}; }}
.arrow {{ stroke: {colour["accent"]}; }}
.head {{ fill: {colour["accent"]}; }}"""


def _markers(root: Element) -> None:
    marker = SubElement(
        SubElement(root, "defs"),
        "marker",
        id="head",
        viewBox="0 0 8 8",
        refX="7.5",
        refY="4",
        markerWidth="8",
        markerHeight="8",
        markerUnits="userSpaceOnUse",
        orient="auto-start-reverse",
    )
    SubElement(marker, "path", {"class": "head", "d": "M0 0.5L8 4L0 7.5z"})


def _rect(root: Element, rect: Rect) -> None:
    radius = {"pill": rect.height / 2, "ground": 8.0, "zone": 6.0}.get(rect.style, 5.0)
    box = {"x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height, "rx": radius}
    SubElement(root, "rect", {"class": rect.style, **{key: _number(value) for key, value in box.items()}})


def _text(root: Element, text: Text) -> None:
    attributes = {"class": text.style, "x": _number(text.x), "y": _number(text.y)}
    if text.anchor != "start":
        attributes["text-anchor"] = text.anchor
    SubElement(root, "text", attributes).text = shorten(text.text, text.style, text.width)


def shorten(text: str, style: str, width: float) -> str:
    """Shorten a text to `width` pixels, with an ellipsis at the end; 0 means no limit."""
    room = int(width / ADVANCE[style]) if width else len(text)
    return text if len(text) <= room else text[: max(room - 1, 1)] + "…"


def _arrow(root: Element, arrow: Arrow) -> None:
    attributes = {"class": "arrow", "d": _path(arrow.points)}
    if arrow.heads:
        attributes["marker-end"] = "url(#head)"
    if arrow.heads == 2:
        attributes["marker-start"] = "url(#head)"
    SubElement(root, "path", attributes)


def _path(points: tuple[tuple[float, float], ...]) -> str:
    """Return an SVG path through points with rounded corners."""
    parts = [f"M{_pair(points[0])}"]
    for before, (corner, after) in zip(points, pairwise(points[1:]), strict=False):
        radius = min(RADIUS, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, end = _toward(corner, before, radius), _toward(corner, after, radius)
        parts.append(f"L{_pair(start)}Q{_pair(corner)} {_pair(end)}")
    return "".join([*parts, f"L{_pair(points[-1])}"])


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(start: tuple[float, float], end: tuple[float, float], by: float) -> tuple[float, float]:
    share = by / (_distance(start, end) or 1)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _pair(point: tuple[float, float]) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
