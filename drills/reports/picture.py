"""The timeline of a drill as SVG: a mark for each event, and a band while clients were not served. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT = 960, 40, 20
ROW, TOP = 22, 64
COLOURS = {
    "begin": "#57606a",
    "fault": "#b42318",
    "detection": "#b54708",
    "failover": "#175cd3",
    "recovery": "#067647",
    "check": "#6941c6",
    "end": "#57606a",
    "stopped": "#b42318",
}


def timeline(events: Sequence[Mapping[str, Any]], measured: Mapping[str, float | None]) -> str:
    """Return the picture. `measured`: as in the report; without `fault`, the first fault is the one that counts."""
    last = max(float(one["seconds"]) for one in events) or 1.0
    height = TOP + ROW * len(events) + 16

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / last

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Timeline of the drill">']
    recovery = measured.get("recovery")
    first = next((float(one["seconds"]) for one in events if one["kind"] == "fault"), None)
    fault = measured.get("fault", first)
    if fault is not None and recovery is not None:
        parts.append(
            f'<rect class="outage" x="{x(fault):.1f}" y="30" width="{max(x(fault + recovery) - x(fault), 2):.1f}" '
            f'height="14"><title>{recovery} s from the fault until clients were served again</title></rect>'
        )
    parts.append(f'<line class="axis" x1="{LEFT}" y1="37" x2="{WIDTH - RIGHT}" y2="37"/>')
    for tick in _ticks(last):
        parts.append(f'<line class="tick" x1="{x(tick):.1f}" y1="32" x2="{x(tick):.1f}" y2="42"/>')
        parts.append(f'<text class="clock" x="{x(tick):.1f}" y="22" text-anchor="middle">{_clock(tick)}</text>')
    for number, one in enumerate(events):
        at, y, colour = x(float(one["seconds"])), TOP + ROW * number, COLOURS[one["kind"]]
        # The text stands left of its mark where there is no room at its right.
        anchor, offset = ("end", -9) if at > WIDTH * 0.55 else ("start", 9)
        parts.append(f'<line class="drop" x1="{at:.1f}" y1="37" x2="{at:.1f}" y2="{y}"/>')
        parts.append(f'<circle cx="{at:.1f}" cy="{y}" r="5" fill="{colour}"/>')
        text = f"{_clock(float(one['seconds']))} {one['text']}"
        shown = text if len(text) <= 90 else f"{text[:88]}…"
        parts.append(
            f'<text x="{at + offset:.1f}" y="{y + 4}" text-anchor="{anchor}"><title>{escape(text)}</title>'
            f"{escape(shown)}</text>"
        )
    return "".join([*parts, "</svg>"])


def _ticks(last: float) -> list[float]:
    step = next(
        step for step in (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200) if last / step <= 12 or step == 7200
    )
    return [step * number for number in range(int(last / step) + 1)]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{int(rest):02}"
