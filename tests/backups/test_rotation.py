"""`python -m backups rotation`: the printed table, docs/retention.md, and invalid settings."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from backups.rotation_table import markdown
from backups.stack import topology_of as shipped
from console.errors import InputError
from harness.stacks import topology_of
from model.worker_modules import PROJECT

from .conftest import Run

DOCUMENT = PROJECT / "docs" / "retention.md"


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_the_document_contains_the_printed_table(run: Run, stack: str) -> None:
    ran = run("rotation", "--stack", stack)
    assert (ran.code, ran.err) == (0, "")
    (written,) = re.findall(rf"<!-- rotation {stack} -->\n(.*?)<!-- /rotation -->", DOCUMENT.read_text(), re.DOTALL)
    assert written == ran.out, f"update it with the output of `python -m backups rotation --stack {stack}`"


def test_json_contains_the_figures_of_the_table(run: Run) -> None:
    found = json.loads(run("rotation", "--stack", "prod", "--json").out)
    topology = shipped("prod")
    assert (found["stack"], found["minimumFulls"]) == ("prod", topology.settings.backups.rotation.minimum_fulls)
    table = run("rotation", "--stack", "prod").out
    for one in found["classes"]:
        (row,) = (line for line in table.splitlines() if line.startswith(f"| {one['class']} |"))
        for figure in ("keepDays", "lockDays", "expireDays"):
            assert f"{one[figure]} days" in row or figure == "keepDays"
    assert [one["keepDays"] for one in found["classes"]] == [one.keep_days for one in topology.retention]


def test_each_figure_is_in_the_table() -> None:
    """Figures by hand: hourly 9 + 1 days; locks as long as the class; rules 30 days after, hourly 30 after 20 fulls."""
    table = markdown(
        topology_of(
            "prod",
            {
                "backups.rotation.hourlyDays": 9,
                "backups.rotation.dailyDays": 11,
                "backups.rotation.monthlyMonths": 2,
                "backups.rotation.yearlyYears": 1,
                "backups.rotation.minimumFulls": 20,
                "backups.pointInTimeDays": 1,
            },
        )
    )
    rows = [line.split(" | ")[2:] for line in table.splitlines()[2:7]]
    assert rows == [
        ["10 days: `hourlyDays: 9` plus one", "10 days, WAL only", "after 50 days |"],
        ["11 days: `dailyDays: 11`", "11 days", "after 41 days |"],
        ["62 days: `monthlyMonths: 2`", "62 days", "after 92 days |"],
        ["366 days: `yearlyYears: 1`", "366 days", "after 396 days |"],
        ["one day longer than the last object that they list", "10 days", "after 396 days |"],
    ]
    assert "Any point in the last 1 day can" in table
    assert "The newest 20 full backups of each group never expire" in table


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_the_command_and_the_program_parse_a_stack_alike(stack: str) -> None:
    parsed, expected = shipped(stack), topology_of(stack)
    assert parsed.settings == expected.settings
    assert parsed.hostnames == expected.hostnames


def test_the_documents_commands_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKUPS_TOKEN", raising=False)
    commands = re.findall(r"python -m backups ([^`\n]+)", DOCUMENT.read_text())
    assert {command.split()[0] for command in commands} == {"status", "rotation"}
    for command in commands:
        ran = run(*command.split())
        assert "BACKUPS_TOKEN is not set" in ran.err if command.startswith("status") else ran.code == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project's settings."""
    for file in ("Pulumi.yaml", "Pulumi.prod.yaml"):
        shutil.copy2(PROJECT / file, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config: [", "Pulumi.prod.yaml cannot be read"),
        ("config:\n  - a", "Pulumi.prod.yaml has no section `config`"),
        ("[]", "Pulumi.prod.yaml has no section `config`"),
        ("", "Pulumi.prod.yaml has no section `config`"),
        ("config: {backbuild:tier: production}", "the configuration of stack prod (Pulumi.prod.yaml) has"),
        ("\x00", "Pulumi.prod.yaml cannot be read"),
    ],
)
def test_an_invalid_stack_file_is_named_in_the_error(project: Path, text: str, message: str) -> None:
    (project / "Pulumi.prod.yaml").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        shipped("prod", project)


def test_a_project_without_stacks_reports_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'prod' is not a stack.*stacks: none"):
        shipped("prod", tmp_path)


def test_an_inconsistent_rotation_exits_with_two(project: Path, run: Run) -> None:
    file = project / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("dailyDays: 35", "dailyDays: 7"))
    with pytest.raises(InputError, match=r"backups\.rotation\.dailyDays: keeps 7 days, but must keep more than"):
        shipped("prod", project)
    assert run("rotation", "--stack", "nowhere").code == 2
    assert run("rotation").code == 2
