"""Pulumi on a real stack: its Automation API with a program in place of the CLI."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from drills.running.aws.updates import LOG, Updates
from drills.sites.site import SiteError

CLI = """#!{python}
import json, pathlib, sys
words = [word for word in sys.argv[1:] if word != "--non-interactive"]
with pathlib.Path(__file__).with_name("called").open("a") as file:
    file.write(" ".join(words) + "\\n")
failing = pathlib.Path(__file__).with_name("failing")
if failing.exists() and words[0] == failing.read_text():
    print("error: failed; password=not-for-reports", file=sys.stderr)
    sys.exit(255)
if words[0] == "version":
    print("v3.272.0")
elif words[:2] == ["stack", "select"] and words[-1] != "staging":
    print("error: no stack named '" + words[-1] + "' found", file=sys.stderr)
    sys.exit(255)
elif words[:2] == ["stack", "history"]:
    summary = {{"kind": "update", "message": "", "environment": {{}}, "config": {{}}, "result": "succeeded"}}
    print(json.dumps([{{**summary, "startTime": "2026-11-30T03:00:00.000Z"}}]))
elif words[:2] == ["stack", "output"]:
    print('{{"token": "a-secret-output"}}')
elif words[0] in ("refresh", "up"):
    print(words[0] + " is done")
"""


class Cli:
    """The program, and what it was called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "pulumi").write_text(CLI.format(python=sys.executable))
        (folder / "pulumi").chmod(0o755)

    @property
    def called(self) -> list[str]:
        return (self.folder / "called").read_text().splitlines()

    def fail(self, command: str) -> None:
        (self.folder / "failing").write_text(command)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    made = Cli(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "home"))
    (tmp_path / "Pulumi.yaml").write_text("name: backbuild\nruntime: python\n")
    return made


def test_what_is_lost_is_found_and_then_created_again(cli: Cli, tmp_path: Path):
    Updates(tmp_path, "staging").bring_back()
    carried_out = [line for line in cli.called if line.split()[0] in {"refresh", "up"}]
    assert [line.split()[0] for line in carried_out] == ["refresh", "up"]
    assert all("--yes" in line and "--stack staging" in line for line in carried_out)
    log = (tmp_path / "home/staging" / LOG).read_text()
    assert "refresh is done" in log
    assert "up is done" in log
    assert "a-secret-output" not in log


@pytest.mark.parametrize("command", ["refresh", "up"])
def test_a_failed_command_is_named_with_its_log_and_its_output_is_only_there(cli: Cli, tmp_path: Path, command: str):
    cli.fail(command)
    with pytest.raises(SiteError) as failed:
        Updates(tmp_path, "staging").bring_back()
    assert str(failed.value) == f"`pulumi {command}` failed; read staging/{LOG} in the sandbox's folder"
    assert "not-for-reports" in (tmp_path / "home/staging" / LOG).read_text()


def test_an_unknown_stack_is_an_error_with_the_clis_reason(cli: Cli, tmp_path: Path):
    assert cli
    with pytest.raises(SiteError, match=r"cannot select the stack prod: .*error: no stack named 'prod' found"):
        Updates(tmp_path, "prod")


def test_a_missing_cli_is_an_error_with_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SiteError, match="the Pulumi CLI is not installed"):
        Updates(tmp_path, "staging")
