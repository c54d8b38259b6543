"""The sandbox engine beside the real one: same plans, same states, and each takes over from the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("pulumi") is None, reason="there is no `pulumi` on the PATH to compare with"
)

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("programs") / "peer"
# What no two runs have in common, and what only tells where in the program a resource stands.
VOLATILE = {"id", "created", "modified", "sourcePosition", "stackTrace", "provider"}


class Side:
    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(PROGRAM, root)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI")},
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            "PYTHONPATH": str(REPOSITORY),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def sandbox(self, command: str, *arguments: str) -> str:
        words = [sys.executable, "-m", "sandbox", command, "--stack", "dev", *arguments]
        done = subprocess.run(
            words, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pulumi(self, *arguments: str) -> str:
        return self.sandbox("exec", "--", "pulumi", "--non-interactive", *arguments)

    def set(self, kind: str) -> None:
        file = self.root / "Pulumi.dev.yaml"
        file.write_text(file.read_text().replace("config:\n", f"config:\n  peer:kind: {kind}\n"))


@pytest.fixture
def ours(tmp_path: Path) -> Side:
    return Side(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Side:
    side = Side(tmp_path / "theirs")
    # Before the configuration gains the salt that `stack init` appends to it.
    side.pulumi("stack", "init", "dev")
    text = (PROGRAM / "Pulumi.dev.yaml").read_text()
    salt = [line for line in (side.root / "Pulumi.dev.yaml").read_text().splitlines() if "salt" in line]
    (side.root / "Pulumi.dev.yaml").write_text("\n".join([*salt, text]))
    return side


def our_operations(side: Side) -> dict[str, str]:
    return {step["urn"]: step["op"] for step in json.loads(side.sandbox("preview", "--json"))["steps"]}


def their_operations(side: Side) -> dict[str, str]:
    steps = json.loads(side.pulumi("preview", "--json"))["steps"]
    return {step["urn"]: step["op"] for step in steps if "::default_" not in step["urn"]}


def comparable(document: str) -> dict[str, dict[str, Any]]:
    resources = json.loads(document)["deployment"]["resources"]
    return {entry["urn"]: _shape(entry) for entry in resources}


def _shape(entry: dict[str, Any]) -> dict[str, Any]:
    shape = {key: value for key, value in entry.items() if key not in VOLATILE}
    for key in ("inputs", "outputs"):
        shape[key] = {name: type(value).__name__ for name, value in shape.get(key, {}).items()}
    shape["dependencies"] = sorted(shape.get("dependencies", []))
    shape["propertyDependencies"] = {
        key: sorted(needs or []) for key, needs in shape.get("propertyDependencies", {}).items()
    }
    shape["providerUrn"] = entry.get("provider", "").rpartition("::")[0]
    return shape


def test_both_plan_and_do_the_same(ours: Side, theirs: Side) -> None:
    assert our_operations(ours) == their_operations(theirs)
    ours.sandbox("up", "--yes")
    theirs.pulumi("up", "--yes", "--skip-preview")
    assert comparable(ours.sandbox("export")) == comparable(theirs.pulumi("stack", "export"))
    for side in (ours, theirs):
        side.set("changed")
    # The real plan may leave out what stays the same.
    planned = {urn: op for urn, op in our_operations(ours).items() if op != "same"}
    assert planned == {urn: op for urn, op in their_operations(theirs).items() if op != "same"}
    assert list(planned.values()) == ["update"]


def test_each_takes_over_from_the_other(ours: Side) -> None:
    ours.sandbox("up", "--yes")
    file = ours.root / "state.json"
    ours.sandbox("export", "--file", str(file))
    ours.pulumi("stack", "init", "dev")
    ours.pulumi("stack", "import", "--file", str(file))
    ours.pulumi("preview", "--expect-no-changes")
    ours.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    ours.set("changed")
    ours.pulumi("up", "--yes", "--skip-preview")
    file.write_text(ours.pulumi("stack", "export"))
    ours.sandbox("import", "--file", str(file))
    summary = json.loads(ours.sandbox("preview", "--json"))["summary"]
    assert summary == {"same": 9, "create": 0, "update": 0, "replace": 0, "delete": 0}
