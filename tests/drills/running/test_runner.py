"""A drill that stops for whatever reason is reported, and what it leaves broken is named."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from console.errors import CommandError
from drills.failover.fleet import Fleet
from drills.reports.keys import Signer
from drills.running import cloud, command, runner
from drills.running.report import Report
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from drills.scenarios import all_scenarios
from drills.sites.site import SiteError
from sandbox.machines.machine import MachineError
from tests.drills.restore.fakes import TOPOLOGY

ROOT = Path(__file__).parents[3]


class QuietStage(Stage):
    """A stage without machines, whose clients commit nothing."""

    broken: str = ""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        clients = {"begin": lambda: None, "end": lambda: None, "commits": list, "lost": list, "deposed": list}
        self.traffic = cast(Any, SimpleNamespace(**clients))
        self.edge = cast(Any, SimpleNamespace(mend=self.mend_edge, outage=lambda: 0.0))
        self.mended: list[str] = []

    def mend_edge(self) -> None:
        self.mended.append("edge")

    def fleet(self) -> Any:
        if self.broken:
            raise OSError(self.broken)
        return SimpleNamespace(mend=lambda: None, unhealthy=dict[str, str])

    def steady(self) -> None:
        """Wait for nothing."""


def drilled(kind: type[Stage], do: Any) -> Report:
    steps = [Step("Break it.", do, operator=False), Step("Go on.", lambda _stage: pytest.fail("it goes on"))]
    scenario = Scenario("one", "One", "It fails.", ("REC-1",), steps, 1)
    return runner.run_on(kind, TOPOLOGY, ROOT, scenario, lambda _text: None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("group"), "KeyError: 'group'"),
        (httpx.ConnectError("refused"), "ConnectError: refused"),
        (KeyboardInterrupt(), "interrupted by the operator"),
        (OSError("no space"), "no space"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_whatever_ends_a_step_stops_the_drill_and_is_reported(error: BaseException, reason: str):
    def fail(stage: Stage) -> None:
        stage.fault("it is broken")
        raise error

    report = drilled(QuietStage, fail)
    assert report.verdict == "stopped"
    assert report.stopped == f"step 1, “Break it.”: {reason}"
    assert [event.kind for event in report.events] == ["begin", "fault", "stopped", "end"]


def test_what_the_sandbox_cannot_undo_is_named_and_the_rest_is_undone():
    class BrokenStage(QuietStage):
        broken = "the fleet is gone"

    stages: list[BrokenStage] = []
    report = drilled(BrokenStage, lambda stage: stages.append(stage) or 1 / 0)
    assert report.stopped is not None
    assert "ZeroDivisionError" in report.stopped
    assert "not undone: the machines and networks: the fleet is gone" in report.stopped
    assert stages[0].mended == ["edge"]


def test_a_restore_beside_that_a_stopped_drill_has_begun_is_removed():
    removed: list[str] = []

    class BesideStage(QuietStage):
        def machines(self) -> Any:
            raise SiteError("no machine answers")

        def remove_restore(self, name: str) -> None:
            removed.append(name)

    def fail(stage: Stage) -> None:
        stage.restore("replica", "latest", into="drill")

    assert drilled(BesideStage, fail).stopped
    assert removed == ["drill"]
    drilled(BesideStage, lambda _stage: 1 / 0)
    assert removed == ["drill"]


def test_a_second_interruption_is_reported_and_the_rest_is_undone():
    stages: list[QuietStage] = []

    class InterruptedStage(QuietStage):
        def fleet(self) -> Any:
            raise KeyboardInterrupt

    report = drilled(InterruptedStage, lambda stage: stages.append(stage) or 1 / 0)
    assert report.stopped is not None
    assert "not undone: the machines and networks: interrupted by the operator" in report.stopped
    assert stages[0].mended == ["edge"]


def test_the_report_names_the_commit_at_the_beginning(monkeypatch: pytest.MonkeyPatch):
    commits = iter(["a" * 40, "b" * 40])
    monkeypatch.setattr(runner, "_commit", lambda _root: next(commits))

    def commit(_stage: Stage) -> None:
        raise SiteError(f"the project is at {next(commits)} now")

    assert drilled(QuietStage, commit).commit == "a" * 40


def test_without_machines_no_drill_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "sandbox"))
    monkeypatch.setattr("sandbox.machines.prerequisites.require", lambda: None)
    monkeypatch.setattr(runner, "run_on", lambda *_given: pytest.fail("it begins"))
    scenario = Scenario("one", "One", "It fails.", ("REC-1",), (), 1)
    with pytest.raises(CommandError, match="staging has no machines on this computer"):
        runner.run(TOPOLOGY, ROOT, scenario, lambda _text: None)


# -- `up` within a drill


def test_ctrl_c_does_not_reach_an_up(tmp_path: Path):
    process = cloud.begin(tmp_path, ["sleep", "60"], tmp_path / "log")
    try:
        assert os.getpgid(process.pid) != os.getpgid(0)
        assert os.getsid(process.pid) != os.getsid(0)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """The projects that `up` was run with, each with its exit code: the first rollback fails."""
    runs: list[tuple[Path, int]] = []

    def begin(root: Path, project: Path, _stack: str, log: Path) -> Any:
        code = 1 if (root, len(runs)) == (project, 1) else 0
        runs.append((project, code))
        log.write_text("up")
        return subprocess.Popen(["sh", "-c", f"exit {code}"])

    monkeypatch.setattr("drills.running.rolling.begin", begin)
    return runs


def test_a_rollback_that_failed_is_tried_again(deployed: list[tuple[Path, int]], tmp_path: Path):
    def deploy(stage: Stage) -> None:
        stage.deploy(tmp_path)
        stage.deploy(stage.root)

    report = drilled(QuietStage, deploy)
    assert deployed == [(tmp_path, 0), (ROOT, 1), (ROOT, 0)]
    assert report.stopped is not None
    assert "`sandbox up` ended with 1" in report.stopped
    assert "not undone" not in report.stopped


def test_an_up_that_still_runs_ends_before_the_deployment_is_replaced(
    deployed: list[tuple[Path, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    slow = tmp_path / "ended"

    def begin(root: Path, project: Path, _stack: str, log: Path) -> Any:
        deployed.append((project, 0))
        log.write_text("up")
        if project != root:
            return subprocess.Popen(["sh", "-c", f"sleep 1; touch {slow}"])
        assert slow.exists(), "two of them run"
        return subprocess.Popen(["true"])

    def interrupted(*_given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("drills.running.rolling.begin", begin)

    def deploy(stage: Stage) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("drills.running.cloud.finish_rebuilding", interrupted)
            stage.deploy(tmp_path)

    report = drilled(QuietStage, deploy)
    assert [project for project, _ in deployed] == [tmp_path, ROOT]
    assert report.stopped == "step 1, “Break it.”: interrupted by the operator"


def test_a_terminal_that_is_gone_stops_the_drill_with_a_report_and_its_faults_are_undone():
    stages: list[QuietStage] = []

    class SeenStage(QuietStage):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            stages.append(self)

    def gone(_text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    scenario = Scenario("one", "One", "It fails.", ("REC-1",), [Step("Break it.", lambda _stage: None)], 1)
    report = runner.run_on(SeenStage, TOPOLOGY, ROOT, scenario, gone)
    assert report.stopped is not None
    assert "Broken pipe" in report.stopped
    assert stages[0].mended == ["edge"]


def test_clients_that_cannot_be_stopped_are_named_and_the_faults_are_undone():
    class EndlessStage(QuietStage):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.traffic.end = self.endless

        def endless(self) -> None:
            raise KeyboardInterrupt

    report = drilled(EndlessStage, lambda _stage: 1 / 0)
    assert report.stopped is not None
    assert "ZeroDivisionError" in report.stopped
    assert "not undone: the clients: interrupted by the operator" in report.stopped


def test_machines_that_stay_unhealthy_are_named(monkeypatch: pytest.MonkeyPatch):
    class SickStage(QuietStage):
        def fleet(self) -> Any:
            return SimpleNamespace(mend=lambda: None, unhealthy=lambda: {"worker-1-0": "no volume"})

    monkeypatch.setattr("drills.running.stage.HEALTHY_SECONDS", 0.1)
    report = drilled(SickStage, lambda _stage: 1 / 0)
    assert report.stopped is not None
    assert "not undone: the health of the machines: 0.1 s have passed without this: every machine is" in report.stopped


def test_a_report_that_cannot_be_filed_is_kept_in_another_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def refuse(*_given: Any) -> None:
        raise OSError("no space left")

    report = drilled(QuietStage, lambda _stage: 1 / 0)
    monkeypatch.setattr(command, "file_report", refuse)
    monkeypatch.setattr(command, "_run_one", lambda *_given: report)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    options = argparse.Namespace(cwd=tmp_path, json=False)
    with pytest.raises(CommandError, match="the report was not filed: no space left; it is in "):
        command._run_each(
            TOPOLOGY, [all_scenarios()["zone-lost"]], options, Signer("a", Ed25519PrivateKey.generate()), []
        )
    (kept,) = tmp_path.glob("drill-*.json")
    assert json.loads(kept.read_text()) == json.loads(json.dumps(report.as_json()))
    assert "one" not in capsys.readouterr().out


@pytest.mark.parametrize("code", [0, 1])
def test_a_machine_on_which_a_fault_cannot_be_undone_is_an_error(monkeypatch: pytest.MonkeyPatch, code: int):
    class SmallFleet(Fleet):
        def __init__(self) -> None:
            self.place = cast(Any, None)
            self.instances = {"worker-1-0": cast(Any, None)}

        def boot(self, names: Any) -> None: ...

        def shell(self, name: str, words: str) -> subprocess.CompletedProcess[str]:
            assert words.endswith("systemctl start patroni")  # its status is that of the command
            return subprocess.CompletedProcess(words, code, "", f"{name} does not answer")

    monkeypatch.setattr("sandbox.machines.partitions.heal", lambda _place: None)
    if code == 0:
        SmallFleet().mend()
        return
    with pytest.raises(MachineError, match="worker-1-0: worker-1-0 does not answer"):
        SmallFleet().mend()
