"""Every workflow is valid, pinned and has least permissions. Pull requests are judged by two sets of rules."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies.sources import Judged
from tests.lanes import first
from tests.policies.project import Project, drilled_today
from tests.policies.workflows import FOLDER, ROOT, WORKFLOWS, shell, step, steps, workflow

ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
WITHOUT_SECRETS = ("pull-request.yml", "pull-request-comment.yml")
# The write permissions of jobs. All other jobs only read.
WRITES = {
    ("pull-request-comment.yml", "tell"): {"pull-requests", "security-events"},
    ("preview.yml", "preview"): {"pull-requests", "id-token"},
    ("deploy.yml", "staging"): {"id-token"},
    ("deploy.yml", "plan-prod"): {"id-token"},
    ("deploy.yml", "prod"): {"id-token"},
    ("drift.yml", "look"): {"id-token"},
    ("drift.yml", "tell"): {"issues"},
}


def all_steps() -> list[tuple[str, dict[str, Any]]]:
    found = [(name, one) for name in WORKFLOWS for one in steps(workflow(name))]
    return found + [(str(file), one) for file in ACTIONS for one in yaml.safe_load(file.read_text())["runs"]["steps"]]


@pytest.mark.parametrize(("schema", "files"), [
    ("github-workflows", [FOLDER / name for name in WORKFLOWS]),
    ("github-actions", ACTIONS),
])  # fmt: skip
def test_each_workflow_matches_the_published_schema(schema: str, files: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_third_party_actions_are_pinned_by_commit() -> None:
    pins: dict[str, set[str]] = {}
    for file in [*(FOLDER / name for name in WORKFLOWS), *ACTIONS]:
        for line in re.findall(r"uses: (.*)", file.read_text()):
            if line.startswith("./"):
                assert (ROOT / line / "action.yml").is_file()
                continue
            pinned = re.fullmatch(r"([\w/-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
            assert pinned, f"{file.name}: {line}"
            pins.setdefault(pinned[1], set()).add(pinned[2])
    assert all(len(versions) == 1 for versions in pins.values()), pins


def test_no_script_contains_untrusted_expressions() -> None:
    for name, one in all_steps():
        assert "${{" not in one.get("run", ""), name
        assert "${{" not in one.get("with", {}).get("script", ""), name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_job_has_the_least_permissions_and_a_timeout(name: str) -> None:
    document = workflow(name)
    assert document["permissions"] == {}
    for title, job in document["jobs"].items():
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        assert writes == WRITES.get((name, title), set()), title
        assert set(job["permissions"].values()) <= {"read", "write"}
        assert 1 <= job["timeout-minutes"] <= 240
        for one in job["steps"]:
            if "checkout" in one.get("uses", ""):
                assert one["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", WITHOUT_SECRETS)
def test_pull_requests_of_forks_need_no_secret(name: str) -> None:
    assert "secrets." not in (FOLDER / name).read_text()


def test_each_workflow_states_what_is_not_tested() -> None:
    for name in WORKFLOWS:
        head = (FOLDER / name).read_text().partition("\nname:")[0]
        assert "# Not tested: " in head, name


# The pull request


def test_jobs_that_run_the_requests_code_have_no_write_permissions() -> None:
    judging = workflow("pull-request.yml")
    assert list(judging["on"]) == ["pull_request"]
    assert {scope for job in judging["jobs"].values() for scope in job["permissions"].items()} == {("contents", "read")}


def test_jobs_with_write_permissions_run_no_code_of_the_request() -> None:
    telling = workflow("pull-request-comment.yml")
    assert telling["on"] == {"workflow_run": {"workflows": ["pull request"], "types": ["completed"]}}
    assert workflow("pull-request.yml")["name"] == "pull request"
    for one in steps(telling):
        assert "checkout" not in one.get("uses", "")
        assert not one.get("uses", "").startswith("./")
        assert "run" not in one


def test_both_workflows_use_the_same_artifact() -> None:
    (handed,) = [one for one in steps(workflow("pull-request.yml")) if "upload-artifact" in one.get("uses", "")]
    (taken,) = [one for one in steps(workflow("pull-request-comment.yml")) if "download-artifact" in one["uses"]]
    assert handed["with"]["name"] == taken["with"]["name"]
    assert handed["if"] == "always()"


def test_a_job_without_the_requests_code_judges_by_the_bases_rules() -> None:
    job = workflow("pull-request.yml")["jobs"]["judge-by-base"]
    (checkout,) = [one for one in job["steps"] if "checkout" in one.get("uses", "")]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    (taken,) = [one for one in job["steps"] if "download-artifact" in one.get("uses", "")]
    assert taken["with"]["path"].startswith("${{ runner.temp }}/")  # and not over what was checked out


def test_pull_requests_test_the_rules() -> None:
    test = workflow("pull-request.yml")["jobs"]["test"]
    assert any("tests/policies" in one.get("run", "") for one in test["steps"])


@pytest.fixture
def base(tmp_path: Path) -> Project:
    """A checkout of the base with its environment."""
    project = Project.copy(tmp_path / "base")
    (project.folder / ".venv").symlink_to(ROOT / ".venv")
    return project


def by_base(base: Project, folder: Path, state: bytes) -> subprocess.CompletedProcess[str]:
    """Run the step that judges a request's plan by the base's rules."""
    (folder / "evidence").mkdir(exist_ok=True)
    (folder / "evidence" / "state.json").write_bytes(drilled_today(state))
    judging = step("pull-request.yml", "judge-by-base", "Judge the plan by the base's rules")
    return shell(judging, base.folder, {"RUNNER_TEMP": str(folder)})


def weakened(prod: Judged) -> bytes:
    """Return production's state with KMS deletion windows of a week."""
    document = json.loads(prod.content)
    for entry in document["deployment"]["resources"]:
        if entry["type"] == "aws:kms/key:Key":
            entry["inputs"]["deletionWindowInDays"] = entry["outputs"]["deletionWindowInDays"] = 7
    return json.dumps(document).encode()


