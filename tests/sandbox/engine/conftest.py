"""The `stack` fixture: a stack in a temporary folder, with a program that each test writes, on fake clouds."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox import cli, commands
from sandbox.conformance.things import PRELUDE, open_clouds

COMMAND = Path(__file__).with_name("command.py")


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def ops(self) -> dict[str, str]:
        return {step["urn"].rpartition("::")[2]: step["op"] for step in self.document["steps"]}

    @property
    def changed(self) -> dict[str, str]:
        return {name: op for name, op in self.ops.items() if op != "same"}

    @property
    def summary(self) -> dict[str, int]:
        return self.document["summary"]


class Stack:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".sandbox" / "dev"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PULUMI", "SANDBOX"))},
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        }
        (root / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
        (root / "Pulumi.dev.yaml").write_text("config: {}\n")

    def program(self, text: str) -> None:
        # Python decides by size and modification second whether compiled code is current; two programs may share both.
        shutil.rmtree(self.root / "__pycache__", ignore_errors=True)
        (self.root / "__main__.py").write_text(PRELUDE + textwrap.dedent(text))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a child process."""
        return subprocess.Popen(
            [sys.executable, str(COMMAND), arguments[0], "--stack", "dev", *arguments[1:]],
            cwd=self.root, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0) -> Run:
        """Run a command in this process: to load the command line in a new process would take half of the time."""
        command, *options = arguments
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            for name in os.environ.keys() - self.environment.keys():
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(commands, "clouds", lambda: open_clouds)
            returned = cli.main([command, "--stack", "dev", "--cwd", str(self.root), *options])
        assert returned == code, f"exit code {returned}\n{out.getvalue()}\n{err.getvalue()}"
        return Run(returned, out.getvalue(), err.getvalue())

    def up(self, program: str | None = None, *arguments: str, code: int = 0) -> Run:
        if program is not None:
            self.program(program)
        return self.run("up", "--json", *(arguments or ["--skip-preview"]), code=code)

    def preview(self, program: str | None = None, code: int = 0) -> Run:
        if program is not None:
            self.program(program)
        return self.run("preview", "--json", code=code)

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        document = json.loads((self.folder / "state.json").read_text())
        return {entry["urn"].rpartition("::")[2]: entry for entry in document["deployment"]["resources"]}

    @property
    def objects(self) -> dict[str, dict[str, Any]]:
        return json.loads((self.folder / "clouds.json").read_text())["objects"]

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls.log"
        return log.read_text().splitlines() if log.exists() else []

    def forget_calls(self) -> None:
        (self.folder / "calls.log").unlink(missing_ok=True)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)
