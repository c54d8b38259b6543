"""The workflows of pull requests: what runs a stranger's code may write nothing, and what may write runs none of it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"


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


@pytest.mark.parametrize("name", ["pull-request.yml", "pull-request-comment.yml"])
def test_what_others_wrote_is_named_by_its_commit(name: str) -> None:
    for step in steps(workflow(name)):
        if "uses" in step:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])


def test_the_plan_is_judged_by_the_base_s_rules_where_no_code_of_the_request_ran() -> None:
    job = workflow("pull-request.yml")["jobs"]["judge-by-base"]
    (checkout,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    (taken,) = [step for step in job["steps"] if "download-artifact" in step.get("uses", "")]
    assert taken["with"]["path"].startswith("${{ runner.temp }}/")  # and not over what was checked out
    assert "judge --file" in job["steps"][-1]["run"]
    assert any(
        "tests/policies" in step.get("run", "") for step in workflow("pull-request.yml")["jobs"]["test"]["steps"]
    )


# The comment's script, with GitHub played to it

PLAYED = """
const fs = require("node:fs");
const told = [], outputs = {}, { script, files } = JSON.parse(fs.readFileSync(0, "utf8"));
const rest = {
  pulls: { list: async () => ({ data: [{ number: 7, head: { sha: "abc" } }] }), listFiles: "files" },
  issues: { listComments: "comments", createComment: async (one) => told.push(one), updateComment: async () => {} },
};
const github = { rest, paginate: async (what) => (what === "files" ? files : []) };
const from = { head_sha: "abc", head_branch: "b", head_repository: { owner: { login: "o" } } };
const run = { ...from, html_url: "https://run", conclusion: "failure" };
const context = { repo: { owner: "o", repo: "r" }, payload: { workflow_run: run } };
const core = { setOutput: (name, value) => (outputs[name] = value), notice: () => {} };
const AsyncFunction = (async () => {}).constructor;
new AsyncFunction("github", "context", "core", "require", script)(github, context, core, require).then(() =>
  console.log(JSON.stringify({ body: told[0].body, outputs })));
"""


def told(folder: Path, *files: dict[str, str]) -> dict[str, Any]:
    """What the script writes where `evidence/` was unpacked in `folder`."""
    (step,) = [step for step in steps(workflow("pull-request-comment.yml")) if "script" in step.get("with", {})]
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "node", "-e", PLAYED],
        cwd=folder, input=json.dumps({"script": step["with"]["script"], "files": files}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


HOSTILE = """\
**All is well.** @team &#64;team &commat;team <img src=x> ![x](https://evil.example) [ok](https://evil.example)
<!-- policies --> www.evil.example https://evil.example \u202egnp

<details><summary>Promise by promise</summary>

```
"""


def test_a_stranger_s_text_is_set_apart_and_can_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "comment.md").write_text(HOSTILE)
    body = told(tmp_path)["body"]
    head, _, said = body.partition("What follows was written by the request's own code:\n\n")
    assert head.startswith("<!-- policies -->\n\n**The checks of abc ended with: failure.** [The run")
    assert "changes what judges it" not in head
    assert all(line.startswith(">") for line in said.splitlines())
    assert not re.search(r"@\w|&#64|&commat|<img|<!--|\[|://|www\.|\u202e", said)
    assert "<details><summary>Promise by promise</summary>" in said


def test_the_comment_says_that_a_request_changes_what_judges_it(tmp_path: Path) -> None:
    files = (
        {"filename": "policies/exemptions.toml"},
        {"filename": "x", "previous_filename": "policies/rule.py"},
        {"filename": "README.md"},
    )
    assert "**It changes what judges it, in 2 files:**" in told(tmp_path, *files)["body"]


@pytest.mark.parametrize("kind", ["nothing", "link", "folder", "huge"])
def test_only_a_file_of_a_usual_size_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "secret").write_text("hunter2")
    for name in ("comment.md", "results.sarif"):
        file = tmp_path / "evidence" / name
        if kind == "link":
            file.symlink_to(tmp_path / "secret")
        elif kind == "folder":
            file.mkdir()
        elif kind == "huge":
            file.touch()
            with file.open("wb") as stream:
                stream.truncate(30_000_000)
    found = told(tmp_path)
    assert found["body"].endswith("> It could not be planned or judged.")
    assert found["outputs"] == {"number": 7, "sarif": False}


def test_a_comment_is_never_too_long(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    for text in ("@" * 200_000, "\n" * 200_000 + "x", "<[\n" * 50_000):
        (tmp_path / "evidence" / "comment.md").write_text(text)
        assert len(told(tmp_path)["body"]) < 65_536
