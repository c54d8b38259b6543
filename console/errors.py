"""Why a command ends early, for people."""

from __future__ import annotations


class CommandError(Exception):
    """It could not be done: the message names what, where and the remedy."""

    exit_code = 1


class InputError(CommandError):
    """What was given cannot be used; nothing was done."""

    exit_code = 2
