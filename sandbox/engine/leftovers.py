"""What deleting a resource leaves behind: some objects can be changed through their provider, but not be deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from sandbox.engine import urns
from sandbox.engine.providers import Providers
from sandbox.engine.state import Resource


@runtime_checkable
class Leaving(Protocol):
    """A provider that knows which types it cannot delete."""

    def remains(self, type: str) -> tuple[str, str] | None:
        """The property that names what such an object goes with, and the remedy; None for what is deleted."""
        ...


def remaining(going: Sequence[Resource], providers: Providers) -> Iterator[tuple[str, str]]:
    """URN and remedy of each object that stays although its resource goes, and what it belongs to does not go."""
    gone = {resource.urn for resource in going}
    for resource in going:
        if not resource.custom or resource.delete or resource.external or urns.is_provider(resource.type):
            continue
        provider = providers.get(resource.provider)
        found = provider.remains(resource.type) if isinstance(provider, Leaving) else None
        if found is not None and not gone.intersection(resource.property_dependencies.get(found[0], ())):
            yield resource.urn, f"the provider cannot delete it, and it stays as it is: {found[1]}"
