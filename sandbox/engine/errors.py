"""The engine's errors: each has a message for the operator and an exit code for the process."""

from __future__ import annotations


class EngineError(Exception):
    """An error whose message is shown unchanged; it names the thing, the place and the remedy."""

    exit_code: int = 1


class InputError(EngineError):
    """The operator's input (files, configuration, arguments) is invalid; nothing was changed."""

    exit_code: int = 2


class UnsupportedError(EngineError):
    """The program uses a feature of Pulumi that this engine does not support."""
