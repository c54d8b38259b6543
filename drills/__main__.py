"""`python -m drills COMMAND`."""

from __future__ import annotations

import argparse
import sys

from console.running import carry_out
from drills.reports import command as reports
from drills.restore import command as restore
from drills.running import command as running


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 success, 1 failure, 2 invalid input."""
    interrupted = "interrupted; a restore continues if you run it again with the same arguments"
    return carry_out(parser(), arguments, interrupted)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands and their options."""
    summary = "Break a stack on purpose and measure, and restore its database."
    root = argparse.ArgumentParser(prog="python -m drills", description=summary)
    subcommands = root.add_subparsers(required=True, metavar="COMMAND")
    running.add_to(subcommands)
    reports.add_to(subcommands)
    restore.add_to(subcommands)
    return root


if __name__ == "__main__":
    sys.exit(main())
