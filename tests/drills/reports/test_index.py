"""The page of all scenarios says where each can run, and where its newest report was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drills.reports import index
from drills.scenarios import all_scenarios
from model.drill_reports import Filed


def filed(on: str) -> Filed:
    report: dict[str, Any] = {"begun": "2026-12-01T03:00:00+00:00", "on": on, "verdict": "kept", "measured": {}}
    return Filed(17, Path("0017-2026-12-01-zone-lost.json"), report, "ada", "0" * 64)


def row(name: str, newest: dict[str, Filed]) -> str:
    return next(line for line in index.table(all_scenarios().values(), newest).splitlines() if f"`{name}`" in line)


def test_a_scenario_shows_where_it_can_run():
    assert "| live, aws |" in row("zone-lost", {})
    assert "| live |" in row("rolling-change", {})


def test_a_report_from_aws_is_told_from_one_of_the_sandbox():
    assert "[2026-12-01, at AWS](drills/0017-2026-12-01-zone-lost.html)" in row(
        "zone-lost", {"zone-lost": filed("aws")}
    )
    assert "[2026-12-01](drills/0017-2026-12-01-zone-lost.html)" in row("zone-lost", {"zone-lost": filed("live")})
