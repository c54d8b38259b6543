"""Refresh: read every object and record its current properties, so that the next `up` corrects drift."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from sandbox.engine import paths, steps, urns
from sandbox.engine.errors import EngineError
from sandbox.engine.plan import Plan, PropertyChange, Step
from sandbox.engine.providers import Providers
from sandbox.engine.state import Resource, State, in_order, now
from sandbox.engine.watch import Watcher
from sandbox.provider import Change, Found, ProviderError
from sandbox.values import Properties, reveal

PARALLEL: Final = 8


def refresh(state: State, providers: Providers, plan: Plan, watcher: Watcher, stopping: threading.Event) -> None:
    """Read every object and update the state.

    The plan has a step for each resource: `update` if the object drifted, `delete` if it is gone, otherwise `same`.
    """
    ordered = [entry["urn"] for entry in in_order(state.entries())]
    resources = [resource for urn in ordered if (resource := state.get(urn)) is not None]
    shown = [resource for resource in resources if not urns.is_default_provider(resource.urn)]
    for resource in shown:
        plan.add(Step("same", resource.urn, resource.type, resource.parent))

    gone: dict[str, Resource] = {}

    def read(resource: Resource) -> None:
        if stopping.is_set():
            return
        begun = time.monotonic()
        try:
            step = _refreshed(state, providers, resource)
            if step.op == "delete":
                gone[resource.urn] = resource
        except (ProviderError, EngineError) as error:
            plan.fail(resource.urn, str(error))
            watcher.message("error", str(error), resource.urn)
            return
        plan.add(step)
        if step.op != "same":
            watcher.finished(step, time.monotonic() - begun)

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(
            pool.map(
                read, (r for r in shown if r.custom and not urns.is_provider(r.type) and not r.pending_replacement)
            )
        )
    state.forget(gone)


def _refreshed(state: State, providers: Providers, resource: Resource) -> Step:
    provider = providers.get(resource.provider)
    found = provider.read(resource.urn, resource.type, resource.id, reveal(resource.inputs))
    if found is None:
        return Step("delete", resource.urn, resource.type, resource.parent)
    inputs = steps.restore_secret_marks(found.inputs, resource.inputs)
    outputs = steps.mark_secret_outputs(found.outputs, inputs, resource.additional_secret_outputs)
    outputs = steps.restore_secret_marks(outputs, resource.outputs)
    diff = drift(resource, Found(found.id, inputs, outputs))
    if diff:
        state.put(replace(resource, inputs=inputs, outputs=outputs, modified=now()))
    return Step("update" if diff else "same", resource.urn, resource.type, resource.parent, diff)


def drift(resource: Resource, found: Found) -> dict[str, PropertyChange]:
    """Return how the object's properties differ from the state, by property path.

    Compares the inputs, and the outputs whose name is not the name of an input.
    """
    changes = _changes_between(resource.inputs, found.inputs)
    for path, change in _changes_between(resource.outputs, found.outputs).items():
        top = paths.parse(path)[0]
        if top not in resource.inputs and top not in found.inputs:
            changes[path] = change
    return changes


def _changes_between(olds: Properties, news: Properties) -> dict[str, PropertyChange]:
    # Compare without secret marks: a value that is only marked differently did not drift.
    difference = steps.compare(reveal(olds), reveal(news))
    described = steps.describe(difference, olds, {}, news)
    return {path: replace(change, kind=Change(change.kind)) for path, change in described.items()}
