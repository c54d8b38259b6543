"""Shows the recomputed uptime of a month as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence

from console import tables
from console.tables import Table, say
from status.uptime import Account, Agreement, Difference, Statement, bounds, decimal, figures, stamp, state


def document(account: Account, differences: Sequence[Difference]) -> dict[str, object]:
    """Return the result as a JSON document."""
    return {
        "matches": not differences,
        "recomputed": figures(state(account)),
        "differences": [
            {"figure": one.figure, "published": one.published, "recomputed": one.recomputed} for one in differences
        ],
    }


def show(account: Account, differences: Sequence[Difference]) -> None:
    """Print the calculation of each figure, and the differences from the page."""
    say(_heading(account), "bold")
    table = Table(("figure", "value", "calculation"), prose=("calculation",))
    for row in _rows(account, state(account)):
        table.add(*row)
    tables.show(table)
    if not differences:
        say("matches: every published figure equals the recomputed one", "green")
    for one in differences:
        say(f"differs: {one.figure} is published as {one.published}; recomputed: {one.recomputed}", "red")


def _heading(account: Account) -> str:
    span = account.statement
    return f"{account.month}{'' if span.complete else ' so far'}: {stamp(span.from_)} to {stamp(span.to)}"


def _rows(account: Account, statement: Statement) -> list[tuple[str, str, str]]:
    minutes = statement.minutes
    known = minutes.up + minutes.down
    whole = bounds(account.month)[1] - statement.from_
    return [
        ("up", f"{minutes.up} min", "sampled ok or degraded"),
        ("down", f"{minutes.down} min", "sampled down, outside of announced maintenance"),
        ("unknown", f"{minutes.unknown} min", "without a sample"),
        ("excused", f"{minutes.excused} min", "not up, within announced maintenance"),
        ("uptime", _shown(statement.uptime), f"{minutes.up} / ({minutes.up} + {minutes.down})"),
        ("at least", _shown(statement.at_least), f"{minutes.up} / ({known} + {minutes.unknown})"),
        ("target", f"{statement.target} %", _met(statement)),
        ("budget", f"{statement.budget} min", f"({whole} - {minutes.excused}) x (100 % - {statement.target} %)"),
        ("left", f"{statement.left} min", f"{statement.budget} - {minutes.down}"),
        ("credit", f"{statement.credit} %", _steps(account.agreement)),
    ]


def _shown(percent: str | None) -> str:
    return "unknown" if percent is None else f"{percent} %"


def _met(statement: Statement) -> str:
    if statement.met is None:
        return "unknown: it depends on the unknown minutes" if statement.uptime else "unknown: no minute was sampled"
    return "met" if statement.met else "missed"


def _steps(agreement: Agreement) -> str:
    return ", ".join(f"{one.credit} % below {decimal(one.below, 3)} %" for one in agreement.credits)
