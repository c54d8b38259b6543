"""A stack of this project as an exported state: what it would hold, or what it holds once it is brought up.

The sandbox is asked as anybody asks it, by its command line, so that whatever else exports states can take its place.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from console.errors import InputError
from policies.sources import Judged, from_export

ROOT = Path(__file__).resolve().parent.parent


def planned(stack: str) -> Judged:
    """What the stack would hold after an update, secrets left out."""
    return from_export(_sandbox("export", "--stack", stack, "--planned"), f"plan of {stack}")


def brought_up(stack: str) -> Judged:
    """What the stack holds once the sandbox has brought it up in a folder of its own: nothing is unknown in it."""
    with tempfile.TemporaryDirectory() as home:
        _sandbox("up", "--stack", stack, "--skip-preview", "--skip-policies", "--json", home=home)
        # With secrets: a list of bindings that holds one is encrypted as a whole, and the state's folder is gone soon.
        exported = _sandbox("export", "--stack", stack, "--show-secrets", home=home)
        return from_export(exported, f"state of {stack}")


def _sandbox(*words: str, home: str | None = None) -> bytes:
    environment = os.environ if home is None else {**os.environ, "SANDBOX_HOME": home}
    command = [sys.executable, "-m", "sandbox", *words, "--cwd", str(ROOT)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        raise InputError(complaint(done.stderr.decode(errors="replace")))
    return done.stdout


def complaint(text: str) -> str:
    """What the sandbox ended with, and below it the cause where that was said before."""
    *earlier, last = (block.strip() for block in re.split(r"^error: ", text, flags=re.MULTILINE))
    causes = [block for block in earlier[1:] if block not in last]
    return "\n".join([f"{last}:" if causes else last, *causes])
