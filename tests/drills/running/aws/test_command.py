"""`python -m drills run … --on aws`: what is refused before anything is broken."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from drills import guard
from drills.__main__ import main
from drills.reports import keys
from drills.running import command, runner
from drills.running.report import UNTRIED, Check, Report
from drills.sites import claims
from tests.drills.running.aws.world import REGION, simulated

ROOT = Path(__file__).parents[4]
SUNDAY = datetime(2026, 11, 29, 4, tzinfo=UTC)  # in prod's window


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose production allows drills."""
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    (tmp_path / "Pulumi.prod.yaml").write_text(f"{text}  backbuild:drills: {{allowed: true}}\n")
    return tmp_path


class Terminal:
    """A terminal at which an operator types lines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
        self.lines = list(lines)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda: self.lines.pop(0))


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scenarios that began; nothing is broken."""
    names: list[str] = []

    def run_on(_kind: Any, topology: Any, _root: Any, scenario: Any, _show: Any) -> Report:
        names.append(scenario.name)
        limits = {"recovery": 1.0, "loss": 0.0}
        given: dict[str, Any] = {"begun": "2026-11-29", "ended": "2026-11-29", "commit": "c", "topology": "t"}
        checks = [Check("it holds", holds=True, found="yes")]
        return Report(
            scenario.name, scenario.title, topology.stack, "aws", **given, promises=scenario.promises, limits=limits,
            measured={"commits": 1.0}, checks=checks, events=[], verdict="kept", limitations=("on a stack at AWS",),
        )  # fmt: skip

    monkeypatch.setattr(runner, "run_on", run_on)
    return names


def run(*arguments: str) -> int:
    return main(["run", *arguments, "--on", "aws"])


def test_a_stack_that_allows_no_drills_is_refused(capsys: pytest.CaptureFixture[str], began: list[str]):
    assert run("zone-lost", "--stack", "prod", "--cwd", str(ROOT)) == 2
    assert "prod does not allow drills: set `drills: {allowed: true}` in Pulumi.prod.yaml" in capsys.readouterr().err
    assert began == []


