"""The command line: `python -m backups COMMAND …`."""

from __future__ import annotations

import argparse

from backups import commands
from console.running import carry_out


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 no problems, 1 problems or no report, 2 invalid input."""
    return carry_out(parser(), arguments, "interrupted")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands and their options."""
    root = argparse.ArgumentParser(
        prog="python -m backups",
        description="Show the backups of a stack and how long they are kept. BACKUPS_TOKEN must contain the token.",
    )
    subcommands = root.add_subparsers(required=True, metavar="COMMAND")
    summary = "show the backup Workers' report; exit with 1 if it contains a problem"
    status = subcommands.add_parser("status", help=summary, description=summary)
    status.add_argument("--url", help="the report's address (default: the stack's)")
    status.add_argument("--all", action="store_true", help="show every run, not only the newest of each class")
    status.set_defaults(run=commands.status)
    summary = "print the retention of each class, as the table in docs/retention.md"
    rotation = subcommands.add_parser("rotation", help=summary, description=summary)
    rotation.set_defaults(run=commands.rotation)
    for command in (status, rotation):
        command.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        command.add_argument("--stack", required=True, help="the stack, such as prod (settings: Pulumi.prod.yaml)")
    return root
