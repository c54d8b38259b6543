"""The commands preview, up, refresh and destroy. Each returns a plan and an exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox.engine import project
from sandbox.engine.analyzers import Analyzers, packs_of
from sandbox.engine.errors import InputError
from sandbox.engine.host import Program
from sandbox.engine.plan import Plan
from sandbox.engine.project import Project
from sandbox.engine.state import Resource
from sandbox.engine.watch import Watcher
from sandbox.engine.workspace import OpenClouds, Workspace, find
from sandbox.values import Properties


@dataclass(frozen=True)
class Result:
    """The result of a run: the plan, the process's exit code, and the resources that the program registered.

    `declared` holds the inputs from the program, before the provider's defaults, by URN.
    """

    plan: Plan
    code: int
    resources: Sequence[Resource] = ()
    declared: Mapping[str, Properties] = field(default_factory=dict[str, Any])


def preview(root: Path, stack: str, clouds: OpenClouds, watcher: Watcher, *, policies: bool = False) -> Result:
    """Plan `up` without a lock and without writing. With `policies`, the project's packs evaluate the plan."""
    settings = project.load(root, stack)
    return _run(settings, find(root, stack), clouds, watcher, planning=True, policies=policies)


def up(
    root: Path,
    stack: str,
    clouds: OpenClouds,
    watcher: Watcher,
    *,
    planned: Callable[[Plan], None] | None,
    command: str = "up",
    policies: bool = False,
) -> Result:
    """Update the stack to match the program. Without `planned`, skip the preview; otherwise call it with the plan.

    With `policies`, the project's packs evaluate the plan before the first step, and the stack after the last one.
    """
    settings = project.load(root, stack)
    workspace = find(root, stack)
    with workspace.locked(command):
        workspace.refuse_stale_state()
        if planned is not None:
            result = _run(settings, workspace, clouds, watcher, planning=True, policies=policies)
            planned(result.plan)
            if result.code:
                return result
        return _run(settings, workspace, clouds, watcher, planning=False, policies=policies)


def _run(
    settings: Project,
    workspace: Workspace,
    clouds: OpenClouds,
    watcher: Watcher,
    *,
    planning: bool,
    policies: bool,
) -> Result:
    program = Program(settings)
    packs = Analyzers(settings, planning, packs_of(settings.root) if policies else [])
    try:
        with packs:
            return _deploy(settings, workspace, clouds, watcher, program, packs, planning=planning)
    finally:
        program.stop()


def _deploy(
    settings: Project,
    workspace: Workspace,
    clouds: OpenClouds,
    watcher: Watcher,
    program: Program,
    packs: Analyzers,
    *,
    planning: bool,
) -> Result:
    # These take 0.3 seconds to load. The program's process loads the SDK at the same time.
    from sandbox.engine import monitor  # noqa: PLC0415
    from sandbox.engine.deployment import Deployment  # noqa: PLC0415
    from sandbox.engine.settle import settle  # noqa: PLC0415

    with workspace.open(readonly=planning) as state, clouds(workspace.store, readonly=planning) as opened:
        deployment = Deployment(
            settings.stack, settings.name, settings.config, state, opened, watcher, preview=planning
        )
        state.unlock()
        settle(state, deployment.providers, watcher)
        if not planning:
            packs.configure()  # reports invalid pack configuration before the first step
        with interruptible(deployment.stopping, watcher):
            with monitor.serve(deployment, watcher) as address:
                code = program.run(address, watcher, preview=planning)
                deployment.drain()
            if code == 0 and not deployment.stopping.is_set():
                deployment.finish()
            if code == 0 and not deployment.plan.errors and not deployment.stopping.is_set():
                if planning:
                    packs.configure()  # only now, so that the packs load while the program runs
                violations = packs.analyze(deployment.resources)
                deployment.plan.record_violations([pack.name for pack in packs.packs], violations)
        return Result(deployment.plan, _exit_code(deployment, code), deployment.resources, deployment.declared_inputs)


def _exit_code(deployment: Any, code: int) -> int:
    """Return 0 for success, 1 for a failure, 2 if the program stopped before it registered a resource."""
    plan: Plan = deployment.plan
    if code == 1 and not deployment.declared and not deployment.stopping.is_set():
        return InputError.exit_code
    if code not in {0, 1, 32} and not plan.errors:
        plan.fail(
            "", f"the program ended with exit code {code}" if code > 0 else f"the program was killed by signal {-code}"
        )
    if deployment.stopping.is_set() and not plan.errors:
        plan.fail("", "interrupted; started steps are finished and recorded; run `up` again to continue")
    return 1 if code or plan.errors else 0


def refresh(root: Path, stack: str, clouds: OpenClouds, watcher: Watcher) -> Result:
    """Read every object from the clouds and update the state."""
    project.load(root, stack)
    workspace = find(root, stack)
    with workspace.locked("refresh"), workspace.open() as state, clouds(workspace.store) as opened:
        workspace.refuse_stale_state()
        from sandbox.engine.providers import Providers  # noqa: PLC0415
        from sandbox.engine.refresh import refresh as read_all  # noqa: PLC0415
        from sandbox.engine.settle import settle  # noqa: PLC0415

        plan = Plan()
        stopping = threading.Event()
        state.unlock()
        providers = Providers(opened, state)
        settle(state, providers, watcher)
        with interruptible(stopping, watcher):
            read_all(state, providers, plan, watcher, stopping)
        return Result(plan, 1 if plan.errors else 0)


def destroy(root: Path, stack: str, clouds: OpenClouds, watcher: Watcher, *, unprotect: bool = False) -> Result:
    """Delete all resources of the stack. If any is protected, delete nothing, unless `unprotect`."""
    settings = project.load(root, stack)
    workspace = find(root, stack)
    with workspace.locked("destroy"), workspace.open() as state, clouds(workspace.store) as opened:
        workspace.refuse_stale_state()
        from sandbox.engine.deployment import Deployment  # noqa: PLC0415
        from sandbox.engine.settle import settle  # noqa: PLC0415

        deployment = Deployment(settings.stack, settings.name, settings.config, state, opened, watcher, preview=False)
        state.unlock()
        settle(state, deployment.providers, watcher)
        if unprotect:
            for resource in filter(None, map(state.get, state.live())):
                state.put(replace(resource, protect=False))
        with interruptible(deployment.stopping, watcher):
            deployment.finish()
        return Result(deployment.plan, _exit_code(deployment, 0))


@contextmanager
def interruptible(stopping: threading.Event, watcher: Watcher) -> Generator[None]:
    """Stop starting steps at the first Ctrl-C. A second one ends the process; the state stays consistent."""

    def interrupt(_signal: int, _frame: object) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()
        watcher.message("warning", "interrupted: finishing the started steps (press Ctrl-C again to end at once)")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
