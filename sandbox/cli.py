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
    """Carry out a command line and return the exit code: 0 done, 1 failed, 2 the input cannot be used."""
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
        # Whoever read has seen enough; the interpreter's last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the command again to continue", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Plan and bring up a Pulumi program on this machine, without a cloud."
    )
    commands_of = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Run, text: str) -> argparse.ArgumentParser:
        added = commands_of.add_parser(name, help=text, description=text)
        added.add_argument("--stack", required=True, help="the stack: Pulumi.STACK.yaml configures it")
        added.add_argument("--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: this one)")
        added.set_defaults(run=run)
        return added

    def running(name: str, run: Run, text: str) -> argparse.ArgumentParser:
        added = command(name, run, text)
        added.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        added.add_argument("--diff", action="store_true", help="show the properties of what is created, too")
        return added

    preview = running("preview", commands.preview, "show what `up` would do")
    up = running("up", commands.up, "bring the stack to what the program declares")
    for judged in (preview, up):
        judged.add_argument(
            "--engine",
            choices=("sandbox", "pulumi"),
            default="sandbox",
            help="which engine plans and updates: the sandbox's own (default), or the Pulumi CLI on the PATH",
        )
        judged.add_argument("--skip-policies", action="store_true", help="do not run the packs below policies/")
    up.add_argument("--skip-preview", action="store_true", help="do not plan first")
    up.add_argument("--yes", action="store_true", help="accepted for likeness with pulumi; the sandbox never asks")
    running("refresh", commands.refresh, "record every object as the clouds have it now")
    destroy = running("destroy", commands.destroy, "delete everything the stack has")
    destroy.add_argument("--yes", action="store_true", help="accepted for likeness with pulumi")
    export = command("export", commands.export, "print the state as `pulumi stack import` takes it")
    export.add_argument("--show-secrets", action="store_true", help="secrets in plain text")
    export.add_argument("--planned", action="store_true", help="what the stack would hold after `up`, without secrets")
    export.add_argument("--file", type=Path, help="write to this file instead")
    imported = command("import", commands.import_, "replace the state by one that `export` or pulumi wrote")
    imported.add_argument("--file", type=Path, help="read this file instead of the standard input")
    execute = command("exec", commands.execute, "run a command, the real pulumi for one, against the simulated clouds")
    execute.add_argument("command", nargs=argparse.REMAINDER, help="the command, after `--`")
    graph = command("graph", commands.graph, "draw the stack as an SVG: its state, or what a preview says it would be")
    graph.add_argument("--out", type=Path, help="write to this file instead of the standard output")
    return parser
