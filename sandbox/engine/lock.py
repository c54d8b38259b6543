"""The stack's lock: a file lock that the kernel releases when the process ends. The file names the process."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sandbox.engine.errors import EngineError


@contextmanager
def hold(path: Path, command: str) -> Generator[None]:
    """Hold the lock during the block. If another process holds it, raise an `EngineError` that names the process.

    A child process started with `close_fds=False` inherits the lock, which is then held until both have ended.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise EngineError(_locked_message(path, file.read())) from None
        file.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(json.dumps({"pid": os.getpid(), "command": command, "user": _user(), "since": since}))
        file.flush()
        os.set_inheritable(file.fileno(), True)
        yield


def _locked_message(path: Path, text: str) -> str:
    try:
        holder = json.loads(text)
        who = f"`{holder['command']}` of {holder['user']} (process {holder['pid']}) since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return f"the stack is locked by {who} ({path}); wait until it ends, or stop it"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
