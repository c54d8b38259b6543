"""`python -m sandbox exec`: any command, the real `pulumi` for one, against the simulated clouds of a stack."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sandbox.engine import secrets
from sandbox.engine.errors import EngineError, InputError
from sandbox.engine.workspace import Workspace, find


class NotFoundError(EngineError):
    """The command is not on the PATH."""

    exit_code: int = 127  # as shells have it


def run(root: Path, stack: str, words: list[str]) -> int:
    """Serve the stack's clouds, run the command, and return its exit code."""
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise InputError("no command is given; write `python -m sandbox exec --stack S -- COMMAND...`")
    if shutil.which(command[0]) is None:
        raise NotFoundError(f"{command[0]} is not on the PATH; install it, or correct the command")
    from sandbox.clouds import open_clouds  # noqa: PLC0415 (they load gRPC and the SDKs' metadata)
    from sandbox.clouds.server import serve  # noqa: PLC0415

    workspace = find(root, stack)
    with workspace.locked(" ".join(["exec", *command])), open_clouds(workspace.store) as clouds, serve(clouds) as ports:
        return subprocess.run(command, cwd=root, env=environment(os.environ, workspace, ports), check=False).returncode


def environment(given: Mapping[str, str], workspace: Workspace, ports: Mapping[str, int]) -> dict[str, str]:
    """What lets `pulumi` find the clouds, under what the operator has set."""
    backend = (workspace.home / "pulumi").resolve()
    backend.mkdir(parents=True, exist_ok=True)
    ours = {
        "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in ports.items()),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_BACKEND_URL": f"file://{backend}",
    }
    if not given.keys() & {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"}:
        secrets.passphrase(workspace.home, create=True)
        ours["PULUMI_CONFIG_PASSPHRASE_FILE"] = str((workspace.home / "passphrase").resolve())
    return {**ours, **given}
