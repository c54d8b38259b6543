"""The paths and names of a live stack. Each name in the kernel begins with a prefix that belongs to its folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sandbox.engine.workspace import Workspace


@dataclass(frozen=True)
class Place:
    """Where a stack's machines are."""

    folder: Path
    """`STACK/live` in the sandbox's folder; it exists while the stack is live."""
    store: Path
    """The objects of the simulated clouds."""
    images: Path
    """The images, shared by all stacks: `images` in the sandbox's folder, or the folder in `SANDBOX_IMAGES`."""

    @cached_property
    def prefix(self) -> str:
        """The beginning of every name in the kernel that belongs to this stack."""
        return "sandbox-" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]

    def namespace(self, name: str) -> str:
        """Return the name of a network namespace."""
        return f"{self.prefix}-{name}"

    @property
    def cloud(self) -> str:
        """The namespace that has the bridges of all subnets, the router between them and the services."""
        return self.namespace("cloud")

    @property
    def services(self) -> Path:
        """The folder of the services' keys, logs and records."""
        return self.folder / "services"

    @property
    def metrics(self) -> Path:
        """The folder of the metrics that each instance published last."""
        return self.services / "metrics"


def place_of(workspace: Workspace) -> Place:
    """Return the place of a stack's machines."""
    images = Path(os.environ.get("SANDBOX_IMAGES") or workspace.home / "images")
    return Place((workspace.folder / "live").resolve(), workspace.store.resolve(), images.resolve())
