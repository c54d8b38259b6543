"""Read the workflows, and run their scripts like GitHub: under bash, or under Node.js with a recorded GitHub API."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(file.name for file in FOLDER.glob("*.yml"))


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow with the key `on`, which YAML 1.1 reads as true."""
    document = yaml.safe_load((FOLDER / name).read_text())
    document["on"] = document.pop(True)
    return document


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of all jobs."""
    return [step for job in document["jobs"].values() for step in job["steps"]]


def step(name: str, job: str, title: str) -> dict[str, Any]:
    """Return a step by its name."""
    (found,) = [one for one in workflow(name)["jobs"][job]["steps"] if one.get("name") == title]
    return found


# `github.rest.AREA.METHOD(given)` returns `replies["AREA.METHOD"]`, or its entry for an argument's value (`by`).
PLAYED = """
const fs = require("node:fs");
const { script, replies, payload, sha } = JSON.parse(fs.readFileSync(0, "utf8"));
const calls = [], told = [], outputs = {};
const answer = (name, given) => {
  const { by, ...rest } = replies[name] ?? {};
  return by ? rest[given[by]] : replies[name];
};
const area = (prefix) => new Proxy({}, {
  get: (_, method) => async (given) => {
    const name = `${prefix}.${method}`, { owner, repo, ...others } = given;
    calls.push([name, others]);
    const writes = /^[^.]*\\.(?:create|update)/.test(name);
    if (!writes && !(name in replies)) throw new Error(`replies has no entry for ${name}`);
    return { data: answer(name, given) ?? {} };
  },
});
const rest = new Proxy({}, { get: (_, prefix) => area(prefix) });
const github = { rest, paginate: async (method, given) => (await method(given)).data };
const context = { repo: { owner: "acme", repo: "store" }, payload, sha, runId: 9, serverUrl: "https://github.com" };
const say = (level) => (text) => void told.push([level, text]);
const core = {
  setOutput: (name, value) => void (outputs[name] = value),
  notice: say("notice"), warning: say("warning"), error: say("error"), setFailed: say("failed"),
};
const AsyncFunction = (async () => {}).constructor;
new AsyncFunction("github", "context", "core", "require", script)(github, context, core, require).then(() =>
  console.log(JSON.stringify({ calls, told, outputs })));
"""


@dataclass(frozen=True)
class Played:
    """The calls of a script to GitHub's API, its messages (level and text), and its outputs."""

    calls: list[tuple[str, dict[str, Any]]]
    messages: list[tuple[str, str]]
    outputs: dict[str, Any]

    @property
    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the calls that create or update an object."""
        return [(name, given) for name, given in self.calls if name.split(".")[1].startswith(("create", "update"))]


def play(
    step: dict[str, Any],
    folder: Path,
    replies: Mapping[str, Any],
    *,
    payload: Mapping[str, Any] | None = None,
    sha: str = "",
    environment: Mapping[str, str] | None = None,
) -> Played:
    """Run a step of `actions/github-script` in a folder with a simulated GitHub API."""
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "node", "-e", PLAYED],
        cwd=folder,
        input=json.dumps({"script": step["with"]["script"], "replies": replies, "payload": payload or {}, "sha": sha}),
        env={"PATH": os.environ["PATH"], "RUNNER_TEMP": str(folder), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return Played(
        [(name, given) for name, given in found["calls"]], [(a, b) for a, b in found["told"]], found["outputs"]
    )


def shell(
    step: dict[str, Any], folder: Path, environment: Mapping[str, str], programs: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell step like GitHub. Programs in the folder `programs` take precedence over installed ones."""
    path = f"{programs}:{os.environ['PATH']}" if programs else os.environ["PATH"]
    return subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), "RUNNER_TEMP": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
