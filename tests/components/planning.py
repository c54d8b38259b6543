"""Plan the platform inside the test's process with the sandbox's engine and clouds, without starting a program."""

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
from harness.stacks import ROOT, settings_of, texts
from model.drill_reports import reports_in
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

gc.enable()  # sandbox.engine.program disables it on import, because it usually runs in a short-lived process
PROJECT = "backbuild"
STABLE_VERSION = "0a1b2c3d-0000-4000-8000-0123456789ab"
"""A version of the API Worker that already exists in the clouds: the stable version of a partial rollout."""
_VERSION = CloudObject("cloudflare:index/workerVersion:WorkerVersion", STABLE_VERSION, "earlier", "", (), {})


class _Aborting:
    """Replaces a gRPC context. An aborted call raises an error in the program, as over a connection."""

    def abort(self, code: object, details: str) -> None:
        raise RuntimeError(f"{code}: {details}")


class _Direct:
    """Calls a gRPC service directly, without a connection."""

    def __init__(self, service: object) -> None:
        self._service: object = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._service, name)
        return lambda request, *_, **__: method(request, _Aborting())


def plan(folder: Path, stack: str, changes: Mapping[str, Any] | None = None) -> list[Resource]:
    """Return the resources that a first `up` of the changed stack would create. Fails with the plan's errors."""
    workspace = Workspace(folder, stack)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    workspace.store.write_text(json.dumps({"version": 1, "objects": {_VERSION.key: _VERSION.entry()}}))
    return _plan(workspace, changes).resources


def plan_update(workspace: Workspace, changes: Mapping[str, Any]) -> Plan:
    """Return the plan of an `up` of the changed, deployed stack. Fails with the plan's errors."""
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
    for name, value in Platform("platform", topology, reports_in(ROOT / "docs/drills")).results.items():
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
