"""The scenarios and their page, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from console.errors import InputError
from drills import guard
from drills.__main__ import main
from drills.failover.__main__ import main as failover
from drills.reports import index
from drills.running.aws.pairs import is_pause
from drills.running.command import chosen
from drills.running.timeline import Timeline
from drills.scenarios import all_scenarios
from model.drill_reports import newest, read
from model.topology import POSTGRES_MAJOR
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


def test_a_dry_run_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    for on in ("live", "aws"):
        assert main(["run", "zone-lost", "--stack", "prod", "--dry-run", "--json", "--on", on, "--cwd", str(ROOT)]) == 0
        (shown,) = json.loads(capsys.readouterr().out)
        assert shown["name"] == "zone-lost"
        assert len(shown["lines"]) > len(all_scenarios()["zone-lost"].steps)


def test_all_begins_with_the_scenarios_of_a_new_stack() -> None:
    needs = [one.needs_new_stack for one in chosen(["all"], "live")]
    assert needs == sorted(needs, reverse=True)
    assert needs[0]
    assert len(needs) == len(SCENARIOS)


def test_the_reports_of_drills_that_ended_are_printed_if_a_later_one_cannot_begin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = cast(Any, SimpleNamespace(verdict="kept", as_json=lambda: {"verdict": "kept"}))
    names: list[str] = []

    def run(_topology: Any, _root: Any, scenario: Any, _show: Any) -> Any:
        names.append(scenario.name)
        if len(names) == 2:
            raise InputError("another drill runs")
        return ended

    monkeypatch.setattr("drills.running.runner.run", run)
    arguments = ["run", "zone-lost", "tunnel-lost", "--stack", "staging", "--json", "--cwd", str(ROOT)]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [{"verdict": "kept"}]
    assert "error: another drill runs" in printed.err


@pytest.mark.parametrize(
    ("deleted", "holds"),
    [
        ({"hourly/a/backup/one"}, [True, True]),
        (set[str](), [False, True]),
        ({"hourly/a/archive/17-1/wal"}, [True, False]),
    ],
    ids=["backups only", "nothing", "WAL"],
)
def test_stolen_keys_must_delete_something_but_nothing_that_is_locked(deleted: set[str], holds: list[bool]) -> None:
    keys = ["hourly/a/backup/one", f"hourly/a/archive/{POSTGRES_MAJOR}-1/wal", "manifests/a.json"]
    checks: list[bool] = []
    copies = SimpleNamespace(
        await_backups=lambda _copy: None,
        bucket=lambda _copy: SimpleNamespace(objects=lambda: keys),
        delete_as_machine=lambda _group: deleted,
    )
    stage = SimpleNamespace(
        copies=copies, memory={}, fault=lambda _text: None, check=lambda _text, one, _found: checks.append(one)
    )
    all_scenarios()["credentials-stolen"].steps[0].do(cast(Any, stage))
    assert checks[:2] == holds


def test_faults_of_failover_wait_for_no_other_drill(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.machines.prerequisites.require", lambda: None)
    monkeypatch.setattr("drills.failover.__main__._on_stack", lambda _options: pytest.fail("it begins"))
    with guard.only_one(ROOT, "staging", "another drill"):
        assert failover(["--stack", "staging", "--cwd", str(ROOT)]) == 2
    assert "another drill" in capsys.readouterr().err


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


def test_the_whole_database_is_lost_only_after_a_restore_point_in_the_newest_backup() -> None:
    done: list[str] = []
    copies = SimpleNamespace(
        await_backups=lambda copy: done.append(f"backups in {copy}"), lose=lambda copy: done.append(f"{copy} lost")
    )
    stage = SimpleNamespace(
        copies=copies,
        groups=["coordinator"],
        members=lambda *_groups: ["coordinator-0"],
        next_point=lambda: done.append("point"),
        lose_for_good=lambda *members: done.append(f"{', '.join(members)} lost"),
        detected=lambda _group: None,
        traffic=SimpleNamespace(end=lambda: None),
    )
    all_scenarios()["database-lost-offsite"].steps[0].do(cast(Any, stage))
    assert done == ["backups in offsite", "point", "primary lost", "coordinator-0 lost"]
