"""The workflows that preview and update stacks from `main`: in order, one at a time, and never to an older commit."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox.official.cli import pinned
from tests.policies.workflows import ROOT, Played, play, shell, step, workflow

DEPLOY = workflow("deploy.yml")["jobs"]
UPDATES = ("staging", "prod")
PREPARE = "./.github/actions/prepare"


@pytest.mark.parametrize(
    ("file", "deploys"),
    [
        *(("__main__.py", True), ("components/api.py", True), ("Pulumi.prod.yaml", True)),
        *(("docs/drills/0001-2026-11-29-zone-lost.json", True), ("docs/drills/signers.toml", True)),
        *(("docs/drills/0001-2026-11-29-zone-lost.html", False), ("docs/operating.md", False), ("README.md", False)),
        *(("drills/reports/page.py", False), ("tests/model/test_topology.py", False), ("workers/README.md", False)),
    ],
)
def test_a_commit_is_deployed_if_it_changes_what_the_program_reads(file: str, deploys: bool) -> None:
    """GitHub's filter: `*` matches no slash, and the last pattern that matches decides."""
    found = False
    for pattern in workflow("deploy.yml")["on"]["push"]["paths"]:
        words = re.split(r"(\*+)", pattern.removeprefix("!"))
        expression = "".join({"*": "[^/]*", "**": ".*"}.get(word, re.escape(word)) for word in words)
        if re.fullmatch(expression, file):
            found = not pattern.startswith("!")
    assert found is deploys


def using(job: dict[str, Any], action: str) -> dict[str, Any]:
    (found,) = [one for one in job["steps"] if one.get("uses", "").startswith(action)]
    return found


def test_production_follows_staging_and_has_its_own_environment() -> None:
    assert DEPLOY["plan-prod"]["needs"] == "staging"
    assert DEPLOY["prod"]["needs"] == ["staging", "plan-prod"]
    assert {name: job["environment"] for name, job in DEPLOY.items()} == {
        "staging": "staging",
        "plan-prod": "prod-read",
        "prod": "prod",
    }
    assert workflow("deploy.yml")["on"]["push"]["branches"] == ["main"]
    for job in DEPLOY.values():
        assert "always()" not in job.get("if", "")


@pytest.mark.parametrize("stack", UPDATES)
def test_updates_of_a_stack_run_one_at_a_time_and_are_not_cancelled(stack: str) -> None:
    assert DEPLOY[stack]["concurrency"] == {"group": f"stack-{stack}", "cancel-in-progress": False}
    update = using(DEPLOY[stack], "pulumi/actions@")
    assert update["with"]["command"] == "up"
    assert update["with"]["stack-name"] == "${{ env.STACK }}"
    assert DEPLOY[stack]["env"]["STACK"] == stack
    # GitHub cancels a waiting job when a newer job of the same concurrency group arrives: no other workflow may use it.
    others = [workflow(name) for name in ("preview.yml", "drift.yml", "pull-request.yml", "pull-request-comment.yml")]
    groups = [
        part["concurrency"]["group"] for one in others for part in (one, *one["jobs"].values()) if "concurrency" in part
    ]
    assert not [group for group in groups if group.startswith("stack-")]


@pytest.mark.parametrize("stack", UPDATES)
def test_the_session_of_the_aws_role_lasts_as_long_as_the_timeout_of_the_job(stack: str) -> None:
    assert using(DEPLOY[stack], PREPARE)["with"]["session-seconds"] == DEPLOY[stack]["timeout-minutes"] * 60
    others = (DEPLOY["plan-prod"], workflow("preview.yml")["jobs"]["preview"], workflow("drift.yml")["jobs"]["look"])
    for job in others:
        assert using(job, PREPARE)["with"]["session-seconds"] == job["timeout-minutes"] * 60


