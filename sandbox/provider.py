"""What the engine asks of a provider: the resource operations of Pulumi's `ResourceProvider`, as plain Python.

The engine calls these methods directly; `sandbox.clouds.server` offers the same object over gRPC to the real CLI.
Values given to a provider hold no `Secret`; in a preview they may hold `UNKNOWN`, at any depth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sandbox.values import Properties


class Change(StrEnum):
    """How one property differs: the kinds of Pulumi's detailed diff."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"
    ADD_REPLACE = "add-replace"
    DELETE_REPLACE = "delete-replace"
    UPDATE_REPLACE = "update-replace"


@dataclass(frozen=True)
class CheckFailure:
    """One input that the provider refuses: where, why, and what would be right."""

    path: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """Inputs with the provider's defaults filled in, or the failures that stop them."""

    inputs: Properties
    failures: tuple[CheckFailure, ...] = ()


@dataclass(frozen=True)
class Difference:
    """What separates a resource from its new inputs, by property path (`tags.Name`, `rules[0].port`)."""

    detail: dict[str, Change] = field(default_factory=dict[str, Change])
    delete_before_replace: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything differs at all."""
        return bool(self.detail)

    @property
    def replaces(self) -> tuple[str, ...]:
        """The top-level properties whose change forces a replacement."""
        paths = [path for path, change in self.detail.items() if change.endswith("-replace")]
        return tuple(dict.fromkeys(path.split(".")[0].split("[")[0] for path in paths))


@dataclass(frozen=True)
class Found:
    """An object as the cloud holds it now: its id, the inputs that would make it, and its outputs."""

    id: str
    inputs: Properties
    outputs: Properties


class ProviderError(Exception):
    """An operation that the cloud refused; the message names the object, the property and the remedy."""


class Provider(Protocol):
    """A provider of one package (`aws`), in one configuration."""

    package: str
    version: str

    def check_config(self, urn: str, inputs: Properties) -> Checked:
        """Validate the provider's own configuration (`region`, `defaultTags`)."""
        ...

    def configure(self, inputs: Properties) -> Provider:
        """The same cloud seen through this configuration: a provider instance, which shares the object store."""
        ...

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, seed: bytes) -> Checked:
        """Validate inputs and fill in defaults; `olds` are the previous inputs, kept for generated names."""
        ...

    def diff(self, type: str, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Difference:
        """Compare a resource with checked inputs; an `UNKNOWN` counts as a change of that property."""
        ...

    def create(self, urn: str, type: str, inputs: Properties, preview: bool) -> tuple[str, Properties]:
        """Make the object and return its id and outputs.

        In a preview nothing is stored, the id is "" and what is not yet known is `UNKNOWN`.
        """
        ...

    def update(
        self, urn: str, type: str, id: str, old_outputs: Properties, news: Properties, preview: bool
    ) -> Properties:
        """Change the object in place and return its outputs."""
        ...

    def read(self, urn: str, type: str, id: str, inputs: Properties) -> Found | None:
        """The object as it is now, or None when it is gone; `inputs` (empty for a lookup) say which to report."""
        ...

    def delete(self, urn: str, type: str, id: str) -> None:
        """Remove the object; an object that is gone already is no error."""
        ...

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Answer a provider function such as `aws:index/getCallerIdentity:getCallerIdentity`."""
        ...
