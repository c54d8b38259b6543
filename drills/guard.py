"""Which stacks a drill may break, and that only one drill runs on a stack."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from console.errors import InputError
from model.topology import Topology
from sandbox.engine import lock
from sandbox.engine.errors import EngineError
from sandbox.engine.workspace import find


@contextmanager
def only_drill(topology: Topology, root: Path, command: str) -> Generator[None]:
    """Hold the stack's lock of drills during the block.

    Raises `InputError` if the stack allows no drills, or if another one runs.
    """
    if not topology.settings.drills.allowed:
        raise InputError(
            f"{topology.stack} does not allow drills: set `drills: {{allowed: true}}` in Pulumi.{topology.stack}.yaml"
        )
    try:
        with lock.hold(find(root, topology.stack).folder / "drill.lock", command):
            yield
    except EngineError as error:
        raise InputError(str(error)) from None
