"""The paths of a stack's files: `STACK/` in the project's `.sandbox/`, or in `SANDBOX_HOME`."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.engine import lock, secrets
from sandbox.engine.errors import EngineError
from sandbox.engine.providers import Clouds
from sandbox.engine.state import State


class OpenClouds(Protocol):
    """Opens the store of a stack's simulated clouds."""

    def __call__(self, store: Path, *, readonly: bool = False) -> AbstractContextManager[Clouds]:
        """Open the clouds whose objects are in `store`."""
        ...


@dataclass(frozen=True)
class Workspace:
    """The files of one stack."""

    home: Path
    stack: str

    @property
    def folder(self) -> Path:
        """The stack's own folder."""
        return self.home / self.stack

    @property
    def state(self) -> Path:
        """The deployment state, in Pulumi's export format."""
        return self.folder / "state.json"

    @property
    def store(self) -> Path:
        """The objects of the simulated clouds."""
        return self.folder / "clouds.json"

    @property
    def official(self) -> Path:
        """The CLI's copy of the stack during an update under the CLI; deleted when its state has been written back."""
        return self.folder / "official"

    def refuse_stale_state(self) -> None:
        """Raise an `EngineError` if the state is stale: an update under the CLI is running or was interrupted."""
        if self.official.exists():
            raise EngineError(
                f"an update under the Pulumi CLI is running or was interrupted, and the stack's state is in "
                f"{self.official}; wait until it ends, or run `up --stack {self.stack} --engine pulumi` "
                "(`make up ENGINE=pulumi`) to take the state over"
            )

    def locked(self, command: str) -> AbstractContextManager[None]:
        """Hold the stack's lock."""
        return lock.hold(self.folder / "lock", command)

    @contextmanager
    def open(self, *, readonly: bool = False) -> Generator[State]:
        """Open the state. A `readonly` one never writes; opening it fails if the state is stale."""
        if readonly:
            self.refuse_stale_state()
        with State(self.state, lambda: secrets.passphrase(self.home, create=not readonly), readonly=readonly) as state:
            yield state


def find(root: Path, stack: str) -> Workspace:
    """Return the workspace of a stack of the project in `root`."""
    return Workspace(Path(os.environ.get("SANDBOX_HOME") or root / ".sandbox"), stack)
