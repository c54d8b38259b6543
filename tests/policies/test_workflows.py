"""The workflows of pull requests: what runs a stranger's code may write nothing, and what may write runs none of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"


def workflow(name: str) -> dict[str, Any]:
    document = yaml.safe_load((FOLDER / name).read_text())
    document["on"] = document.pop(True)  # YAML 1.1 takes the key for a truth
    return document


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", ["pull-request.yml", "pull-request-comment.yml"])
def test_neither_needs_a_secret(name: str) -> None:
    assert "secrets." not in (FOLDER / name).read_text()


def test_what_runs_the_request_may_write_nothing() -> None:
    judging = workflow("pull-request.yml")
    assert list(judging["on"]) == ["pull_request"]
    assert judging["permissions"] == {"contents": "read"}
    for step in steps(judging):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
        # What a stranger names (a branch, a title) is never part of a script.
        assert "${{" not in step.get("run", "")


def test_what_may_write_runs_nothing_of_the_request() -> None:
    telling = workflow("pull-request-comment.yml")
    assert telling["on"] == {"workflow_run": {"workflows": ["pull request"], "types": ["completed"]}}
    assert workflow("pull-request.yml")["name"] == "pull request"
    for step in steps(telling):
        assert "checkout" not in step.get("uses", "")
        assert "run" not in step
        assert "${{" not in step.get("with", {}).get("script", "")
    assert {"pull-requests": "write", "security-events": "write"}.items() <= telling["permissions"].items()


def test_what_one_hands_over_the_other_takes() -> None:
    (handed,) = [step for step in steps(workflow("pull-request.yml")) if "upload-artifact" in step.get("uses", "")]
    (taken,) = [step for step in steps(workflow("pull-request-comment.yml")) if "download-artifact" in step["uses"]]
    assert handed["with"]["name"] == taken["with"]["name"]
    assert handed["if"] == "always()"
