"""What a run ends with when it cannot go on: a message for the operator and the exit code of the process."""

from __future__ import annotations


class EngineError(Exception):
    """An error that is shown as it stands; the message names the thing, the place and the remedy."""

    exit_code: int = 1


class InputError(EngineError):
    """What the operator gave (files, configuration, arguments) cannot be used; nothing was done."""

    exit_code: int = 2


class UnsupportedError(EngineError):
    """A feature of Pulumi that this engine refuses by name rather than guess at."""