def test_production_is_refused_outside_its_window(
    capsys: pytest.CaptureFixture[str], project: Path, began: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(guard, "utc_now", lambda: SUNDAY.replace(hour=8))
    assert run("zone-lost", "--stack", "prod", "--cwd", str(project)) == 2
    assert "only in its maintenance window, SUN 03:00 UTC for 4 h" in capsys.readouterr().err
    assert began == []


@pytest.mark.parametrize("lines", [("pord",), ("prod", "pord"), ("prod", ""), ("staging",)])
def test_a_name_that_is_typed_wrong_once_is_refused(
    capsys: pytest.CaptureFixture[str],
    project: Path,
    began: list[str],
    monkeypatch: pytest.MonkeyPatch,
    lines: tuple[str, ...],
):
    monkeypatch.setattr(guard, "utc_now", lambda: SUNDAY)
    Terminal(monkeypatch, *lines)
    assert run("zone-lost", "--stack", "prod", "--cwd", str(project)) == 2
    assert f"{lines[-1]!r} is not prod; nothing was changed" in capsys.readouterr().err
    assert began == []


def test_an_end_of_input_is_no_name(
    capsys: pytest.CaptureFixture[str], project: Path, began: list[str], monkeypatch: pytest.MonkeyPatch
):
    def end() -> str:
        raise EOFError

    monkeypatch.setattr(guard, "utc_now", lambda: SUNDAY)
    Terminal(monkeypatch)
    monkeypatch.setattr("builtins.input", end)
    assert run("zone-lost", "--stack", "prod", "--cwd", str(project)) == 2
    assert "'' is not prod; nothing was changed" in capsys.readouterr().err
    assert began == []


def test_nothing_is_broken_if_its_report_could_not_be_filed(
    capsys: pytest.CaptureFixture[str], project: Path, began: list[str]
):
    folder = project / command.FOLDER
    folder.mkdir(parents=True)
    (folder / "signers.toml").write_text(keys.create(project, "ann"))
    (folder / "0001-2026-11-29-zone-lost.json").write_text("{}")
    assert run("zone-lost", "--stack", "staging", "--cwd", str(project), "--file") == 2
    assert "0001-2026-11-29-zone-lost.json is not a report" in capsys.readouterr().err
    assert began == []


def test_a_production_drill_without_a_terminal_is_refused(
    capsys: pytest.CaptureFixture[str], project: Path, began: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(guard, "utc_now", lambda: SUNDAY)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert run("zone-lost", "--stack", "prod", "--cwd", str(project)) == 2
    assert "stdin is not a terminal; run the command in a terminal" in capsys.readouterr().err
    assert began == []


def test_production_in_its_window_with_the_name_twice_is_drilled_under_one_claim(
    project: Path, began: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(guard, "utc_now", lambda: SUNDAY)
    terminal = Terminal(monkeypatch, "prod", "prod")
    with simulated(monkeypatch):
        assert run("zone-lost", "tunnel-lost", "--stack", "prod", "--cwd", str(project)) == 0
        assert boto3.client("ssm", REGION).describe_parameters()["Parameters"] == []
    assert began == ["zone-lost", "tunnel-lost"]
    assert terminal.lines == []


def test_a_scenario_after_the_end_of_the_window_does_not_begin(
    capsys: pytest.CaptureFixture[str], project: Path, began: list[str], monkeypatch: pytest.MonkeyPatch
):
    moments = [SUNDAY, SUNDAY, SUNDAY.replace(hour=7)]
    monkeypatch.setattr(guard, "utc_now", lambda: moments.pop(0))
    Terminal(monkeypatch, "prod", "prod")
    with simulated(monkeypatch):
        assert run("zone-lost", "tunnel-lost", "--stack", "prod", "--cwd", str(project)) == 2
    assert began == ["zone-lost"]
    assert "Sun 07:00 UTC" in capsys.readouterr().err


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_scenario_that_cannot_run_there_is_refused_by_name_with_the_reason(
    capsys: pytest.CaptureFixture[str], began: list[str], dry: list[str]
):
    assert run("zone-lost", "edge-lost", "rolling-change", "--stack", "staging", "--cwd", str(ROOT), *dry) == 2
    error = capsys.readouterr().err
    assert "edge-lost cannot run at AWS: nobody can stop Cloudflare's edge" in error
    assert "rolling-change cannot run at AWS: it needs a second image" in error
    assert "scenarios that can: api-tier-lost" in error
    assert began == []


def test_missing_credentials_are_an_error_with_a_remedy(
    capsys: pytest.CaptureFixture[str], began: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert run("zone-lost", "--stack", "staging", "--cwd", str(ROOT)) == 2
    error = capsys.readouterr().err
    assert "Unable to locate credentials; log in, for example with `aws sso login`, or set AWS_PROFILE" in error
    assert began == []


def test_a_drill_from_another_computer_is_named_with_the_remedy(
    capsys: pytest.CaptureFixture[str], began: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(claims.getpass, "getuser", lambda: "ada")
    monkeypatch.setattr(claims.socket, "gethostname", lambda: "laptop")
    topology = command.topology_of("staging", ROOT)
    with simulated(monkeypatch), claims.claim(topology, "drills run tunnel-lost"):
        assert run("zone-lost", "--stack", "staging", "--cwd", str(ROOT)) == 2
    error = capsys.readouterr().err
    assert re.search(r"staging is held by `drills run tunnel-lost` of ada on laptop since 20\d\d-", error)
    assert "aws ssm delete-parameter --region eu-central-1 --name /backbuild-staging/drill" in error
    assert began == []


@pytest.mark.parametrize("filed", [False, True])
def test_the_first_report_says_that_the_code_was_tried_against_stand_ins_only(
    capsys: pytest.CaptureFixture[str], began: list[str], monkeypatch: pytest.MonkeyPatch, filed: bool
):
    class Filed:
        report = {"on": "aws", "verdict": "kept", "scenario": "zone-lost"}  # noqa: RUF012

    monkeypatch.setattr(command, "read", lambda _folder: ([Filed()] if filed else [], []))
    with simulated(monkeypatch):
        assert run("zone-lost", "--stack", "staging", "--cwd", str(ROOT), "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)
    first = [] if filed else [f"Before this drill, none at AWS was filed. {UNTRIED}"]
    assert report["limitations"] == [*first, "on a stack at AWS"]
    assert began == ["zone-lost"]
