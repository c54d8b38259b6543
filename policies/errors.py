"""What ends a command: a message that names the thing, the place and the remedy."""

from __future__ import annotations


class InputError(Exception):
    """What was given (a file, an exemption, a configuration) cannot be used; nothing was judged."""

    exit_code: int = 2
