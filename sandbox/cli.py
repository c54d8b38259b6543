"""The command line: `python -m sandbox COMMAND --stack S`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox import commands
from sandbox.engine.errors import EngineError
from sandbox.ledger import CorruptError
from sandbox.provider import ProviderError

Run = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return the exit code: 0 success, 1 failure, 2 invalid input."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (EngineError, CorruptError, ProviderError) as error:
        code = error.exit_code if isinstance(error, EngineError) else 1
        if getattr(options, "json", False):
            print(json.dumps({"error": str(error)}))
        print(f"error: {error}", file=sys.stderr)
        return code
    except BrokenPipeError:
        # The reader of the pipe has closed it. Redirect stdout, or the interpreter's last flush fails, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the command again to continue", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Preview and update a Pulumi program on this machine, without a cloud."
    )
    commands_of = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Run, text: str) -> argparse.ArgumentParser:
        added = commands_of.add_parser(name, help=text, description=text)
        added.add_argument("--stack", required=True, help="the stack: Pulumi.STACK.yaml configures it")
        added.add_argument(
            "--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)"
        )
        added.set_defaults(run=run)
        return added

    def running(name: str, run: Run, text: str) -> argparse.ArgumentParser:
        added = command(name, run, text)
        added.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
        added.add_argument("--diff", action="store_true", help="also show the properties of the resources to create")
        return added

    preview = running("preview", commands.preview, "show the changes that `up` would make")
    up = running("up", commands.up, "update the stack to match the program")
    for planning in (preview, up):
        planning.add_argument(
            "--engine",
            choices=("sandbox", "pulumi"),
            default="sandbox",
            help="which engine plans and updates: the sandbox's own (default), or the Pulumi CLI on the PATH",
        )
        planning.add_argument("--skip-policies", action="store_true", help="do not run the policy packs in policies/")
    up.add_argument(
        "--live",
        action="store_true",
        help="also boot the instances as Debian machines; needs root, see docs/sandbox.md",
    )
    up.add_argument("--skip-preview", action="store_true", help="update without a preview")
    up.add_argument("--yes", action="store_true", help="no effect: the sandbox never asks for confirmation")
    running("refresh", commands.refresh, "update the state to match the objects in the clouds")
    destroy = running("destroy", commands.destroy, "delete all resources of the stack, and its machines")
    destroy.add_argument("--yes", action="store_true", help="no effect: the sandbox never asks for confirmation")
    destroy.add_argument(
        "--unprotect", action="store_true", help="also delete protected resources; otherwise they stop the command"
    )
    export = command("export", commands.export, "print the state in the format of `pulumi stack export`")
    export.add_argument("--show-secrets", action="store_true", help="print secrets in plain text")
    export.add_argument(
        "--planned", action="store_true", help="print the state that `up` would produce, without secrets"
    )
    export.add_argument("--file", type=Path, help="write to this file instead")
    imported = command(
        "import", commands.import_, "replace the state with one that `export` or `pulumi stack export` wrote"
    )
    imported.add_argument("--file", type=Path, help="read this file instead of stdin")
    execute = command(
        "exec", commands.execute, "run a command, for example the real pulumi, against the simulated clouds"
    )
    execute.add_argument("command", nargs=argparse.REMAINDER, help="the command, after `--`")
    command("status", commands.status, "list the stack's machines, and what they published last")
    watch = command("watch", commands.watch, "show members, backups, alarms and pages in a view that refreshes")
    watch.add_argument("--once", action="store_true", help="print the view once and exit")
    for name, run, text in (
        ("logs", commands.logs, "show a machine's journal; options of journalctl follow `--`"),
        ("ssh", commands.ssh, "run a command in a machine, after `--`, or a shell"),
        ("kill", commands.kill, "end a machine at once, like a power loss"),
    ):
        acting = command(name, run, text)
        acting.add_argument("name", metavar="NAME", help="the machine")
        if name != "kill":
            acting.add_argument("command", nargs=argparse.REMAINDER, metavar="-- WORDS", help=argparse.SUPPRESS)
    cut = command("cut", commands.cut, "cut a zone or a machine from the network; its processes keep running")
    cut.add_argument("name", metavar="NAME", help="the zone or the machine")
    cut.add_argument("--only", choices=("incoming", "outgoing"), help="drop the packets of one direction only")
    heal = command("heal", commands.heal, "reconnect what `cut` has cut")
    heal.add_argument("name", metavar="NAME", nargs="?", help="the zone or the machine (default: all)")
    graph = command(
        "graph", commands.graph, "draw the stack as an SVG, from its state, or from a preview if it has none"
    )
    graph.add_argument("--out", type=Path, help="write to this file instead of stdout")
    return parser
