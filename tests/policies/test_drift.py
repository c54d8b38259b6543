"""The drift workflow: it compares a stack with its clouds, and opens, updates and closes one issue for each stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.policies.rendering import rendered
from tests.policies.workflows import Played, play, shell, step

# A fake `pulumi` for the workflow. It records its arguments, prints the file `answer` and exits with `code`.
PULUMI = """\
#!/bin/bash
echo "$@" >>"$HOME/asked"
[ "$1" = login ] && exit
cat "$HOME/answer"
exit "$(cat "$HOME/code")"
"""
STEPS = [
    {"op": "same", "urn": "urn:pulumi:prod::b::pulumi:pulumi:Stack::b-prod"},
    {"op": "refresh", "urn": "urn:pulumi:prod::b::a:b/c:D::quiet"},
    {"op": "update", "urn": "urn:pulumi:prod::b::x:index:X$a:b/c:D::one", "oldState": {"inputs": {"secret": "hunter2"}},
     "detailedDiff": {"tags.Name": {"kind": "update"}, "description": {"kind": "update"}}},
    {"op": "create", "urn": "urn:pulumi:prod::b::a:b/c:D::two", "detailedDiff": None},
]  # fmt: skip


def deployed(folder: Path, *states: str | None) -> Played:
    """Run the step that finds the last deployed commit. `states` are of the deployments `sha-0` (newest), `sha-1`, …"""
    numbers = range(len(states))
    replies = {
        "repos.listDeployments": [{"id": 100 - number, "sha": f"sha-{number}"} for number in reversed(numbers)],
        "repos.listDeploymentStatuses": {"by": "deployment_id"}
        | {str(100 - number): [{"state": states[number]}] if states[number] else [] for number in numbers},
    }
    return play(
        step("drift.yml", "look", "Find what was deployed last"), folder, replies, environment={"STACK": "prod"}
    )


@pytest.mark.parametrize("before", [(), ("waiting",), ("failure", "queued"), ("inactive", None)])
def test_drift_is_compared_with_the_last_deployed_commit(tmp_path: Path, before: tuple[str | None, ...]) -> None:
    played = deployed(tmp_path, *before, "success", "inactive", "success")
    assert played.outputs == {"sha": f"sha-{len(before)}"}
    assert played.calls[0] == ("repos.listDeployments", {"environment": "prod", "per_page": 100})


@pytest.mark.parametrize(
    ("states", "reason"),
    [((), "never deployed"), (("failure",), "never deployed"), (("in_progress", "success"), "being updated")],
)
def test_there_is_no_comparison_before_the_first_update_or_during_one(
    tmp_path: Path, states: tuple[str, ...], reason: str
) -> None:
    played = deployed(tmp_path, *states)
    assert played.outputs == {}
    ((level, message),) = played.messages
    assert level == "notice"
    assert reason in message


def compared(folder: Path, code: int, answer: str) -> Played:
    """Run the two steps that compare, with a fake pulumi that exits with `code` and prints `answer`."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "pulumi").write_text(PULUMI)
    (programs / "pulumi").chmod(0o755)
    (folder / "answer").write_text(answer)
    (folder / "code").write_text(str(code))
    output = folder / "output"
    environment = {"STACK": "prod", "PULUMI_BACKEND_URL": "file://there", "GITHUB_OUTPUT": str(output)}
    done = shell(step("drift.yml", "look", "Compare"), folder, environment, programs)
    assert done.returncode == 0, done.stderr
    assert output.read_text() == f"code={code}\n"
    keeping = step("drift.yml", "look", "Keep what changed, without its values")
    return play(keeping, folder, {}, environment={"CODE": str(code), "SHA": "abc", "RUNNER_TEMP": str(folder)})


