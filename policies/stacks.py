"""Exported states of this project's stacks: as planned, or as brought up in the sandbox.

The sandbox is called by its command line, so another program that exports states can replace it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from console.errors import InputError
from policies.sources import Judged, from_export

ROOT = Path(__file__).resolve().parent.parent


def planned(stack: str) -> Judged:
    """Return the stack's state as it would be after an update, without secrets."""
    return from_export(_sandbox("export", "--stack", stack, "--planned"), f"plan of {stack}")


def brought_up(stack: str, root: Path = ROOT) -> Judged:
    """Return the stack's state after the sandbox has brought it up in a temporary folder; no value in it is unknown.

    `root`: the folder of the program.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _sandbox("up", "--stack", stack, "--skip-preview", "--skip-policies", "--json", home=home, root=root)
        return exported(home, stack, root)


def require_commit(commit: str) -> None:
    """Raise `InputError` if the repository does not have a commit."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        raise InputError(f"{commit}: there is no such commit; name a commit of this repository")


@contextmanager
def checked_out(commit: str) -> Generator[Path]:
    """Check a commit of this project out into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "archive", "--format=tar", commit], capture_output=True, check=False
        )
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1]
            raise InputError(f"{commit}: {reason}; name a commit of this repository")
        subprocess.run(["tar", "-x", "-C", folder], input=done.stdout, check=True)
        yield Path(folder)


def exported(home: Path, stack: str, root: Path = ROOT) -> Judged:
    """Return the state of a stack that is up in a sandbox's home.

    With secrets in plain text, because a list of bindings with a secret is encrypted as a whole.
    """
    return from_export(
        _sandbox("export", "--stack", stack, "--show-secrets", home=home, root=root), f"state of {stack}"
    )


def _sandbox(*words: str, home: Path | None = None, root: Path = ROOT) -> bytes:
    environment = os.environ if home is None else {**os.environ, "SANDBOX_HOME": str(home)}
    command = [sys.executable, "-m", "sandbox", *words, "--cwd", str(root)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        raise InputError(complaint(done.stderr.decode(errors="replace")))
    return done.stdout


def complaint(text: str) -> str:
    """Return the sandbox's last error, followed by causes that it printed before."""
    *earlier, last = (block.strip() for block in re.split(r"^error: ", text, flags=re.MULTILINE))
    causes = [block for block in earlier[1:] if block not in last]
    return "\n".join([f"{last}:" if causes else last, *causes])
