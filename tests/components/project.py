"""A copy of the project to change and run as an operator does: `python -m sandbox`, in a process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from harness.stacks import ROOT, configured
from sandbox.engine.workspace import Workspace
from tests.components.planning import plan_update
from tests.deployed import new_home, sandbox

Resource = dict[str, Any]
PARTS = ("model", "components", "machines", "workers")


@dataclass(frozen=True)
class Project:
    """A project in a folder, with its stacks' states beside it."""

    folder: Path
    home: Path

    @classmethod
    def copy(cls, folder: Path) -> Project:
        """The program as it is now: whoever edits it meanwhile does not disturb."""
        project = cls(folder / "project", new_home(folder / "home"))
        project.folder.mkdir()
        for file in ("Pulumi.yaml", "__main__.py"):
            shutil.copy2(ROOT / file, project.folder)
        for part in PARTS:
            shutil.copytree(ROOT / part, project.folder / part, ignore=shutil.ignore_patterns("node_modules"))
        return project

    def configure(self, stack: str, changes: Mapping[str, Any] | None = None, *, like: str | None = None) -> None:
        """Write the stack's file: the shipped one (of the stack `like`) with these changes."""
        file = self.folder / f"Pulumi.{stack}.yaml"
        file.write_text(yaml.safe_dump({"config": configured(like or stack, changes)}))

    def run(self, command: str, stack: str, *options: str, code: int = 0) -> Any:
        """Return what the command printed, parsed; it must exit with `code`."""
        return sandbox(self.home, command, "--stack", stack, *options, cwd=self.folder, code=code)

    def adopt(self, home: Path, stack: str) -> Deployed:
        """Take over a committed stack that is up in another home: its configuration and its state."""
        self.configure(stack)
        shutil.copytree(home / stack, self.home / stack)
        return self.deployed(stack, json.loads((home / f"{stack}.json").read_text()))

    def deployed(self, stack: str, printed: dict[str, Any]) -> Deployed:
        """Return a stack that is up, with what its `up` printed."""
        return Deployed(printed, self.state(stack), self.run("export", stack, "--show-secrets"))

    def up(self, stack: str) -> Any:
        """What an `up` did; without the plan that it shows a person first, which takes as long again."""
        return self.run("up", stack, "--json", "--skip-preview")

    def state(self, stack: str) -> Any:
        """The state as it lies on the disk."""
        return json.loads((self.home / stack / "state.json").read_text())

    def planned(self, stack: str, changed: Mapping[str, Any]) -> dict[str, set[str]]:
        """Return what an `up` of the stack would do after these changes, planned in this process."""
        return changes(plan_update(Workspace(self.home, stack), changed).to_json())


def changes(plan: dict[str, Any]) -> dict[str, set[str]]:
    """What a plan does: operation to the short names of the resources; what stays is left out."""
    found: dict[str, set[str]] = {}
    for step in plan["steps"]:
        if step["op"] != "same":
            found.setdefault(step["op"], set()).add(short(step["urn"]))
    return found


def short(urn: str) -> str:
    """`Instance::worker-1-0`: what tells a resource apart, without the components around it."""
    _, _, types, name = urn.split("::")
    return f"{types.rsplit(':', 1)[-1]}::{name}"


@dataclass(frozen=True)
class Deployed:
    """A stack after its first `up`: what was printed, and its state with and without its secrets in the clear."""

    printed: dict[str, Any]
    state: dict[str, Any]
    revealed: dict[str, Any]

    @cached_property
    def resources(self) -> list[Resource]:
        """Every resource in the state."""
        return self.state["deployment"]["resources"]

    def of(self, kind: str) -> dict[str, Resource]:
        """Name to resource of one type, by the last part of its token."""
        found = {one["urn"].rsplit("::", 1)[-1]: one for one in self.resources if one["type"].endswith(f":{kind}")}
        assert found, f"no {kind} in the state"
        return found

    def bindings(self, worker: str) -> dict[str, Resource]:
        """What a Worker is bound to, by name; secrets opened: the engine marks the list as a whole."""
        resources = self.revealed["deployment"]["resources"]
        (version,) = (one for one in resources if short(one["urn"]) == f"WorkerVersion::{worker}")
        return {binding["name"]: binding for binding in opened(version["outputs"]["bindings"])}

    def inputs(self, kind: str) -> dict[str, Resource]:
        """Name to inputs of one type."""
        return {name: one["inputs"] for name, one in self.of(kind).items()}


def opened(value: Any) -> Any:
    """A property of a state that was exported with its secrets, without their marks."""
    if isinstance(value, dict):
        if "plaintext" in value:
            return opened(json.loads(value["plaintext"]))
        return {key: opened(item) for key, item in value.items()}
    return [opened(item) for item in value] if isinstance(value, list) else value
