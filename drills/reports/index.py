"""docs/drills.md: the scenarios, and the newest report of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drills.running.scenario import Scenario
from model.drill_reports import Filed

BEGIN, END = "<!-- drills -->", "<!-- /drills -->"


def table(scenarios: Iterable[Scenario], newest: Mapping[str, Filed]) -> str:
    """Return the generated part of the page."""
    lines = [
        "| scenario | promises | runs on | recovered within | may lose | newest report | verdict | measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in scenarios:
        loss = f"{one.loss_seconds:g} s" if one.loss_seconds else "nothing"
        what = [f"{one.title} (`{one.name}`)", ", ".join(one.promises), ", ".join(one.runs_on)]
        row = [*what, f"{one.recovery_seconds:g} s", loss]
        lines.append(f"| {' | '.join([*row, *_newest(newest.get(one.name))])} |")
    return "\n".join(lines)


def _newest(filed: Filed | None) -> list[str]:
    if filed is None:
        return ["none", "", ""]
    where = ", at AWS" if filed.report["on"] == "aws" else ""
    return [f"[{filed.day}{where}](drills/{filed.name}.html)", filed.verdict, filed.measured]


def steps(scenarios: Iterable[Scenario]) -> str:
    """Return the steps of all scenarios, as runbooks."""
    parts: list[str] = []
    for one in scenarios:
        numbered = [
            f"{number}. {step.text}{'' if step.operator else ' *(the drill)*'}"
            for number, step in enumerate(one.steps, 1)
        ]
        page = f" Runbook: [{one.runbook}](runbooks/{one.runbook})." if one.runbook else ""
        parts.append("\n".join([f"### {one.title}", "", f"{one.situation}{page}", "", *numbered]))
    return "\n\n".join(parts)


def updated(text: str, scenarios: Iterable[Scenario], newest: Mapping[str, Filed]) -> str:
    """Return the page with its generated part written again."""
    known = list(scenarios)
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(known, newest)}\n\n{steps(known)}\n{END}{after}"
