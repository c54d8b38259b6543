"""The provider interface: the resource operations of Pulumi's `ResourceProvider` as plain Python methods.

The engine calls these methods directly; `sandbox.clouds.server` serves the same object over gRPC to the real CLI.
Arguments contain no `Secret`. In a preview they may contain `UNKNOWN`, at any depth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sandbox.values import Properties


class Change(StrEnum):
    """The kind of change of one property, as in Pulumi's detailed diff."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"
    ADD_REPLACE = "add-replace"
    DELETE_REPLACE = "delete-replace"
    UPDATE_REPLACE = "update-replace"


@dataclass(frozen=True)
class CheckFailure:
    """One invalid input: its property path, the reason, and the valid alternative."""

    path: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """Inputs with the provider's defaults filled in, or the check failures."""

    inputs: Properties
    failures: tuple[CheckFailure, ...] = ()


@dataclass(frozen=True)
class Difference:
    """The changes from a resource to its new inputs, by property path (`tags.Name`, `rules[0].port`)."""

    detail: dict[str, Change] = field(default_factory=dict[str, Change])
    delete_before_replace: bool = False

    @property
    def changed(self) -> bool:
        """Whether any property differs."""
        return bool(self.detail)

    @property
    def replaces(self) -> tuple[str, ...]:
        """The top-level properties whose change forces a replacement."""
        paths = [path for path, change in self.detail.items() if change.endswith("-replace")]
        return tuple(dict.fromkeys(path.split(".")[0].split("[")[0] for path in paths))


@dataclass(frozen=True)
class Found:
    """The current state of an object in the cloud: its id, the inputs that would create it, and its outputs."""

    id: str
    inputs: Properties
    outputs: Properties


class ProviderError(Exception):
    """The cloud rejected an operation. The message names the object, the property and the remedy."""


class Provider(Protocol):
    """A provider of one package (`aws`), in one configuration."""

    package: str
    version: str

    def check_config(self, urn: str, inputs: Properties) -> Checked:
        """Validate the provider's own configuration (`region`, `defaultTags`)."""
        ...

    def configure(self, inputs: Properties) -> Provider:
        """Return a provider instance with this configuration. It shares the object store with this one."""
        ...

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, seed: bytes) -> Checked:
        """Validate inputs and fill in defaults. Generated names are taken over from `olds`, the previous inputs."""
        ...

    def diff(self, type: str, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Difference:
        """Compare a resource with checked inputs; an `UNKNOWN` counts as a change of that property."""
        ...

    def create(self, urn: str, type: str, inputs: Properties, preview: bool) -> tuple[str, Properties]:
        """Create the object and return its id and outputs.

        In a preview nothing is stored, the id is "", and outputs that are computed during an update are `UNKNOWN`.
        """
        ...

    def update(
        self, urn: str, type: str, id: str, old_outputs: Properties, news: Properties, preview: bool
    ) -> Properties:
        """Change the object in place and return its outputs."""
        ...

    def read(self, urn: str, type: str, id: str, inputs: Properties) -> Found | None:
        """Return the current object, or None if it does not exist.

        The result reports the inputs that `inputs` holds; for a lookup, `inputs` is empty.
        """
        ...

    def delete(self, urn: str, type: str, id: str) -> None:
        """Delete the object. If it does not exist, do nothing."""
        ...

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Call a provider function such as `aws:index/getCallerIdentity:getCallerIdentity`."""
        ...
