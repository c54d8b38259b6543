"""The policy packs in the sandbox's engine: they run by default, and a failing mandatory rule stops an update."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .project import Project, next_month

PATRONI = "machines/templates/database/etc/backbuild/patroni.yml"
EXEMPTION = """
[[exemption]]
rule = "{rule}"
resource = "urn:pulumi:staging::backbuild::pulumi:pulumi:Stack::backbuild-staging"
owner = "somebody@example.com"
reason = "a test excuses it"
expires = {expires}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.copy(tmp_path)


REVIEWED = "content-is-reviewed"


def rules(printed: dict[str, object], *, mandatory: bool) -> set[str]:
    found = printed.get("policies", [])
    assert isinstance(found, list)
    return {one["rule"] for one in found if one["mandatory"] is mandatory}


def test_a_weakened_program_fails_by_rule_before_the_first_step(project: Project) -> None:
    project.edit(PATRONI, "synchronous_mode: quorum", "synchronous_mode: false")
    printed = project.json("up", "--stack", "staging", code=1)
    assert rules(printed, mandatory=True) == {"commits-are-synchronous", REVIEWED}
    messages = [one["message"] for one in printed["errors"]]
    own = [one for one in messages if one.startswith("redundancy: commits-are-synchronous: machine ")]
    assert len(own) == 4
    message = own[0]
    assert any(f"{REVIEWED}: /etc/backbuild/patroni.yml of machine" in one for one in messages)
    assert "synchronous_mode is False; quorum is expected" in message
    assert "Remedy: set bootstrap.dcs.synchronous_mode to quorum" in message
    assert project.made == 0
    assert printed["summary"]["create"] > 300


@pytest.mark.long
def test_policies_can_be_skipped(project: Project) -> None:
    weakened = project.without_resources()
    assert rules(weakened.json("preview", "--stack", "staging", code=1), mandatory=True) >= {"three-copies"}
    assert "policies" not in weakened.json("preview", "--stack", "staging", "--skip-policies")


def test_a_preview_shows_advisory_verdicts(project: Project) -> None:
    done = project.sandbox("preview", "--stack", "staging")
    assert done.returncode == 0, done.stderr
    assert "redundancy: no mandatory rule fails" in done.stdout
    assert "note: writers-cannot-unlock: Stack backbuild-staging: undetermined: " in done.stdout


@pytest.mark.long
def test_undetermined_verdicts_are_judged_after_the_update(project: Project) -> None:
    project.edit("components/private_bucket.py", '"Effect": "Deny"', '"Effect": "Allow"')
    planned = project.json("preview", "--stack", "staging")
    assert "offsite-speaks-tls-only" in rules(planned, mandatory=False)
    done = project.json("up", "--stack", "staging", "--skip-preview", code=1)
    # A policy that allows everyone instead of denying breaks three rules.
    own = {"offsite-speaks-tls-only", "principals-have-what-they-need-only", "writers-cannot-unlock"}
    assert rules(done, mandatory=True) == {*own, REVIEWED}
    assert project.made > 250
    # Now that it is known, the next preview stops.
    again = project.json("preview", "--stack", "staging", code=1)
    assert rules(again, mandatory=True) == {*own, REVIEWED}


def excused(rule: str, expires: str) -> str:
    return EXEMPTION.format(rule=rule, expires=expires)


UNUSABLE = [
    ("exemptions.toml", excused("failsafe-mode", "2020-01-01"), "exemptions.toml:7: expires: 2020-01-01 has passed"),
    ("redundancy/staging.json", '{"no-such-rule": "mandatory"}', "redundancy/staging.json: no-such-rule: no such rule"),
    ("retention/staging.json", '{"all": ', "staging.json:1: "),
]
MORE_UNUSABLE = [
    ("exemptions.toml", excused("no-such-rule", "2026-12-31"), "exemptions.toml:3: rule: 'no-such-rule' is not a rule"),
    ("exemptions.toml", "[[exemption]]\nrule = ", "exemptions.toml:2: "),
    ("redundancy/staging.json", '{"failsafe-mode": "maybe"}', "staging.json: failsafe-mode.enforcementLevel: 'maybe'"),
    (
        "redundancy/staging.json",
        '{"failsafe-mode": {"level": "advisory"}}',
        "staging.json: failsafe-mode.level: no such key",
    ),
    (
        "retention/staging.json",
        '{"all": {"undetermined": "never"}}',
        "staging.json: all.undetermined: 'never'; one of fail, note",
    ),
]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [*UNUSABLE, *(pytest.param(*unusable, marks=pytest.mark.long) for unusable in MORE_UNUSABLE)],
)
def test_invalid_input_of_the_packs_is_one_error_with_exit_code_2(
    project: Project, file: str, text: str, message: str
) -> None:
    (project.folder / "policies" / file).write_text(text)
    refused(project.without_resources().sandbox("preview", "--stack", "staging"), message)


def test_invalid_input_of_the_packs_changes_nothing(project: Project) -> None:
    file, text, message = UNUSABLE[0]
    (project.folder / "policies" / file).write_text(text)
    refused(project.sandbox("up", "--stack", "staging", "--skip-preview"), message)
    assert project.made == 0


def refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]


@pytest.mark.long
def test_an_unused_exemption_stops_an_update(project: Project) -> None:
    text = EXEMPTION.format(rule="three-copies", expires=next_month())
    (project.folder / "policies" / "exemptions.toml").write_text(text)
    printed = project.json("preview", "--stack", "staging", code=1)
    assert rules(printed, mandatory=True) == {"exemptions"}
    assert "policies/exemptions.toml:2: three-copies: excuses nothing" in printed["errors"][0]["message"]


@pytest.mark.long
def test_each_stack_has_its_own_levels(project: Project) -> None:
    project.edit(PATRONI, "failsafe_mode: true", "failsafe_mode: false")
    project.edit(PATRONI, "synchronous_mode: quorum", "synchronous_mode: false")
    file = project.folder / "policies" / "redundancy" / "staging.json"
    own = {"failsafe-mode": "advisory", "commits-are-synchronous": "disabled", REVIEWED: "advisory"}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    printed = project.json("preview", "--stack", "staging")
    assert "failsafe-mode" in rules(printed, mandatory=False)
    assert "commits-are-synchronous" not in rules(printed, mandatory=False) | rules(printed, mandatory=True)


def test_a_pack_that_does_not_start_is_an_error_with_its_name(project: Project) -> None:
    (project.folder / "policies" / "retention" / "__main__.py").write_text("raise SystemExit('broken')\n")
    done = project.without_resources().sandbox("preview", "--stack", "staging")
    assert done.returncode == 1
    assert "policies/retention did not start: broken" in done.stderr
    assert "--skip-policies" in done.stderr


def test_a_project_without_packs_is_not_judged(project: Project) -> None:
    for manifest in (project.folder / "policies").glob("*/PulumiPolicy.yaml"):
        manifest.unlink()
    done = project.without_resources().sandbox("preview", "--stack", "staging")
    assert done.returncode == 0, done.stderr
    assert "Policies:" not in done.stdout
