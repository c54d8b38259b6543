"""What is wrong with a stack's configuration, by key. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = "backbuild"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the configuration: the key, and what is allowed there; no key means the stack's own name."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{NAMESPACE}:{self.key}: {self.message}" if self.key else self.message
