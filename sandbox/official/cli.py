"""Finds the Pulumi CLI: the `pulumi` on the PATH, if the Python SDK supports its version."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulumi.automation import PulumiCommand
from pulumi.automation.errors import InvalidVersionError

from sandbox.engine.errors import EngineError

MODULE: Final = Path(__file__).resolve().parents[2] / "tools" / "pulumi" / "go.mod"
REMEDY: Final = (
    "run `make pulumi`, which builds the pinned version, or install it (https://www.pulumi.com/docs/install/)"
)


class CliError(EngineError):
    """The CLI is missing, has an unsupported version, or a command of it failed."""


@dataclass(frozen=True)
class Cli:
    """A usable `pulumi`: its path and its version, such as `3.274.1`."""

    command: str
    version: str

    def run(self, *words: str, cwd: Path, environment: Mapping[str, str]) -> str:
        """Run a command to its end and return its standard output; `CliError` with its standard error if it fails."""
        done = subprocess.run(
            [self.command, *words, "--non-interactive"],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise CliError(f"`pulumi {' '.join(words)}` ended with exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def pinned() -> str:
    """The version that `tools/pulumi/go.mod` pins, such as `3.274.1`."""
    found = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", MODULE.read_text(encoding="utf-8"))
    if found is None:
        raise CliError(f"{MODULE}: no version of github.com/pulumi/pulumi/pkg/v3 is required; restore the file")
    return found[1]


def find() -> Cli:
    """Return the `pulumi` on the PATH; `CliError` if it is missing or the SDK does not support its version."""
    try:
        found = PulumiCommand()
    except FileNotFoundError:
        raise CliError(f"pulumi is not on the PATH; {REMEDY}") from None
    except (InvalidVersionError, subprocess.CalledProcessError, OSError) as error:
        raise CliError(f"the pulumi on the PATH cannot be used: {error} Remedy: {REMEDY}") from None
    return Cli(shutil.which(found.command) or found.command, str(found.version))
