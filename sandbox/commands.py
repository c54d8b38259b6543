"""The commands of the command line: each runs an operation of the engine and prints its result."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

from sandbox.engine import operations
from sandbox.engine.display import Display
from sandbox.engine.errors import EngineError, InputError
from sandbox.engine.operations import Result
from sandbox.engine.transfer import export_plan, export_state, import_state
from sandbox.engine.workspace import OpenClouds, find
from sandbox.ledger import Entry
from sandbox.machines.place import place_of


def clouds() -> OpenClouds:
    """Return the function that opens the simulated clouds."""
    from sandbox.clouds import open_clouds  # noqa: PLC0415 (slow to load)

    return open_clouds


def _root(options: argparse.Namespace) -> Path:
    return Path(options.cwd).resolve()


def _official() -> ModuleType:
    """Return the module that runs the Pulumi CLI."""
    from sandbox.official import runs  # noqa: PLC0415 (imports gRPC and the Automation API)

    return runs


def _machines() -> ModuleType:
    """Return the module of the commands for machines."""
    from sandbox.machines import commands  # noqa: PLC0415 (few commands need it)

    return commands


def preview(options: argparse.Namespace) -> int:
    """`preview`."""
    if options.engine == "pulumi":
        return _official().preview(
            _root(options),
            options.stack,
            clouds(),
            policies=not options.skip_policies,
            json=options.json,
            diff=options.diff,
        )
    display = Display(options, "Previewing update")
    with display:
        result = operations.preview(
            _root(options), options.stack, clouds(), display, policies=not options.skip_policies
        )
    return _show(options, display, result, planned=True)


def up(options: argparse.Namespace) -> int:
    """`up`."""
    workspace = find(_root(options), options.stack)
    # A stack that has machines keeps them until `destroy`: an update without them would leave them outdated.
    live = options.live or place_of(workspace).folder.exists()
    if options.engine == "pulumi":
        if live:
            raise InputError(
                "machines follow the sandbox's own engine only; leave out --engine pulumi, or run `destroy`"
            )
        return _official().up(
            _root(options),
            options.stack,
            clouds(),
            policies=not options.skip_policies,
            json=options.json,
            diff=options.diff,
            skip_preview=options.skip_preview,
        )
    machines = _machines().prepare(workspace) if live else None
    display = Display(options, "Updating")
    planned = None if options.skip_preview else display.planned
    with display:
        result = operations.up(
            _root(options),
            options.stack,
            clouds() if machines is None else machines.open,
            display,
            planned=planned,
            policies=not options.skip_policies,
        )
        if machines is not None and result.code == 0:
            machines.wait()
    code = _show(options, display, result)
    if machines is not None and code == 0:
        _machines().show_urls(workspace)
    return code


def refresh(options: argparse.Namespace) -> int:
    """`refresh`."""
    display = Display(options, "Refreshing", "opening the state")
    with display:
        result = operations.refresh(_root(options), options.stack, clouds(), display)
    return _show(options, display, result)


def destroy(options: argparse.Namespace) -> int:
    """`destroy`."""
    display = Display(options, "Destroying", "opening the state")
    with display:
        result = operations.destroy(_root(options), options.stack, clouds(), display, unprotect=options.unprotect)
        workspace = find(_root(options), options.stack)
        if result.code == 0:
            _machines().remove(workspace)
    return _show(options, display, result)


def _show(options: argparse.Namespace, display: Display, result: Result, *, planned: bool = False) -> int:
    if options.json:
        print(json.dumps(result.plan.to_json()))
    display.result(result.plan, planned=planned)
    return result.code


def export(options: argparse.Namespace) -> int:
    """`export`."""
    exported = _planned(options) if options.planned else None
    if exported is None:
        exported = export_state(_root(options), options.stack, show_secrets=options.show_secrets)
    text = json.dumps(exported, indent=4)
    if options.file:
        options.file.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 0


def _planned(options: argparse.Namespace) -> Entry:
    display = Display(argparse.Namespace(stack=options.stack, json=True, diff=False), "Planning")
    with display:
        result = operations.preview(_root(options), options.stack, clouds(), display)
    if result.code == InputError.exit_code:
        raise InputError(
            f"{options.stack} cannot be planned: its program rejects the configuration; correct the errors above"
        )
    if result.code:
        reasons = "; ".join(message for _, message in result.plan.errors) or "the program ended early"
        raise EngineError(f"{options.stack} cannot be planned: {reasons}")
    return export_plan(result.resources, result.declared)


def import_(options: argparse.Namespace) -> int:
    """`import`."""
    try:
        text = options.file.read_text(encoding="utf-8") if options.file else sys.stdin.read()
    except OSError as error:
        raise InputError(f"{options.file} cannot be read: {error}") from error
    kept = import_state(_root(options), options.stack, text)
    print("Import complete." + (f" The previous state is in {kept}." if kept else ""), file=sys.stderr)
    return 0


def execute(options: argparse.Namespace) -> int:
    """`exec`."""
    from sandbox.exec import run  # noqa: PLC0415 (imports gRPC)

    return run(_root(options), options.stack, options.command)


def status(options: argparse.Namespace) -> int:
    """`status`."""
    return _machines().status(options)


def watch(options: argparse.Namespace) -> int:
    """`watch`."""
    return _machines().watch(options)


def logs(options: argparse.Namespace) -> int:
    """`logs`."""
    return _machines().logs(options)


def ssh(options: argparse.Namespace) -> int:
    """`ssh`."""
    return _machines().ssh(options)


def kill(options: argparse.Namespace) -> int:
    """`kill`."""
    return _machines().kill(options)


def cut(options: argparse.Namespace) -> int:
    """`cut`."""
    return _machines().cut(options)


def heal(options: argparse.Namespace) -> int:
    """`heal`."""
    return _machines().heal(options)


def graph(options: argparse.Namespace) -> int:
    """`graph`."""
    from sandbox.graph import run  # noqa: PLC0415 (only this command draws)

    # `json=True` keeps progress off stdout, where the SVG may go.
    display = Display(argparse.Namespace(stack=options.stack, json=True, diff=False), "Drawing")
    with display:
        return run(_root(options), options.stack, clouds(), display, options.out)
