"""The command line: `python -m backups COMMAND …`."""

from __future__ import annotations

import argparse

from backups import commands
from console.running import carry_out


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command line and return the exit code: 0 all is well, 1 it is not, 2 the input cannot be used."""
    return carry_out(parser(), arguments, "interrupted")


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    whole = argparse.ArgumentParser(
        prog="python -m backups",
        description="What is backed up, where and until when. The token comes from BACKUPS_TOKEN.",
    )
    rooms = whole.add_subparsers(required=True, metavar="COMMAND")
    told = "what the backup Workers report; ends with 1 when something is wrong"
    status = rooms.add_parser("status", help=told, description=told)
    status.add_argument("--url", help="the report's address (default: the stack's)")
    status.add_argument("--all", action="store_true", help="every run, not only each class's newest")
    status.set_defaults(run=commands.status)
    told = "how long what is kept, as the table in docs/retention.md"
    rotation = rooms.add_parser("rotation", help=told, description=told)
    rotation.set_defaults(run=commands.rotation)
    for command in (status, rotation):
        command.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        command.add_argument("--stack", required=True, help="such as prod: whose settings are in Pulumi.prod.yaml")
    return whole
