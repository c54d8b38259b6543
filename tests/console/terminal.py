"""Run command lines in a terminal of a given width, or with a pipe as stdout."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

PIPE = 0
"""A value for the width: stdout is a pipe."""


def printed(columns: int, module: str, *arguments: str) -> list[str]:
    """Return the lines that `python -m module arguments` prints in a terminal of `columns` columns, or into a pipe."""
    command = [sys.executable, "-m", module, *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    if columns == PIPE:
        ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        return ran.stdout.splitlines()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, env={**environment, "TERM": "dumb"}, stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        output = b""
        while chunk := _read(ours):
            output += chunk
        process.wait()
    os.close(ours)
    return output.decode().splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux raises this when the last writer has closed the terminal
        return b""
