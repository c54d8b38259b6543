"""Run one operation on one resource: record it as pending, call the provider, record the result.

In a preview the provider computes the expected outputs, and nothing is recorded.
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
    """Create, update and delete objects. After a kill at any moment, the next run can continue from the state."""

    def __init__(self, state: State, providers: Providers, watcher: Watcher, *, preview: bool) -> None:
        self._state: State = state
        self._providers: Providers = providers
        self._watcher: Watcher = watcher
        self.preview: bool = preview

    @contextmanager
    def watched(self, step: Step) -> Generator[None]:
        """Notify the watcher when a step begins and ends."""
        if self.preview:
            yield
            return
        begun = time.monotonic()
        self._watcher.started(step)
        yield
        self._watcher.finished(step, time.monotonic() - begun)

    def create(self, new: Resource, old: Resource | None = None) -> Resource:
        """Create the object of `new`. If `old` still exists, mark it for deletion."""
        provider = self._providers.get(new.provider)
        if self.preview:
            _, outputs = provider.create(new.urn, new.type, reveal(new.inputs), preview=True)
            return replace(new, outputs=_with_secret_marks(new, outputs))
        self._state.begin("creating", new)
        id, outputs = provider.create(new.urn, new.type, reveal(new.inputs), preview=False)
        time = now()
        made = replace(new, id=id, outputs=_with_secret_marks(new, outputs), created=time, modified=time)
        self.take_over(made, old)
        self._state.finish(new.urn)
        return made

    def take_over(self, made: Resource, old: Resource | None) -> None:
        """Record a new object in the place of `old`. If `old` has an object, mark it for deletion."""
        if old is not None and old.custom and not (old.external or old.pending_replacement):
            self._state.mark_for_deletion(old)
        self._record(made, old)

    def update(self, new: Resource, old: Resource) -> Resource:
        """Update the object of `old` in place."""
        provider = self._providers.get(new.provider)
        if not self.preview:
            self._state.begin("updating", replace(new, id=old.id, outputs=old.outputs))
        outputs = provider.update(
            new.urn, new.type, old.id, reveal(old.outputs), reveal(new.inputs), preview=self.preview
        )
        made = replace(new, id=old.id, outputs=_with_secret_marks(new, outputs), created=old.created, modified=now())
        if not self.preview:
            self._record(made, old)
            self._state.finish(made.urn)
        return made

    def keep(self, new: Resource, old: Resource) -> Resource:
        """Keep the object and record the properties that only the state has (dependencies, protection)."""
        kept = replace(
            new, id=old.id, outputs=_with_secret_marks(new, old.outputs), created=old.created, modified=old.modified
        )
        if not self.preview:
            self._record(kept, old)
        return kept

    def _record(self, made: Resource, old: Resource | None) -> None:
        """Record a resource. If it was found by an alias, remove the entry under the former URN."""
        self._state.put(made)
        if old is not None and old.urn != made.urn:
            self._state.remove(old)

    def delete(self, resource: Resource, *, to_be_replaced: bool = False) -> None:
        """Delete the object and remove the resource, or keep it as a pending replacement if `to_be_replaced`."""
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


def _with_secret_marks(resource: Resource, outputs: steps.Properties) -> steps.Properties:
    return steps.mark_secret_outputs(outputs, resource.inputs, resource.additional_secret_outputs)
