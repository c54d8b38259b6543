"""Bring each committed stack up once for all processes of a test run."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.stacks import ROOT

PASSPHRASE = "the same for every stack that tests bring up"


def new_home(folder: Path) -> Path:
    """Return a new folder for the sandbox's state, with the passphrase of all tests: states can be copied into it."""
    folder.mkdir()
    (folder / "passphrase").write_text(PASSPHRASE)
    return folder


def sandbox(home: Path, *words: str, cwd: Path = ROOT, code: int = 0) -> Any:
    """Run `python -m sandbox` and return the JSON that it prints; it must exit with `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *words, "--cwd", str(cwd)],
        cwd=ROOT,
        env=os.environ | {"SANDBOX_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def brought_up(shared: Path, stack: str) -> Path:
    """Return a home in which a committed stack is up; what its `up` printed is in `STACK.json`.

    The first process that needs a stack brings it up. Others wait for it. Tests only read this home.
    """
    with (shared / "deployed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = shared / "deployed"
        if not home.exists():
            new_home(home)
        printed = home / f"{stack}.json"
        if not printed.exists():
            done = sandbox(home, "up", "--stack", stack, "--skip-preview", "--skip-policies", "--json")
            printed.write_text(json.dumps(done))
        return home
