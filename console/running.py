"""Runs a command line and returns its exit code: 0 success, 1 failure or a problem found, 2 invalid input."""

from __future__ import annotations

import argparse
import json
import os
import sys

from console.errors import CommandError


def carry_out(parser: argparse.ArgumentParser, arguments: list[str] | None, interrupted: str) -> int:
    """Parse the arguments and call the command's `run`; print `interrupted` on Ctrl-C."""
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except CommandError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": str(error)}))
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of the pipe has closed it. Redirect stdout, or the interpreter's last flush fails, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
