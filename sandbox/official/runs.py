"""Run `preview` and `up` with the Pulumi CLI: give it the stack's state, and write the state back after an update.

The sandbox's state file remains the only state of the stack, so that either engine can continue the other's work.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe

from sandbox.clouds.server import OpenClouds, serve
from sandbox.engine import project, secrets
from sandbox.engine.analyzers import packs_of
from sandbox.engine.project import Project
from sandbox.engine.transfer import replace_state
from sandbox.engine.workspace import Workspace, find
from sandbox.official.cli import Cli, pinned
from sandbox.official.cli import find as find_cli
from sandbox.official.stack import OfficialStack, attached


def preview(root: Path, stack: str, clouds: OpenClouds, *, policies: bool, json: bool, diff: bool) -> int:
    """Plan `up` without a lock and without writing; return the exit code."""
    settings, workspace, cli = project.load(root, stack), find(root, stack), usable_cli()
    with (
        tempfile.TemporaryDirectory(prefix="pulumi-") as folder,
        _open_stack(cli, Path(folder) / "stack", settings, workspace, clouds, readonly=True) as opened,
    ):
        return _run_command(
            opened, "preview", *pack_arguments(settings, policies=policies), *_display(json=json, diff=diff)
        )


def up(
    root: Path, stack: str, clouds: OpenClouds, *, policies: bool, json: bool, diff: bool, skip_preview: bool
) -> int:
    """Update the stack to match the program; return the exit code."""
    settings, workspace, cli = project.load(root, stack), find(root, stack), usable_cli()
    words = ["up", "--yes", *(["--skip-preview"] if skip_preview or json else [])]
    with workspace.locked("up --engine pulumi"):
        recover(cli, settings, workspace)
        with _open_stack(cli, workspace.official, settings, workspace, clouds, readonly=False) as opened:
            try:
                words += [*pack_arguments(settings, policies=policies), *_display(json=json, diff=diff)]
                return _run_command(opened, *words)
            finally:
                _write_back_state(opened, settings, workspace)


def recover(cli: Cli, settings: Project, workspace: Workspace) -> None:
    """If an update under the CLI was interrupted, write its state back."""
    if not workspace.official.exists():
        return
    print("The last update under the Pulumi CLI was interrupted; writing its state back first.", file=sys.stderr)
    with attached(secrets.passphrase(workspace.home, create=True), {}) as environment:
        _write_back_state(
            OfficialStack.reopen(cli, workspace.official, settings.stack, environment), settings, workspace
        )


@contextmanager
def _open_stack(
    cli: Cli, folder: Path, settings: Project, workspace: Workspace, clouds: OpenClouds, *, readonly: bool
) -> Generator[OfficialStack]:
    with (
        clouds(workspace.store, readonly=readonly) as opened,
        serve(opened) as ports,
        attached(_passphrase(workspace, readonly=readonly), ports) as environment,
    ):
        yield _create_stack(cli, folder, settings, workspace, environment)


def _passphrase(workspace: Workspace, *, readonly: bool) -> str:
    """Return the sandbox's passphrase, or for a preview of a stack without state a temporary one."""
    if readonly and not workspace.state.exists():
        return token_urlsafe()
    return secrets.passphrase(workspace.home, create=not readonly)


def _create_stack(
    cli: Cli, folder: Path, settings: Project, workspace: Workspace, environment: Mapping[str, str]
) -> OfficialStack:
    """Create the CLI's stack from the workspace's state. `recover` relies on `folder` being complete if it exists."""
    partial = _partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        stack = OfficialStack.create(cli, partial, settings, environment)
        if workspace.state.exists():
            with workspace.open(readonly=True) as state:
                stack.load(state.export())
        return stack.moved(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_back_state(stack: OfficialStack, settings: Project, workspace: Workspace) -> None:
    replace_state(settings, workspace, stack.state())
    partial = _partial_folder(stack.folder)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(stack.moved(partial).folder)


def _partial_folder(folder: Path) -> Path:
    """Return the folder's name while it is created or deleted. `recover` ignores folders of that name."""
    return folder.with_name(folder.name + ".partial")


def _run_command(stack: OfficialStack, *words: str) -> int:
    """Run a command on the operator's terminal. Ctrl-C reaches the CLI directly, so this process ignores it."""
    process = stack.start(*words)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
        if code < 0:
            print(f"error: the Pulumi CLI was killed by signal {-code}; run the command again", file=sys.stderr)
        return 0 if code == 0 else 1
    finally:
        signal.signal(signal.SIGINT, before)
        _terminate(process)


def _terminate(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait()


def pack_arguments(settings: Project, *, policies: bool) -> Iterator[str]:
    """Yield the CLI's arguments for the project's packs and their configuration files."""
    for pack in packs_of(settings.root) if policies else ():
        yield from ("--policy-pack", str(pack))
        configuration = pack / f"{settings.stack}.json"
        # The CLI matches packs and files by their order, so each pack needs a file.
        yield from ("--policy-pack-config", str(configuration if configuration.exists() else _no_configuration()))


def _no_configuration() -> Path:
    return Path(__file__).with_name("no-configuration.json")


def _display(*, json: bool, diff: bool) -> Iterator[str]:
    if json:
        yield "--json"
    if diff:
        yield "--diff"


def usable_cli() -> Cli:
    """Return the CLI on the PATH; print its version if that is not the pinned one."""
    cli = find_cli()
    if cli.version != pinned():
        print(f"Using the Pulumi CLI {cli.version} ({cli.command}); {pinned()} is pinned and tested.", file=sys.stderr)
    return cli
