"""Where a stack's files are: `.sandbox/STACK/` under the project, or under what `SANDBOX_HOME` names."""

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
        """The clouds on the objects in `store`."""
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
        """Where the official CLI keeps the stack while it updates it; gone once its state is handed back."""
        return self.folder / "official"

    def demand_state(self) -> None:
        """Refuse a state that lags behind, because an update under the official CLI runs or was interrupted."""
        if self.official.exists():
            raise EngineError(
                f"an update under the Pulumi CLI is running or was interrupted, and the stack's state is in "
                f"{self.official}; wait for its end, or run `up --stack {self.stack} --engine pulumi` "
                "(`make up ENGINE=pulumi`) to take the state over"
            )

    def locked(self, command: str) -> AbstractContextManager[None]:
        """Hold the stack's lock."""
        return lock.hold(self.folder / "lock", command)

    @contextmanager
    def open(self, *, readonly: bool = False) -> Generator[State]:
        """The state, from its file; a `readonly` one never writes, and is refused while it lags behind."""
        if readonly:
            self.demand_state()
        with State(self.state, lambda: secrets.passphrase(self.home, create=not readonly), readonly=readonly) as state:
            yield state


def find(root: Path, stack: str) -> Workspace:
    """The workspace of a stack of the project in `root`."""
    return Workspace(Path(os.environ.get("SANDBOX_HOME") or root / ".sandbox"), stack)
