"""The scenarios and their page, and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drills.__main__ import main
from drills.reports import index
from drills.running.aws.pairs import is_pause
from drills.running.timeline import Timeline
from drills.scenarios import all_scenarios
from model.drill_reports import newest, read
from policies.promises import load

ROOT = Path(__file__).parents[3]
SCENARIOS = list(all_scenarios().values())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_scenario_reads_as_a_runbook(scenario) -> None:
    assert any(step.operator for step in scenario.steps)
    planned = {"MNT-2", "MNT-3"} & {*scenario.promises}
    assert planned or not scenario.steps[0].operator, "a drill begins with what it breaks; maintenance is announced"
    assert scenario.recovery_seconds > 0
    assert set(scenario.promises) <= set(load())
    if scenario.runbook:
        assert (ROOT / "docs/runbooks" / scenario.runbook).exists()


def test_the_page_of_drills_is_current() -> None:
    text = (ROOT / "docs/drills.md").read_text(encoding="utf-8")
    filed, problems = read(ROOT / "docs/drills")
    assert problems == []
    assert index.updated(text, SCENARIOS, newest(filed)) == text, "update it with `python -m drills report`"


def test_a_dry_run_needs_no_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "all", "--stack", "prod", "--dry-run", "--cwd", str(ROOT)]) == 0
    shown = capsys.readouterr().out
    assert all(step.text in shown for scenario in SCENARIOS for step in scenario.steps)


def test_a_stack_must_allow_drills(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "zone-lost", "--stack", "prod", "--cwd", str(ROOT)]) == 2
    assert "prod does not allow drills" in capsys.readouterr().err


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "nothing", "--stack", "staging", "--cwd", str(ROOT)]) == 2
    assert "zone-lost" in capsys.readouterr().err


def test_the_list_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    assert {one["name"] for one in json.loads(capsys.readouterr().out)} == set(all_scenarios())


def test_events_are_in_the_order_of_their_time() -> None:
    timeline = Timeline()
    begun = timeline.add("begin", "first")
    timeline.add("end", "last", begun + 10)
    timeline.add("fault", "between", begun + 5)
    assert [one.text for one in timeline.events] == ["first", "between", "last"]


def test_clients_of_pairs_pause_while_points_are_made() -> None:
    assert is_pause(29.5)
    assert is_pause(30.0)
    assert is_pause(67.0)
    assert not is_pause(15.0)
