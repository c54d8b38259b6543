"""Find objects that remain after their resources are deleted: some providers cannot delete some types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from sandbox.engine import urns
from sandbox.engine.providers import Providers
from sandbox.engine.state import Resource


@runtime_checkable
class KnowsUndeletableTypes(Protocol):
    """A provider that can say which types it cannot delete."""

    def undeletable(self, type: str) -> tuple[str, str] | None:
        """Return the property that refers to the object's owner, and the remedy; None if the type can be deleted."""
        ...


def undeletable_objects(going: Sequence[Resource], providers: Providers) -> Iterator[tuple[str, str]]:
    """Yield URN and remedy of each object that cannot be deleted and whose owner is not deleted either."""
    gone = {resource.urn for resource in going}
    for resource in going:
        if not resource.custom or resource.delete or resource.external or urns.is_provider(resource.type):
            continue
        provider = providers.get(resource.provider)
        found = provider.undeletable(resource.type) if isinstance(provider, KnowsUndeletableTypes) else None
        if found is not None and not gone.intersection(resource.property_dependencies.get(found[0], ())):
            yield resource.urn, f"the provider cannot delete this object, which remains unchanged: {found[1]}"