def excuse(project: Path, rule: str, urn: str, *, days: int) -> None:
    """Add an exemption to a project that expires in `days` days."""
    expires = datetime.now(UTC).date() + timedelta(days=days)
    with (project / "policies" / "exemptions.toml").open("a") as file:
        file.write(
            f'\n[[exemption]]\nrule = "{rule}"\nresource = "{urn}"\nowner = "x@example.com"\n'
            f'reason = "accepted for this test"\nexpires = {expires}\n'
        )


def excuse_keys(base: Project, prod: Judged, *, days: int) -> None:
    """Add exemptions to the base for KMS deletion windows of a week."""
    for key in prod.graph.of("aws:kms/key:Key"):
        excuse(base.folder, "keys-outlive-mistakes", key.urn, days=days)


@pytest.mark.parametrize("days", first(1, [-1, 30]))
def test_a_request_that_repairs_an_excused_finding_passes(
    base: Project, prod: Judged, tmp_path: Path, days: int
) -> None:
    excuse_keys(base, prod, days=days)
    done = by_base(base, tmp_path, prod.content)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_request_that_breaks_a_rule_of_the_base_fails(base: Project, prod: Judged, tmp_path: Path) -> None:
    done = by_base(base, tmp_path, weakened(prod))
    assert done.returncode == 1
    assert "fail: keys-outlive-mistakes: " in done.stdout


@pytest.mark.parametrize(("days", "code"), first(1, [(-1, 1), (30, 0)]))
def test_an_exemption_of_the_base_passes_until_it_expires(
    base: Project, prod: Judged, tmp_path: Path, days: int, code: int
) -> None:
    excuse_keys(base, prod, days=days)
    done = by_base(base, tmp_path, weakened(prod))
    assert done.returncode == code, done.stdout + done.stderr


def test_the_requests_own_verdict_fails_on_an_unused_exemption(base: Project, prod: Judged, tmp_path: Path) -> None:
    """`judge` requires that a repair also removes its exemption; `judge-by-base` ignores an unused one."""
    excuse_keys(base, prod, days=30)
    (tmp_path / "state.json").write_bytes(drilled_today(prod.content))
    command = [sys.executable, "-m", "policies", "judge", "--file", str(tmp_path / "state.json")]
    done = subprocess.run(command, cwd=base.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "keys-outlive-mistakes: excuses nothing; remove it" in done.stdout
    own = step("pull-request.yml", "judge", "Judge, and write the evidence")
    assert "stale" not in own["run"]


@pytest.mark.long
def test_a_request_is_planned_on_top_of_its_base_and_judged(tmp_path: Path) -> None:
    """Run the steps of `judge` for a request that adds an unused exemption."""
    request = Project.copy(tmp_path).folder
    for part in ("status", "backups"):
        shutil.copytree(ROOT / part, request / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(request, request / "base")
    stack = "urn:pulumi:prod::backbuild::pulumi:pulumi:Stack::backbuild-prod"
    excuse(request, "three-copies", stack, days=30)
    (request / ".venv").symlink_to(ROOT / ".venv")
    shutil.copy(ROOT / "Makefile", request)
    for file in ("requirements.txt", "requirements-dev.txt", "requirements-bootstrap.txt"):
        (request / file).touch()
        os.utime(request / file, (0, 0))  # older than the environment, so that make installs nothing
    environment = {"SANDBOX_HOME": str(tmp_path / "home"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    up = step("pull-request.yml", "judge", "Bring the base up in the sandbox")
    done = shell(up, request / up["working-directory"], environment)
    assert done.returncode == 0, done.stderr
    done = shell(step("pull-request.yml", "judge", "Plan the change on top of it"), request, environment)
    assert done.returncode == 0, done.stderr
    assert json.loads((request / "plan.json").read_text())["summary"]["create"] == 0  # on top of the base
    done = shell(step("pull-request.yml", "judge", "Judge, and write the evidence"), request, environment)
    assert done.returncode == 2, done.stderr  # make's exit code for a failed command
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("### Plan")
    assert "three-copies: excuses nothing; remove it" in summary
    assert (request / "evidence" / "prod" / "results.sarif").exists()
