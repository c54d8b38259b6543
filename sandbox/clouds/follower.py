"""Whoever follows what happens to the clouds' objects. It is called outside the store's lock, and may take its time."""

from __future__ import annotations

from typing import Protocol

from sandbox.values import Properties


class Follower(Protocol):
    """Is told of each operation on an object, except in previews. An error fails the operation."""

    def creating(self, type: str, inputs: Properties) -> None:
        """Prepare the creation of an object."""
        ...

    def changed(self, type: str, id: str, outputs: Properties) -> None:
        """Follow the creation of an object, or its update."""
        ...

    def deleting(self, type: str, id: str, outputs: Properties) -> None:
        """Prepare the deletion of an object."""
        ...

    def deleted(self, type: str, id: str, outputs: Properties) -> None:
        """Follow the deletion of an object."""
        ...


class Nobody:
    """Follows nothing."""

    def creating(self, type: str, inputs: Properties) -> None:
        """Do nothing."""

    def changed(self, type: str, id: str, outputs: Properties) -> None:
        """Do nothing."""

    def deleting(self, type: str, id: str, outputs: Properties) -> None:
        """Do nothing."""

    def deleted(self, type: str, id: str, outputs: Properties) -> None:
        """Do nothing."""
