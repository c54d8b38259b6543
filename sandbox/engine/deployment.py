"""One run on a stack: compare the resources that the program registers with the state, plan steps, and run them.

The gRPC services call the public methods from many threads, one call per resource; each call returns when its step has
ended. `finish` deletes the resources that the program no longer registers.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.engine import deletion, leftovers, paths, steps, urns
from sandbox.engine.actions import Actions
from sandbox.engine.aliases import former_urns
from sandbox.engine.errors import EngineError
from sandbox.engine.graph import Dependents
from sandbox.engine.plan import Plan, Step
from sandbox.engine.providers import INTERNAL, Clouds, Providers, new_id, settings_of
from sandbox.engine.state import Resource, State, now
from sandbox.engine.steps import Goal
from sandbox.engine.watch import Watcher
from sandbox.provider import Checked, Difference, Provider, ProviderError
from sandbox.values import UNKNOWN, UNKNOWN_ON_THE_WIRE, Properties, Value, reveal


class StoppedError(Exception):
    """The run starts no further steps, because a step failed or the operator interrupted it."""


@dataclass(frozen=True)
class Registered:
    """The response to a registration. `failed`: planning this resource failed, and the preview continues."""

    urn: str
    id: str = ""
    outputs: Properties = field(default_factory=dict[str, Any])
    failed: bool = False


class Deployment:
    """A preview or an update of one stack."""

    def __init__(
        self,
        stack: str,
        project: str,
        config: dict[str, str],
        state: State,
        clouds: Clouds,
        watcher: Watcher,
        *,
        preview: bool,
    ) -> None:
        self.stack: str = stack
        self.project: str = project
        self.config: dict[str, str] = config
        self.preview: bool = preview
        self.plan: Plan = Plan()
        self.stopping: threading.Event = threading.Event()
        self.declared_inputs: dict[str, Properties] = {}
        self.providers: Providers = Providers(clouds, state)
        self._state: State = state
        self._watcher: Watcher = watcher
        self._actions: Actions = Actions(state, self.providers, watcher, preview=preview)
        self._registered: dict[str, Resource] = {}
        self._claimed: set[str] = set()
        self._aliased: dict[str, str] = {}  # former URN to present URN
        self._renamed: dict[str, str] = {}  # present URN to former URN
        self._deleted_dependents: dict[str, Resource] = {}
        self._dependents: Dependents = Dependents(state.entries())
        self._claiming: threading.Lock = threading.Lock()
        self._replacing: threading.Lock = threading.Lock()
        self._running: int = 0
        self._idle: threading.Condition = threading.Condition()

    @property
    def resources(self) -> list[Resource]:
        """The resources registered so far, with their actual outputs, or in a preview the expected ones."""
        return list(self._registered.values())

    @property
    def declared(self) -> bool:
        """Whether the program has registered any resource besides the stack."""
        return len(self._claimed) > 1

    def urn(self, parent: str, type: str, name: str) -> str:
        """Return the URN of a resource of this stack."""
        return urns.make(self.stack, self.project, parent, type, name)

    def register(self, goal: Goal) -> Registered:
        """Create, update, replace or keep one resource; raise `StoppedError` if the run has stopped."""
        with self._step(goal.urn) as outcome:
            self._claim(goal)
            self.declared_inputs[goal.urn] = goal.inputs
            if urns.is_provider(goal.type):
                made = self._provider(goal)
            elif goal.custom:
                made = self._custom(goal)
            else:
                made = self._component(goal)
            self._registered[goal.urn] = made
            outcome.append(Registered(made.urn, made.id, made.outputs))
        return outcome[0]

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        """Record the outputs of a component. The stack's outputs are the outputs of the program."""
        resource = self._registered.get(urn)
        if resource is None:
            raise EngineError(f"{urn}: the program registers outputs of a resource that it has not registered")
        done = self._registered[urn] = replace(resource, outputs=outputs)
        if resource.type == urns.STACK_TYPE:
            self.plan.outputs = outputs
        if not self.preview:
            self._state.put(done)

    def read(self, goal: Goal, id: Value) -> Registered:
        """Look up an object that this stack does not manage, and record it as external."""
        with self._step(goal.urn) as outcome:
            self._claim(goal)
            old = self._state.get(goal.urn)
            if old is not None and not old.external:
                raise EngineError(
                    f"{goal.urn} is managed by this stack; to look it up instead, set retain_on_delete=True and run "
                    "`up`, then remove it from the program and run `up` again"
                )
            if id is UNKNOWN:
                self.plan.add(Step("read", goal.urn, goal.type, goal.parent))
                outcome.append(Registered(goal.urn))
            else:
                outcome.append(self._read(goal, str(id)))
        return outcome[0]

    def invoke(self, token: str, arguments: Properties, provider: str, version: str) -> Properties:
        """Call a provider function; raise `ProviderError` if it fails."""
        named = provider or self._default(urns.package_of(token), version)
        return self.providers.get(named).invoke(token, reveal(arguments))

    def finish(self) -> None:
        """Delete the resources that the program did not register. Call it after the program has succeeded."""
        if not self.stopping.is_set() and not (self.plan.errors and not self.preview):
            going = self._to_delete()
            for urn, remedy in leftovers.undeletable_objects(going, self.providers):
                self.plan.warn(urn, remedy)
                self._watcher.message("warning", remedy, urn)
            deletion.delete(self._actions, self.plan, going, self._watcher, self.stopping)

    def drain(self) -> None:
        """Wait until every started step has ended."""
        with self._idle:
            self._idle.wait_for(lambda: self._running == 0)

    def fail(self, urn: str, message: str) -> None:
        """Record an error. An update then starts no further steps."""
        self.plan.fail(urn, message)
        if not self.preview:
            self.stopping.set()

    @contextmanager
    def _step(self, urn: str) -> Generator[list[Registered]]:
        """Count a running step and record its failure. A failure stops an update, but not a preview."""
        with self._idle:
            if self.stopping.is_set():
                raise StoppedError
            self._running += 1
        outcome: list[Registered] = []
        try:
            yield outcome
        except (ProviderError, EngineError) as error:
            self.fail(urn, str(error))
            if not self.preview:
                raise StoppedError from error
            outcome.append(Registered(urn, failed=True))
        except Exception:
            self.stopping.set()
            raise
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _claim(self, goal: Goal) -> None:
        with self._claiming:
            if goal.urn in self._claimed:
                raise EngineError(f"{goal.urn} is registered twice; rename one of the two")
            if goal.parent and goal.parent not in self._claimed:
                raise EngineError(f"{goal.urn}: its parent {goal.parent} is not registered")
            if goal.urn in self._aliased:
                raise EngineError(
                    f"{goal.urn} is also an alias of {self._aliased[goal.urn]}; rename one of them, or remove the alias"
                )
            self._claimed.add(goal.urn)
            if self._state.get(goal.urn) is None:
                self._find_by_alias(goal)

    def _find_by_alias(self, goal: Goal) -> None:
        """Search the state for the resource's former URNs, and store the one that is found."""
        for urn in former_urns(goal.urn, goal.parent, goal.aliases, self._renamed):
            if self._state.get(urn) is None:
                continue
            if urn in self._claimed or urn in self._aliased:
                other = self._aliased.get(urn, urn)
                raise EngineError(f"{goal.urn} has the alias {urn}, which is in use by {other}; remove the alias")
            self._aliased[urn] = goal.urn
            self._renamed[goal.urn] = urn
            return

    def _old(self, goal: Goal) -> Resource | None:
        return self._state.get(self._renamed.get(goal.urn, goal.urn))

    # -- the three kinds of resource

    def _component(self, goal: Goal) -> Resource:
        old = self._old(goal)
        difference = steps.compare(old.inputs, goal.inputs) if old else Difference()
        new = steps.to_resource(goal, goal.inputs)
        operation = "create" if old is None else "update" if difference.changed else "same"
        step = self._add_step(operation, new, old, difference)
        if old is not None:
            return self._actions.keep(new, old)
        if not self.preview:
            with self._actions.watched(step):
                time = now()
                new = replace(new, created=time, modified=time)
                self._state.put(new)
        return new

    def _provider(self, goal: Goal) -> Resource:
        old = self._old(goal)
        asked = settings_of(goal.inputs)
        version = str(goal.inputs.get("version") or goal.version)
        base = self.providers.base(goal.type, version)
        checked = base.check_config(goal.urn, reveal(asked))
        inputs = steps.restore_secret_marks(_require_valid(goal, checked), asked)
        difference = steps.compare(settings_of(old.inputs), inputs) if old else Difference()
        outputs: Properties = {**inputs, "version": version} if version else inputs
        new = replace(steps.to_resource(goal, {**outputs, INTERNAL: {}}), outputs=outputs)
        if not urns.is_default_provider(goal.urn):
            self._add_step(
                "create" if old is None else "update" if difference.changed else "same", new, old, difference
            )
        made = self._record_provider(new, old)
        self.providers.configure(made)
        return made

    def _record_provider(self, new: Resource, old: Resource | None) -> Resource:
        if old is not None:
            # A provider has no object: its new outputs are its new inputs.
            kept = replace(self._actions.keep(new, old), outputs=new.outputs)
        else:
            time = now()
            kept = replace(new, id="" if self.preview else new_id(), created=time, modified=time)
        if not self.preview:
            self._state.put(kept)
        return kept

    def _custom(self, goal: Goal) -> Resource:
        if not goal.provider:
            goal.provider = self._default(urns.package_of(goal.type), goal.version)
        provider = self.providers.get(goal.provider)
        old = self._old(goal)
        recreate = old is None or old.external or old.pending_replacement or old.urn in self._deleted_dependents
        inputs = self._checked(provider, goal, None if recreate else old)
        difference = Difference()
        if old is not None and not recreate:
            difference = provider.diff(goal.type, old.id, reveal(old.inputs), reveal(old.outputs), reveal(inputs))
            difference = steps.without_ignored(difference, goal.ignore_changes)
            difference = steps.force_replacement(difference, goal.replace_on_changes)
        operation = "replace" if old and recreate else steps.operation(old, difference, provider_changed=False)
        if operation == "replace" and not recreate:
            inputs = self._checked(provider, goal, None)
        return self._carry_out(operation, goal, steps.to_resource(goal, inputs), old, difference)

    def _carry_out(
        self, operation: str, goal: Goal, new: Resource, old: Resource | None, difference: Difference
    ) -> Resource:
        step = self._add_step(operation, new, old, difference)
        if old is None:
            with self._actions.watched(step):
                return self._actions.create(new)
        if operation == "same":
            return self._actions.keep(new, old)
        if operation == "update":
            with self._actions.watched(step):
                return self._actions.update(new, old)
        return self._replace(step, goal, new, old, difference)

    def _replace(self, step: Step, goal: Goal, new: Resource, old: Resource, difference: Difference) -> Resource:
        gone = old.pending_replacement or old.urn in self._deleted_dependents
        if old.protect and new.protect and not gone:
            message = (
                f"{new.urn} is protected, but a change of {', '.join(difference.replaces)} forces its replacement; "
                "set protect=False and run `up` first, or undo the change"
            )
            if not self.preview:
                raise EngineError(message)
            self.fail(new.urn, message)
        with self._actions.watched(step):
            if gone:
                vacated = replace(self._deleted_dependents.get(old.urn, old), pending_replacement=True)
                return self._actions.create(new, vacated)
            if not old.external and steps.deletes_first(goal, difference):
                self._delete_with_dependents(old)
                return self._actions.create(new, replace(old, pending_replacement=True))
            return self._actions.create(new, old)

    def _delete_with_dependents(self, old: Resource) -> None:
        with self._replacing:
            dependents = self._dependents_to_delete_first(old)
            if protected := [resource.urn for resource in dependents if resource.protect]:
                raise EngineError(
                    f"{old.urn} can only be replaced after its dependents are deleted, but these are protected: "
                    f"{', '.join(protected)}; set protect=False on them and run `up` first"
                )
            for resource in reversed(dependents):
                self._deleted_dependents[resource.urn] = resource
                self._actions.delete(resource, to_be_replaced=True)
        if not old.pending_replacement:
            self._actions.delete(old, to_be_replaced=True)

    def _dependents_to_delete_first(self, old: Resource) -> list[Resource]:
        replaced = {old.urn}
        found: list[Resource] = []
        for urn in self._dependents.of(old.urn):
            resource = None if urn in self._claimed or urn in self._deleted_dependents else self._state.get(urn)
            if resource is not None and steps.must_be_deleted_first(resource, replaced, self._diff_of_old):
                replaced.add(urn)
                found.append(resource)
        return found

    def _diff_of_old(self, resource: Resource, news: Properties) -> Difference:
        provider = self.providers.get(resource.provider)
        olds = reveal(resource.inputs)
        return provider.diff(resource.type, resource.id, olds, reveal(resource.outputs), reveal(news))

    def _checked(self, provider: Provider, goal: Goal, old: Resource | None) -> Properties:
        wanted = paths.keep_old(goal.inputs, old.inputs, goal.ignore_changes) if old else goal.inputs
        # Generated names: repeatable in a preview; random in an update, so that a replacement never collides with the
        # old object.
        seed = hashlib.sha256(goal.urn.encode()).digest() if self.preview else os.urandom(32)
        olds = reveal(old.inputs) if old else None
        return steps.restore_secret_marks(
            _require_valid(goal, provider.check(goal.urn, goal.type, olds, reveal(wanted), seed)), wanted
        )

    def _read(self, goal: Goal, id: str) -> Registered:
        if not goal.provider:
            goal.provider = self._default(urns.package_of(goal.type), goal.version)
        found = self.providers.get(goal.provider).read(goal.urn, goal.type, id, {})
        if found is None:
            raise EngineError(
                f"{goal.urn}: there is no {goal.type} with the id {id!r}; correct the id, or create the object first"
            )
        resource = replace(
            steps.to_resource(goal, found.inputs),
            id=found.id,
            external=True,
            outputs=steps.mark_secret_outputs(found.outputs, goal.inputs, goal.additional_secret_outputs),
        )
        self.plan.add(Step("read", goal.urn, goal.type, goal.parent))
        self._registered[goal.urn] = resource
        if not self.preview:
            self._state.put(resource)
        return Registered(goal.urn, found.id, resource.outputs)

    def _default(self, package: str, version: str) -> str:
        def register(type: str, name: str, inputs: Properties) -> str:
            prefix = f"{package}:"
            settings = {k.removeprefix(prefix): v for k, v in self.config.items() if k.startswith(prefix)}
            goal = Goal(self.urn("", type, name), type, custom=True, inputs={**settings, **inputs}, version=version)
            self._claim(goal)
            made = self._registered[goal.urn] = self._provider(goal)
            return f"{made.urn}::{made.id}" if made.id else f"{made.urn}::{UNKNOWN_ON_THE_WIRE}"

        return self.providers.default(package, version, register)

    def _add_step(self, operation: str, new: Resource, old: Resource | None, difference: Difference) -> Step:
        olds, outputs = (old.inputs, old.outputs) if old else ({}, {})
        diff = steps.describe(difference, olds, outputs, new.inputs)
        step = Step(operation, new.urn, new.type, new.parent, diff, new.inputs)
        self.plan.add(step)
        if self.preview:
            self._watcher.planned_step(step)
        return step

    def _to_delete(self) -> list[Resource]:
        """Return the resources to delete: live ones that were not registered, and replaced ones."""
        unseen: list[Resource] = []
        for urn in self._state.live():
            resource = None if urn in self._claimed else self._state.get(urn)
            if resource is None:
                continue
            successor = self._registered.get(self._aliased.get(urn, ""))
            if successor is not None and (self.preview or successor.id == resource.id):
                continue
            unseen.append(resource)
        return [*unseen, *self._state.pending_deletions()]


def _require_valid(goal: Goal, checked: Checked) -> Properties:
    if checked.failures:
        raise EngineError("; ".join(f"{goal.urn}: {failure.path}: {failure.reason}" for failure in checked.failures))
    return checked.inputs
