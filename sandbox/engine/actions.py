"""Carrying out one operation on one resource: the provider's call between two records in the state.

In a preview the provider is only asked what would come out, and nothing is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from sandbox.engine import steps, urns
from sandbox.engine.plan import Step
from sandbox.engine.providers import Providers
from sandbox.engine.state import Resource, State, now
from sandbox.engine.watch import Watcher
from sandbox.values import reveal


class Actions:
    """Create, update, replace and delete, each leaving the state such that a killed run can be continued."""

    def __init__(self, state: State, providers: Providers, watcher: Watcher, *, preview: bool) -> None:
        self._state: State = state
        self._providers: Providers = providers
        self._watcher: Watcher = watcher
        self.preview: bool = preview

    @contextmanager
    def watched(self, step: Step) -> Generator[None]:
        """Tell the watcher when a step begins and ends."""
        if self.preview:
            yield
            return
        begun = time.monotonic()
        self._watcher.started(step)
        yield
        self._watcher.finished(step, time.monotonic() - begun)

    def create(self, new: Resource, old: Resource | None = None) -> Resource:
        """Make the object of `new`; `old`, if it still exists, gives up its URN and waits for deletion."""
        provider = self._providers.get(new.provider)
        if self.preview:
            _, outputs = provider.create(new.urn, new.type, reveal(new.inputs), preview=True)
            return replace(new, outputs=_hidden(new, outputs))
        self._state.begin("creating", new)
        id, outputs = provider.create(new.urn, new.type, reveal(new.inputs), preview=False)
        time = now()
        made = replace(new, id=id, outputs=_hidden(new, outputs), created=time, modified=time)
        self.take_over(made, old)
        self._state.finish(new.urn)
        return made

    def take_over(self, made: Resource, old: Resource | None) -> None:
        """Record a new object in the place of `old`, which is kept for deletion if there is an object behind it."""
        if old is not None and old.custom and not (old.external or old.pending_replacement):
            self._state.doom(old)
        self._record(made, old)

    def update(self, new: Resource, old: Resource) -> Resource:
        """Change the object of `old` in place."""
        provider = self._providers.get(new.provider)
        if not self.preview:
            self._state.begin("updating", replace(new, id=old.id, outputs=old.outputs))
        outputs = provider.update(
            new.urn, new.type, old.id, reveal(old.outputs), reveal(new.inputs), preview=self.preview
        )
        made = replace(new, id=old.id, outputs=_hidden(new, outputs), created=old.created, modified=now())
        if not self.preview:
            self._record(made, old)
            self._state.finish(made.urn)
        return made

    def keep(self, new: Resource, old: Resource) -> Resource:
        """Leave the object as it is; what only the state knows (dependencies, protection) may have changed."""
        kept = replace(new, id=old.id, outputs=_hidden(new, old.outputs), created=old.created, modified=old.modified)
        if not self.preview:
            self._record(kept, old)
        return kept

    def _record(self, made: Resource, old: Resource | None) -> None:
        """Record a resource, under another name than before if it was found by an alias."""
        self._state.put(made)
        if old is not None and old.urn != made.urn:
            self._state.remove(old)

    def delete(self, resource: Resource, *, to_be_replaced: bool = False) -> None:
        """Remove the object and forget the resource; one that is `to_be_replaced` stays as pending replacement."""
        if self.preview:
            return
        self._state.begin("deleting", resource)
        owned = resource.custom and not (resource.external or resource.pending_replacement or resource.retain_on_delete)
        if owned and not urns.is_provider(resource.type):
            self._providers.get(resource.provider).delete(resource.urn, resource.type, resource.id)
        if to_be_replaced:
            self._state.put(replace(resource, pending_replacement=True))
        else:
            self._state.remove(resource)
        self._state.finish(resource.urn)


def _hidden(resource: Resource, outputs: steps.Properties) -> steps.Properties:
    return steps.hide(outputs, resource.inputs, resource.additional_secret_outputs)
