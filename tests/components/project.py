"""A copy of the project that tests change and run as an operator does, with `python -m sandbox`."""

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
PARTS = ("model", "components", "machines", "workers", "docs/drills")


@dataclass(frozen=True)
class Project:
    """A copy of the project, and the sandbox's home with the states of its stacks."""

    folder: Path
    home: Path

    @classmethod
    def copy(cls, folder: Path) -> Project:
        """Copy the program, so that edits during the test have no effect."""
        project = cls(folder / "project", new_home(folder / "home"))
        project.folder.mkdir()
        for file in ("Pulumi.yaml", "__main__.py"):
            shutil.copy2(ROOT / file, project.folder)
        for part in PARTS:
            shutil.copytree(ROOT / part, project.folder / part, ignore=shutil.ignore_patterns("node_modules"))
        return project

    def configure(self, stack: str, changes: Mapping[str, Any] | None = None, *, like: str | None = None) -> None:
        """Write the stack's file: the committed one (of the stack `like`) with these changes."""
        file = self.folder / f"Pulumi.{stack}.yaml"
        file.write_text(yaml.safe_dump({"config": configured(like or stack, changes)}))

    def run(self, command: str, stack: str, *options: str, code: int = 0) -> Any:
        """Run a command and return its output, parsed as JSON. Fails unless it exits with `code`."""
        return sandbox(self.home, command, "--stack", stack, *options, cwd=self.folder, code=code)

    def adopt(self, home: Path, stack: str) -> Deployed:
        """Copy the configuration and the state of a committed stack from another home."""
        self.configure(stack)
        shutil.copytree(home / stack, self.home / stack)
        return self.deployed(stack, json.loads((home / f"{stack}.json").read_text()))

    def deployed(self, stack: str, printed: dict[str, Any]) -> Deployed:
        """Return a deployed stack. `printed` is the output of its `up`."""
        return Deployed(printed, self.state(stack), self.run("export", stack, "--show-secrets"))

    def up(self, stack: str) -> Any:
        """Run `up` without its preview, which would double the time. Return its output."""
        return self.run("up", stack, "--json", "--skip-preview")

    def state(self, stack: str) -> Any:
        """Return the stored state."""
        return json.loads((self.home / stack / "state.json").read_text())

    def planned(self, stack: str, changed: Mapping[str, Any]) -> dict[str, set[str]]:
        """Return the changes that an `up` with some changed settings would make, planned in this process."""
        return changes(plan_update(Workspace(self.home, stack), changed).to_json())


def changes(plan: dict[str, Any]) -> dict[str, set[str]]:
    """Return the short names of a plan's resources by operation, without unchanged resources."""
    found: dict[str, set[str]] = {}
    for step in plan["steps"]:
        if step["op"] != "same":
            found.setdefault(step["op"], set()).add(short(step["urn"]))
    return found


def short(urn: str) -> str:
    """Return a URN's last type and its name, such as `Instance::worker-1-0`."""
    _, _, types, name = urn.split("::")
    return f"{types.rsplit(':', 1)[-1]}::{name}"


@dataclass(frozen=True)
class Deployed:
    """A stack after its first `up`: the output, the stored state, and the state with decrypted secrets."""

    printed: dict[str, Any]
    state: dict[str, Any]
    revealed: dict[str, Any]

    @cached_property
    def resources(self) -> list[Resource]:
        """Return every resource in the state."""
        return self.state["deployment"]["resources"]

    def of(self, kind: str) -> dict[str, Resource]:
        """Return the resources of a type by name. `kind` is the last part of the type token."""
        found = {one["urn"].rsplit("::", 1)[-1]: one for one in self.resources if one["type"].endswith(f":{kind}")}
        assert found, f"no {kind} in the state"
        return found

    def bindings(self, worker: str) -> dict[str, Resource]:
        """Return a Worker's bindings by name, decrypted: the engine marks the whole list as secret."""
        resources = self.revealed["deployment"]["resources"]
        (version,) = (one for one in resources if short(one["urn"]) == f"WorkerVersion::{worker}")
        return {binding["name"]: binding for binding in opened(version["outputs"]["bindings"])}

    def inputs(self, kind: str) -> dict[str, Resource]:
        """Return the inputs of the resources of a type, by name."""
        return {name: one["inputs"] for name, one in self.of(kind).items()}


def opened(value: Any) -> Any:
    """Return a property of a decrypted state without the marks of secrets."""
    if isinstance(value, dict):
        if "plaintext" in value:
            return opened(json.loads(value["plaintext"]))
        return {key: opened(item) for key, item in value.items()}
    return [opened(item) for item in value] if isinstance(value, list) else value
