"""Delete resources: dependents before their dependencies, independent resources in parallel."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sandbox.engine import urns
from sandbox.engine.actions import Actions
from sandbox.engine.errors import EngineError
from sandbox.engine.graph import waves
from sandbox.engine.plan import Plan, Step
from sandbox.engine.state import Resource
from sandbox.engine.watch import Watcher
from sandbox.provider import ProviderError

PARALLEL: Final = 8


def delete(
    actions: Actions,
    plan: Plan,
    resources: list[Resource],
    watcher: Watcher,
    stopping: threading.Event,
) -> None:
    """Delete `resources`, or in a preview plan their deletion. If any is protected, report those and delete nothing."""
    if protected := sorted(
        resource.urn
        for resource in resources
        if resource.protect and not (resource.delete or resource.pending_replacement)
    ):
        plan.fail(
            "",
            "protected resources would be deleted: " + ", ".join(protected) + "; keep them in the program, or set "
            "protect=False and run `up` first",
        )
        if not actions.preview:
            return
    by_key = {f"{resource.urn}::{resource.id}": resource for resource in resources}
    steps = {key: _step(resource, plan) for key, resource in by_key.items()}
    if actions.preview:
        return
    keys_of: dict[str, list[str]] = {}
    for key, resource in by_key.items():
        keys_of.setdefault(resource.urn, []).append(key)
    needs = {key: [k for urn in _needs(resource) for k in keys_of.get(urn, ())] for key, resource in by_key.items()}

    def carry_out(key: str) -> None:
        if stopping.is_set():
            return
        try:
            with actions.watched(steps[key]):
                actions.delete(by_key[key])
        except (ProviderError, EngineError) as error:
            plan.fail(by_key[key].urn, str(error))
            stopping.set()
            watcher.message("error", str(error), by_key[key].urn)

    with ThreadPoolExecutor(PARALLEL) as pool:
        for wave in waves(needs):
            list(pool.map(carry_out, wave))


def _step(resource: Resource, plan: Plan) -> Step:
    """Return the step of a deletion. The plan omits default providers and the old objects of replacements."""
    step = Step("delete", resource.urn, resource.type, resource.parent)
    if not resource.delete and not urns.is_default_provider(resource.urn):
        plan.add(step)
    return step


def _needs(resource: Resource) -> Iterable[str]:
    yield resource.parent
    yield urns.split_reference(resource.provider)[0]
    yield from resource.dependencies
    for listed in resource.property_dependencies.values():
        yield from listed
