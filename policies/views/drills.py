"""What the filed reports of drills said when the stack was planned: its output `drills`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from policies.graph import Graph, Node, Undetermined

OUTPUT: Final = "drills"
KEPT: Final = "kept"  # as in model.drill_reports, which loads cryptography: packs start before each preview


@dataclass(frozen=True)
class Drill:
    """The newest report of a scenario."""

    scenario: str
    report: str
    day: date
    verdict: str
    commit: str
    """The commit of the project that was drilled; with `+` if it had changes that were not committed."""


def newest_drills(graph: Graph) -> dict[str, Drill]:
    """Return the newest report of each scenario."""
    path = f"{OUTPUT}.newest"
    listed = graph.stack.read(path)
    if not isinstance(listed, dict):
        raise Undetermined(graph.stack.urn, path, "is not a mapping of scenarios to reports")
    found: dict[str, Drill] = {}
    for scenario, one in listed.items():
        if not isinstance(one, dict):
            raise Undetermined(graph.stack.urn, f"{path}.{scenario}", "is not a report")
        node = Node(graph.stack.urn, f"{path}.{scenario}", one)
        found[scenario] = Drill(
            scenario,
            node.text("report"),
            date.fromisoformat(node.text("date")),
            node.text("verdict"),
            node.text("commit"),
        )
    return found


def last_drilled(graph: Graph) -> Graph:
    """Return the graph on the day of its newest report, so that a judgement does not depend on today's date."""
    return graph.on(max(one.day for one in newest_drills(graph).values()))
