"""The error of machines: it names the machine or the program, and the remedy."""

from __future__ import annotations

from sandbox.engine.errors import EngineError


class MachineError(EngineError):
    """A machine, its network or its image cannot be made ready."""
