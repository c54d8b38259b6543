"""Resolve the pending operations of an interrupted run by reading their objects from the clouds.

An object that exists is recorded with its current properties; one that does not exist is removed from the state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

from sandbox.engine import steps, urns
from sandbox.engine.errors import EngineError
from sandbox.engine.providers import Providers
from sandbox.engine.state import Resource, State, now
from sandbox.engine.watch import Watcher
from sandbox.values import reveal


@runtime_checkable
class FindsByUrn(Protocol):
    """A provider that can find the newest object created for a URN."""

    def find_by_urn(self, urn: str, type: str) -> str | None:
        """Return the id of the newest object created for `urn`, or None."""
        ...


def settle(state: State, providers: Providers, watcher: Watcher) -> None:
    """Update the state for every operation that was interrupted."""
    for operation, resource in state.operations():
        if operation == "creating":
            outcome = _settle_create(state, providers, resource)
        else:
            outcome = _settle_change(state, providers, resource, deleting=operation == "deleting")
        state.finish(resource.urn)
        watcher.message("warning", f"{operation} was interrupted earlier: {outcome}", resource.urn)


def _settle_create(state: State, providers: Providers, resource: Resource) -> str:
    known = [
        old
        for old in [state.get(resource.urn), *state.pending_deletions()]
        if old is not None and old.urn == resource.urn
    ]
    provider = providers.get(resource.provider)
    if not isinstance(provider, FindsByUrn):
        raise EngineError(
            f"{resource.urn} was being created when the last run was interrupted, and its provider cannot tell whether "
            "the object exists; check it, correct the exported state by hand, and import that state"
        )
    id = provider.find_by_urn(resource.urn, resource.type)
    if id is None or any(old.id == id for old in known):
        return "no object had been created, it will be created now" if not known else "the state is complete"
    found = provider.read(resource.urn, resource.type, id, reveal(resource.inputs))
    if found is None:
        return "no object had been created, it will be created now"
    time = now()
    outputs = steps.mark_secret_outputs(found.outputs, resource.inputs, resource.additional_secret_outputs)
    old = state.get(resource.urn)
    if old is not None and not old.pending_replacement and not old.external:
        state.mark_for_deletion(old)
    state.put(replace(resource, id=id, outputs=outputs, created=time, modified=time))
    return f"the object had been created, {id} is added to the state"


def _settle_change(state: State, providers: Providers, resource: Resource, *, deleting: bool) -> str:
    kept = next((r for r in state.pending_deletions() if r.urn == resource.urn and r.id == resource.id), None)
    kept = kept or state.get(resource.urn)
    if kept is None or kept.id != resource.id or not kept.custom or urns.is_provider(kept.type):
        return "the state is complete"
    if deleting and (kept.pending_replacement or kept.external):
        return "the state is complete"
    found = providers.get(kept.provider).read(kept.urn, kept.type, kept.id, reveal(resource.inputs))
    if found is None:
        if kept.delete:
            state.remove(kept)
        else:
            state.forget({kept.urn: kept})
        return "the object no longer exists"
    inputs = steps.restore_secret_marks(found.inputs, resource.inputs)
    outputs = steps.mark_secret_outputs(found.outputs, inputs, resource.additional_secret_outputs)
    state.put(replace(kept, inputs=inputs, outputs=outputs))
    return "the state now has the object's current properties"
