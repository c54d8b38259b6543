"""From a command line to an exit code: 0 done, 1 failed or something is wrong, 2 the input cannot be used."""

from __future__ import annotations

import argparse
import json
import os
import sys

from console.errors import CommandError


def carry_out(parser: argparse.ArgumentParser, arguments: list[str] | None, interrupted: str) -> int:
    """Run the command that was chosen: its `run`; `interrupted` is said when a person stops it."""
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except CommandError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": str(error)}))
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read has seen enough; the interpreter's last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
