"""A filed report as one HTML page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from drills.reports.picture import timeline
from model.drill_reports import Filed

VERDICTS = {"kept": "Promises kept", "missed": "Missed", "stopped": "Stopped"}
PROMISED = {"REC-1": "4 h", "REC-2": "4 h", "REC-3": "8 h", "REC-4": "1 h of data"}


def page(filed: Filed) -> str:
    """Return a report's page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    report = filed.report
    return environment.get_template("page.html").render(
        report=report,
        verdict=VERDICTS[report["verdict"]],
        number=filed.number,
        name=filed.name,
        signer=filed.signer,
        rows=_rows(report),
        picture=timeline(report["events"], report["measured"]),
    )


def _rows(report: Mapping[str, Any]) -> list[dict[str, str]]:
    measured, limits, promises = report["measured"], report["limits"], report["promises"]
    recovery, loss = measured.get("recovery"), measured.get("loss")
    waits = {
        "name": "longest wait of clients, from the fault to the end of the drill",
        "measured": f"{measured.get('stall')} s",
        "limit": f"{limits['recovery']:g} s",
        "promise": "",
    }
    return [
        {
            "name": "from the fault until clients are served again",
            "measured": "not measured" if recovery is None else f"{recovery} s",
            "limit": f"{limits['recovery']:g} s",
            "promise": _promised(promises, ("REC-1", "REC-2", "REC-3")),
        },
        *([waits] if "stall" in measured else []),  # earlier reports do not have it
        {
            "name": "age of the oldest acknowledged commit that was lost, at the fault",
            "measured": "not measured" if loss is None else (f"{loss} s" if measured.get("lost") else "nothing lost"),
            "limit": f"{limits['loss']:g} s" if limits["loss"] else "nothing may be lost",
            "promise": _promised(promises, ("REC-4",)),
        },
        {
            "name": "acknowledged commits of the clients",
            "measured": f"{measured.get('commits', 0):,.0f}",
            "limit": "",
            "promise": "",
        },
    ]


def _promised(promises: Sequence[str], known: Sequence[str]) -> str:
    return ", ".join(f"{name}: {PROMISED[name]}" for name in known if name in promises)