def test_both_policy_packs_judge_each_preview_and_update_with_the_configuration_of_the_stack() -> None:
    for job in (*DEPLOY.values(), workflow("preview.yml")["jobs"]["preview"]):
        given = using(job, "pulumi/actions@")["with"]
        packs, configurations = given["policyPacks"].splitlines(), given["policyPackConfigs"].splitlines()
        for stack in UPDATES:
            for pack, file in zip(packs, configurations, strict=True):
                assert (ROOT / pack / "PulumiPolicy.yaml").is_file()
                path = re.sub(r"\$\{\{ (?:env.STACK|matrix.stack) \}\}", stack, file)
                assert (ROOT / path).is_file()
                assert path.startswith(f"{pack}/")
        assert packs == ["policies/redundancy", "policies/retention"]


def test_only_pulumi_steps_get_secrets() -> None:
    for name in ("preview.yml", "deploy.yml", "drift.yml"):
        for job in workflow(name)["jobs"].values():
            assert "secrets." not in str(job.get("env", {}))
            for one in job["steps"]:
                if "secrets." in str(one):
                    assert one.get("uses", "").startswith("pulumi/actions@") or "pulumi preview" in one["run"]


def test_forks_are_not_previewed_with_secrets() -> None:
    preview = workflow("preview.yml")
    assert list(preview["on"]) == ["pull_request"]
    condition = preview["jobs"]["preview"]["if"].split(" && ")
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
    assert preview["jobs"]["preview"]["environment"] == "${{ matrix.stack }}-preview"


def test_the_workflows_use_the_pinned_cli() -> None:
    assert (ROOT / ".github" / "pulumi-version").read_text().strip() == pinned()


# The order of commits


def compared(folder: Path, status: str, *states: str | None) -> Played:
    """Run the first step of an update to the commit `new`.

    `status` is GitHub's comparison of the deployed commit with `new`. `states` are the latest states of the earlier
    deployments, the newest first (commits `sha-0`, `sha-1`, …); None is a deployment without a state.
    """
    numbers = range(len(states))
    replies = {
        "repos.listDeployments": [{"id": 100 - number, "sha": f"sha-{number}"} for number in reversed(numbers)],
        "repos.listDeploymentStatuses": {"by": "deployment_id"}
        | {str(100 - number): [{"state": states[number]}] if states[number] else [] for number in numbers},
        "repos.compareCommitsWithBasehead": {"status": status},
    }
    refusing = step("deploy.yml", "prod", "Refuse a commit that does not contain the deployed commit")
    return play(refusing, folder, replies, sha="new", environment={"STACK": "prod"})


def test_a_commit_after_the_last_deployment_is_deployed(tmp_path: Path) -> None:
    for status in ("ahead", "identical"):
        played = compared(tmp_path, status, "in_progress", None, "failure", "success", "success")
        assert played.messages == []
        assert played.calls[0] == ("repos.listDeployments", {"environment": "prod", "per_page": 100})
        assert played.calls[-1] == ("repos.compareCommitsWithBasehead", {"basehead": "sha-3...new"})


@pytest.mark.parametrize("status", ["behind", "diverged"])
def test_a_commit_before_the_last_deployment_is_refused(tmp_path: Path, status: str) -> None:
    played = compared(tmp_path, status, "in_progress", "success", "inactive")
    assert played.messages == [
        ("failed", f"prod runs sha-1, and new does not contain it ({status}): deploy a commit that does"),
    ]


def test_the_first_deployment_needs_no_comparison(tmp_path: Path) -> None:
    assert compared(tmp_path, "behind").messages == []
    assert compared(tmp_path, "behind", "in_progress", "failure", "inactive").messages == []


# Health after an update


@contextmanager
def api(*codes: int) -> Iterator[str]:
    """Serve a health report that responds with these status codes in turn, and then always with the last one."""
    left = list(codes)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("codes", "code"), [((200,), 0), ((503, 503, 200), 0), ((503,), 22), ((404,), 22)])
def test_an_update_waits_for_a_healthy_api(tmp_path: Path, codes: tuple[int, ...], code: int) -> None:
    asking = step("deploy.yml", "staging", "Ask the API for its health")
    assert asking["env"].keys() == {"HEALTH_URL", "RETRIES", "RETRY_SECONDS"}
    with api(*codes) as url:
        done = shell(asking, tmp_path, {"HEALTH_URL": url, "RETRIES": "2", "RETRY_SECONDS": "1"})
    assert done.returncode == code, done.stderr
