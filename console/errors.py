"""Errors that end a command, with a message for the operator and an exit code."""

from __future__ import annotations


class CommandError(Exception):
    """A command failed. The message names the thing, the place and the remedy."""

    exit_code = 1


class InputError(CommandError):
    """The input is invalid; nothing was changed."""

    exit_code = 2