def test_drift_is_the_changes_of_a_refreshed_preview(tmp_path: Path) -> None:
    assert compared(tmp_path, 7, json.dumps({"steps": STEPS})).messages == []
    kept = (tmp_path / "drift.json").read_text()
    assert json.loads(kept) == {
        "sha": "abc",
        "drifted": True,
        "changes": [
            {"op": "update", "urn": STEPS[2]["urn"], "properties": ["description", "tags.Name"]},
            {"op": "create", "urn": STEPS[3]["urn"], "properties": []},
        ],
    }
    assert "hunter2" not in kept
    login, preview = (tmp_path / "asked").read_text().splitlines()
    assert login == "login file://there"
    assert preview == "preview --stack prod --refresh --expect-no-changes --json --non-interactive"


def test_without_changes_there_is_no_drift(tmp_path: Path) -> None:
    assert compared(tmp_path, 0, json.dumps({"steps": STEPS[:2]})).messages == []
    assert json.loads((tmp_path / "drift.json").read_text()) == {"sha": "abc", "drifted": False, "changes": []}


@pytest.mark.parametrize("answer", ["", '{"diagnostics": [{"severity": "error", "message": "no credentials"}]}'])
def test_a_failed_preview_is_not_drift(tmp_path: Path, answer: str) -> None:
    played = compared(tmp_path, 1, answer)
    assert ("failed", "pulumi preview ended with 1; nothing was compared") in played.messages
    assert any(level == "error" for level, _ in played.messages)
    assert not (tmp_path / "drift.json").exists()


# The issue

BOT = {"login": "github-actions[bot]"}
ISSUE = {"number": 3, "title": "Drift: prod", "user": BOT}


def reported(folder: Path, drift: dict[str, Any] | None, *issues: dict[str, Any]) -> Played:
    """Run the step of the second job that updates the issue, with a comparison and the existing issues."""
    (folder / "drift").mkdir(exist_ok=True)
    if drift is not None:
        (folder / "drift" / "drift.json").write_text(json.dumps(drift))
    telling = step("drift.yml", "tell", "Open, update or close the issue")
    return play(telling, folder, {"issues.listForRepo": list(issues)}, environment={"STACK": "prod"})


def drift(count: int = 1) -> dict[str, Any]:
    urn = "urn:pulumi:prod::b::x:index:X$a:b/c:D::one"
    change = {"op": "update", "urn": urn, "properties": ["tags.Name", "x`@team`"]}
    return {"sha": "abc", "drifted": True, "changes": [change] * count}


def test_drift_opens_an_issue(tmp_path: Path) -> None:
    others = ({**ISSUE, "title": "Drift: staging"}, {**ISSUE, "user": None}, {**ISSUE, "pull_request": {}})
    ((name, written),) = reported(tmp_path, drift(), *others).writes
    assert (name, written["title"], written["labels"]) == ("issues.create", "Drift: prod", ["drift"])
    assert "- update `a:b/c:D` `one`: `tags.Name`, `x @team `" in written["body"]
    assert "https://github.com/acme/store/actions/runs/9" in written["body"]
    assert "mention" not in rendered(written["body"]).references


def test_the_open_issue_of_a_stack_is_updated(tmp_path: Path) -> None:
    ((name, written),) = reported(tmp_path, drift(), ISSUE).writes
    assert (name, written["issue_number"]) == ("issues.update", 3)
    assert "state" not in written


def test_the_issue_is_closed_when_the_drift_is_gone(tmp_path: Path) -> None:
    none = {"sha": "abc", "drifted": False, "changes": []}
    commented, closed = reported(tmp_path, none, ISSUE).writes
    assert commented[0] == "issues.createComment"
    assert closed == ("issues.update", {"issue_number": 3, "state": "closed", "state_reason": "completed"})
    assert reported(tmp_path, none).writes == []


def test_without_a_comparison_the_issue_is_unchanged(tmp_path: Path) -> None:
    played = reported(tmp_path, None, ISSUE)
    assert played.calls == []
    assert played.messages == [("notice", "not compared; the issue stays as it is")]


def test_an_issue_is_shorter_than_githubs_limit(tmp_path: Path) -> None:
    ((_, written),) = reported(tmp_path, drift(5_000)).writes
    assert "- and 4900 more" in written["body"]
    assert len(written["body"]) < 65_536
