"""One stack under the Pulumi CLI, in a separate project folder and backend.

`pulumi stack init` writes a salt into the stack's configuration file, so the CLI works on a copy of the configuration
and never on the project's own files. The program itself is not copied: `main` names where it is.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from sandbox.engine.project import Project
from sandbox.official import language
from sandbox.official.cli import Cli

Document = dict[str, Any]


@dataclass(frozen=True)
class OfficialStack:
    """A stack of the CLI: `folder` holds its project and backend, `environment` attaches the CLI to the clouds."""

    cli: Cli
    folder: Path
    stack: str
    environment: Mapping[str, str]

    @classmethod
    def create(cls, cli: Cli, folder: Path, settings: Project, environment: Mapping[str, str]) -> Self:
        """Create an empty stack with the configuration in `settings`."""
        folder.mkdir(parents=True)
        made = cls(cli, folder, settings.stack, {**environment, **_own(folder)})
        (folder / "backend").mkdir()
        made.configure(settings)
        return made

    @classmethod
    def reopen(cls, cli: Cli, folder: Path, stack: str, environment: Mapping[str, str]) -> Self:
        """Return the stack that an earlier run left in `folder`."""
        return cls(cli, folder, stack, {**environment, **_own(folder)})

    def moved(self, folder: Path) -> Self:
        """Rename the stack's folder to `folder` and return the stack there."""
        self.folder.rename(folder)
        return self.reopen(self.cli, folder, self.stack, self.environment)

    def configure(self, settings: Project) -> None:
        """Copy the project's file and the stack's configuration; keep the salt of the stack's secrets."""
        project = _read(settings.root / "Pulumi.yaml")
        own_file = self.folder / f"Pulumi.{self.stack}.yaml"
        given = _read(settings.root / str(project.pop("stackConfigDir", ".")) / own_file.name)
        _write(self.folder / "Pulumi.yaml", project | {"main": str(settings.program)})
        if not own_file.exists():
            self.run("stack", "init", self.stack)
        _write(own_file, _read(own_file) | {"config": given.get("config") or {}})

    def run(self, *words: str) -> str:
        """Run a `pulumi` command to its end and return its standard output; `CliError` if it fails."""
        return self.cli.run(*words, cwd=self.folder, environment=self.environment)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a `pulumi` command on this stack; `options` are those of `subprocess.Popen`."""
        command = [self.cli.command, *words, "--stack", self.stack, "--non-interactive"]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            text=True,
            close_fds=False,  # inherits the stack's lock: a CLI that outlives this process still holds it
            **options,
        )

    def load(self, document: Document) -> None:
        """Replace the stack's state by `document`, in the deployment format."""
        file = self.folder / "state.json"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(document, stream)
        try:
            self.run("stack", "import", "--stack", self.stack, "--file", str(file))
        finally:
            file.unlink()

    def state(self, *, show_secrets: bool = False) -> Document:
        """Return the stack's state in the deployment format."""
        shown = ["--show-secrets"] if show_secrets else []
        return json.loads(self.run("stack", "export", "--stack", self.stack, *shown))


def _read(file: Path) -> Document:
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def _write(file: Path, document: Document) -> None:
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


def _own(folder: Path) -> dict[str, str]:
    return {
        "PULUMI_BACKEND_URL": f"file://{folder.resolve() / 'backend'}",
        "PULUMI_HOME": str(folder.resolve() / "home"),
    }


@contextmanager
def attached(passphrase: str, ports: Mapping[str, int]) -> Generator[dict[str, str]]:
    """Serve the language host until the block ends; yields the environment that attaches a CLI to it.

    `ports` holds the ports of the simulated clouds, by package. The CLI encrypts secrets with `passphrase`.
    """
    with language.serve() as port:
        yield {
            **os.environ,
            **attachment(ports),
            "PULUMI_DEBUG_LANGUAGES": f"python:{port}",
            "PULUMI_CONFIG_PASSPHRASE": passphrase,
        }


def attachment(ports: Mapping[str, int]) -> dict[str, str]:
    """Return the variables that attach a CLI to the simulated clouds and keep it off the network."""
    return {
        "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in ports.items()),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
