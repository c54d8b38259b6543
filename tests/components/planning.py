"""Plans the platform in this process, with the sandbox's own engine and clouds: no program is started for each plan."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
from pulumi.runtime.stack import run_in_stack

from components.platform import Platform
from harness.stacks import settings_of, texts
from model.topology import Topology
from sandbox.clouds import open_clouds
from sandbox.clouds.store import CloudObject
from sandbox.engine.deployment import Deployment
from sandbox.engine.monitor import Log, Monitor
from sandbox.engine.plan import Plan
from sandbox.engine.program import Outstanding
from sandbox.engine.state import Resource
from sandbox.engine.watch import SilentWatcher
from sandbox.engine.workspace import Workspace

gc.enable()  # the launcher, a short-lived process of its own otherwise, turns it off when it is loaded
PROJECT = "backbuild"
STABLE_VERSION = "0a1b2c3d-0000-4000-8000-0123456789ab"
"""A version of the API Worker that the clouds have already: what a partial rollout leaves the rest with."""
_VERSION = CloudObject("cloudflare:index/workerVersion:WorkerVersion", STABLE_VERSION, "earlier", "", (), {})


class _Aborting:
    """Stands in for a gRPC context: an aborted call fails the program, as it does over the wire."""

    def abort(self, code: object, details: str) -> None:
        raise RuntimeError(f"{code}: {details}")


class _Direct:
    """A service called without a connection."""

    def __init__(self, service: object) -> None:
        self._service: object = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._service, name)
        return lambda request, *_, **__: method(request, _Aborting())


def plan(folder: Path, stack: str, changes: Mapping[str, Any] | None = None) -> list[Resource]:
    """Return what a first `up` of the changed stack would create; fail with the plan's errors."""
    workspace = Workspace(folder, stack)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    workspace.store.write_text(json.dumps({"version": 1, "objects": {_VERSION.key: _VERSION.entry()}}))
    return _plan(workspace, changes).resources


def plan_update(workspace: Workspace, changes: Mapping[str, Any]) -> Plan:
    """Return what an `up` of the changed stack would do to the deployed one; fail with the plan's errors."""
    return _plan(workspace, changes).plan


def _plan(workspace: Workspace, changes: Mapping[str, Any] | None) -> Deployment:
    stack = workspace.stack
    topology = Topology(stack, settings_of(stack, changes))
    with workspace.open(readonly=True) as state, open_clouds(workspace.store, readonly=True) as clouds:
        config = texts(stack, changes)
        deployment = Deployment(stack, PROJECT, config, state, clouds, SilentWatcher(), preview=True)
        state.unlock()
        _run(deployment, config, lambda: _declare(topology))
        deployment.finish()
        assert not deployment.plan.errors, deployment.plan.errors
        return deployment


def _declare(topology: Topology) -> None:
    for name, value in Platform("platform", topology).results.items():
        pulumi.export(name, value)


def _run(deployment: Deployment, config: dict[str, str], program: Callable[[], None]) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(4))
    pulumi.runtime.set_all_config(config)
    settings = pulumi.runtime.Settings(
        monitor=_Direct(Monitor(deployment)),
        engine=_Direct(Log(deployment, SilentWatcher())),
        project=PROJECT,
        stack=deployment.stack,
        parallel=16,
        dry_run=True,
        organization="organization",
    )
    settings.outputs = Outstanding()  # pyright: ignore[reportAttributeAccessIssue] (it has all the SDK uses of a set)
    pulumi.runtime.configure(settings)
    try:
        loop.run_until_complete(run_in_stack(program))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
