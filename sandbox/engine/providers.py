"""The provider instances of a run: explicit ones, default ones created on demand, and former ones in the state."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Final, Protocol

from sandbox.engine import urns
from sandbox.engine.errors import EngineError
from sandbox.engine.state import Resource, State
from sandbox.provider import Provider
from sandbox.values import UNKNOWN_ON_THE_WIRE, Properties, reveal

INTERNAL: Final = "__internal"  # Pulumi stores plugin settings under this key; here it is always empty


class Clouds(Protocol):
    """A source of providers."""

    def provider(self, package: str, version: str) -> Provider:
        """Return the unconfigured provider of a package; raise `ProviderError` if the package is not supported."""
        ...


class Providers:
    """Configured providers by reference (`URN::ID`). Methods may be called from several threads."""

    def __init__(self, clouds: Clouds, state: State) -> None:
        self._clouds: Clouds = clouds
        self._state: State = state
        self._instances: dict[str, Provider] = {}
        self._defaults: dict[str, str] = {}
        self._lock: threading.RLock = threading.RLock()

    def base(self, type: str, version: str) -> Provider:
        """Return the unconfigured provider for a provider resource of this type."""
        return self._clouds.provider(urns.package_of(type), version)

    def configure(self, resource: Resource) -> None:
        """Make the provider that `resource` describes available under its reference."""
        version = str(reveal(resource.inputs).get("version", ""))
        instance = self.base(resource.type, version).configure(reveal(settings_of(resource.inputs)))
        with self._lock:
            self._instances[reference(resource)] = instance

    def get(self, named: str) -> Provider:
        """Return the instance of a reference. If this run has not configured it, configure it from the state."""
        with self._lock:
            found = self._instances.get(named)
            if found is None:
                self.configure(self._from_state(named))
                found = self._instances[named]
            return found

    def _from_state(self, named: str) -> Resource:
        urn, id = urns.split_reference(named)
        kept = self._state.get(urn)
        candidates = [*([kept] if kept else []), *self._state.pending_deletions()]
        for resource in candidates:
            if resource.urn == urn and resource.id == id:
                return resource
        raise EngineError(f"{named}: no such provider is registered or in the state; register it before its resources")

    def default(self, package: str, version: str, register: Callable[[str, str, Properties], str]) -> str:
        """Return the reference of a package's default provider; register the provider at the first call.

        `register` takes the type, the name and the version as inputs, and returns the reference.
        """
        with self._lock:
            name = f"default_{version.replace('.', '_').replace('-', '_').replace('+', '_')}" if version else "default"
            key = f"{package}:{name}"
            if key not in self._defaults:
                inputs: Properties = {"version": version} if version else {}
                self._defaults[key] = register(urns.PROVIDER_PREFIX + package, name, inputs)
            return self._defaults[key]


def settings_of(inputs: Properties) -> Properties:
    """Return a provider resource's settings: its inputs without the engine's own keys."""
    return {key: value for key, value in inputs.items() if key not in {"version", INTERNAL}}


def reference(resource: Resource) -> str:
    """Return the reference to a provider resource. In a preview of its creation the id is unknown."""
    return f"{resource.urn}::{resource.id or UNKNOWN_ON_THE_WIRE}"


def new_id() -> str:
    """Generate an id for a provider resource, which has no object in the cloud."""
    return str(uuid.uuid4())
