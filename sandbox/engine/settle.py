"""Settling what an interrupted run left open: the clouds are asked what became of it, nothing is guessed.

Whatever was under way, the object is looked up: one that is there is recorded as it is, one that is gone is forgotten.
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
class Findable(Protocol):
    """A provider that can tell which object was made last for a URN."""

    def find_by_urn(self, urn: str, type: str) -> str | None:
        """The id of the newest object made for `urn`, or None."""
        ...


def settle(state: State, providers: Providers, watcher: Watcher) -> None:
    """Bring the state up to date with the clouds for every operation that was cut off."""
    for operation, resource in state.operations():
        if operation == "creating":
            outcome = _creating(state, providers, resource)
        else:
            outcome = _changing(state, providers, resource, deleting=operation == "deleting")
        state.finish(resource.urn)
        watcher.message("warning", f"{operation} was interrupted earlier: {outcome}", resource.urn)


def _creating(state: State, providers: Providers, resource: Resource) -> str:
    known = [old for old in [state.get(resource.urn), *state.doomed()] if old is not None and old.urn == resource.urn]
    provider = providers.get(resource.provider)
    if not isinstance(provider, Findable):
        raise EngineError(
            f"{resource.urn} was being created when the last run was cut off, and its provider cannot tell whether the "
            "object exists; import the state after settling it by hand"
        )
    id = provider.find_by_urn(resource.urn, resource.type)
    if id is None or any(old.id == id for old in known):
        return "nothing had been made, it will be made now" if not known else "the state is complete"
    found = provider.read(resource.urn, resource.type, id, reveal(resource.inputs))
    if found is None:
        return "nothing had been made, it will be made now"
    time = now()
    outputs = steps.hide(found.outputs, resource.inputs, resource.additional_secret_outputs)
    old = state.get(resource.urn)
    if old is not None and not old.pending_replacement and not old.external:
        state.doom(old)
    state.put(replace(resource, id=id, outputs=outputs, created=time, modified=time))
    return f"the object had been made, {id} is adopted"


def _changing(state: State, providers: Providers, resource: Resource, *, deleting: bool) -> str:
    kept = next((r for r in state.doomed() if r.urn == resource.urn and r.id == resource.id), None)
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
        return "the object is gone"
    inputs = steps.keep_secret(found.inputs, resource.inputs)
    outputs = steps.hide(found.outputs, inputs, resource.additional_secret_outputs)
    state.put(replace(kept, inputs=inputs, outputs=outputs))
    return "the object is recorded as it is now"
