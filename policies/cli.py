"""The command line: `python -m policies COMMAND`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console.running import carry_out
from policies import commands


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command line: 0 every mandatory rule holds, 1 one does not, 2 the input cannot be used."""
    return carry_out(parser(), arguments, "interrupted; nothing was decided")


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    whole = argparse.ArgumentParser(prog="python -m policies", description="Judge a stack, and keep the evidence.")
    rooms = whole.add_subparsers(required=True, metavar="COMMAND")
    rules = _command(rooms, "rules", commands.rules, "list the rules")
    rules.add_argument("--markdown", action="store_true", help="print docs/rules.md")
    _judging(_command(rooms, "judge", commands.judge, "judge a stack, and say what does not hold"))
    report = _judging(_command(rooms, "report", commands.report, "judge a stack, and write the evidence"))
    report.add_argument("--out", type=Path, required=True, help="the folder to write to; made if it is not there")
    report.add_argument("--plan", type=Path, help="what `sandbox preview --json` printed, for the comment")
    return whole


def _command(rooms: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = rooms.add_parser(name, help=text, description=text)
    added.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    added.set_defaults(run=run)
    return added


def _judging(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    subject = command.add_mutually_exclusive_group(required=True)
    subject.add_argument("--stack", help="a stack of this project: what it would hold after an update")
    subject.add_argument("--file", type=Path, help="a state that `pulumi stack export` or the sandbox wrote")
    command.add_argument(
        "--planned", action="store_true", help="the file is a plan (a report's state.json): not everything is known yet"
    )
    command.add_argument(
        "--ignore-stale-exemptions",
        action="store_true",
        help="leave out exemptions that have expired or excuse nothing: for a plan of another commit than the rules'",
    )
    return command
