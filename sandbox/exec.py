"""`python -m sandbox exec`: run a command, such as the real `pulumi`, against the simulated clouds of a stack."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sandbox.engine import secrets
from sandbox.engine.errors import EngineError, InputError
from sandbox.engine.workspace import Workspace, find
from sandbox.official import language
from sandbox.official.stack import attachment


class NotFoundError(EngineError):
    """The command is not on the PATH."""

    exit_code: int = 127  # the shell's exit code for a missing command


def run(root: Path, stack: str, words: list[str]) -> int:
    """Serve the stack's clouds, run the command, and return its exit code."""
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise InputError("no command is given; write `python -m sandbox exec --stack S -- COMMAND...`")
    if shutil.which(command[0]) is None:
        raise NotFoundError(f"{command[0]} is not on the PATH; install it, or correct the command")
    from sandbox.clouds import open_clouds  # noqa: PLC0415 (loads gRPC and the SDKs' metadata)
    from sandbox.clouds.server import serve  # noqa: PLC0415

    workspace = find(root, stack)
    with (
        workspace.locked(" ".join(["exec", *command])),
        open_clouds(workspace.store) as clouds,
        serve(clouds) as ports,
        language.serve() as port,
    ):
        given = environment(os.environ, workspace, ports)
        if shutil.which("pulumi-language-python") is None:  # an installed CLI has its own language host
            given.setdefault("PULUMI_DEBUG_LANGUAGES", f"python:{port}")
        return subprocess.run(command, cwd=root, env=given, check=False).returncode


def environment(given: Mapping[str, str], workspace: Workspace, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the variables that connect `pulumi` to the clouds; the operator's variables override them."""
    backend = (workspace.home / "pulumi").resolve()
    backend.mkdir(parents=True, exist_ok=True)
    ours = {
        **attachment(ports),
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_HOME": str(workspace.home.resolve() / "pulumi-home"),
    }
    if not given.keys() & {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"}:
        secrets.passphrase(workspace.home, create=True)
        ours["PULUMI_CONFIG_PASSPHRASE_FILE"] = str((workspace.home / "passphrase").resolve())
    return {**ours, **given}
