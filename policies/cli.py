"""The command line: `python -m policies COMMAND`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console.running import carry_out
from policies import commands, reviewing


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit code: 0 if every mandatory rule holds, 1 if one fails, 2 for invalid input."""
    return carry_out(parser(), arguments, "interrupted; the stack was not judged")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands with their options."""
    whole = argparse.ArgumentParser(
        prog="python -m policies",
        description="Judge a stack by the rules, and write the verdicts as evidence.",
    )
    subparsers = whole.add_subparsers(required=True, metavar="COMMAND")
    rules = _command(subparsers, "rules", commands.rules, "list the rules")
    rules.add_argument("--markdown", action="store_true", help="print docs/rules.md")
    _judging(_command(subparsers, "judge", commands.judge, "judge a stack, and list the rules that fail"))
    report = _judging(_command(subparsers, "report", commands.report, "judge a stack, and write the evidence"))
    report.add_argument("--out", type=Path, required=True, help="the folder to write to; created if it does not exist")
    report.add_argument(
        "--plan", type=Path, help="a file with the output of `python -m sandbox preview --json`, for the comment"
    )
    review = _command(subparsers, "baseline", reviewing.run, "show scripts, files and documents without a review")
    review.add_argument("--stack", action="append", help="a stack of this project; may be repeated (default: all)")
    review.add_argument("--base", default="HEAD", help="the commit to compare with (default: HEAD)")
    review.add_argument("--write", action="store_true", help="record in policies/baseline.toml that they were reviewed")
    review.add_argument("--by", help="who reviewed them; required with --write")
    return whole


def _command(
    subparsers: Any, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text)
    added.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    added.set_defaults(run=run)
    return added


def _judging(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    subject = command.add_mutually_exclusive_group(required=True)
    subject.add_argument("--stack", help="a stack of this project, as it would be after an update")
    subject.add_argument("--file", type=Path, help="a state that `pulumi stack export` or the sandbox wrote")
    command.add_argument(
        "--planned",
        action="store_true",
        help="the file is a plan (state.json of a report), in which some values are not known yet",
    )
    command.add_argument(
        "--ignore-stale-exemptions",
        action="store_true",
        help="ignore exemptions that have expired or excuse nothing; for a plan that another commit has made",
    )
    return command
