"""The type of a configuration error."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = "backbuild"


@dataclass(frozen=True)
class Problem:
    """A configuration error: the key, and a message that says what is allowed. An empty key means the stack's name."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{NAMESPACE}:{self.key}: {self.message}" if self.key else self.message
