"""The progress of a long drill in a file, so that an interrupted run continues."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SOURCES = ("drills/*.py", "harness/*", "workers/lib/*", "workers/backups/**/*")
"""The code on which the result depends: a run of other code is not continued."""


class Progress:
    """A file below `.sandbox/drills/`, or `drills/` in `SANDBOX_HOME`, for one drill with certain arguments.

    It is replaced as a whole, so a process that is killed while it writes leaves the previous state.
    """

    def __init__(self, drill: str, *, anew: bool = False, **arguments: int) -> None:
        home = Path(os.environ.get("SANDBOX_HOME") or ROOT / ".sandbox")
        chosen = "".join(f"-{name}-{value}" for name, value in arguments.items())
        self.path = home / "drills" / f"{drill}{chosen}.progress"
        if anew:
            self.path.unlink(missing_ok=True)

    def load(self) -> Any:
        """Return the newest saved state, or None if there is none of this code. The file is as trusted as the code."""
        try:
            with self.path.open("rb") as file:
                return pickle.load(file) if file.read(64) == _sources() else None  # noqa: S301
        except FileNotFoundError:
            return None

    def save(self, state: object) -> None:
        """Replace the saved state."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = self.path.with_suffix(".new")
        written.write_bytes(_sources() + pickle.dumps(state))
        written.replace(self.path)

    def remove(self) -> None:
        """Delete the file, when the drill is complete."""
        self.path.unlink(missing_ok=True)


def _sources() -> bytes:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest().encode()
