"""Pure functions that decide the operation on a resource from its old state, its goal and the provider's diff."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from sandbox.engine import paths, urns
from sandbox.engine.aliases import Alias
from sandbox.engine.plan import PropertyChange
from sandbox.engine.state import Resource
from sandbox.provider import Change, Difference
from sandbox.values import UNKNOWN, Properties, Secret, Value, holds_secret, reveal


@dataclass
class Goal:
    """A resource as the program declares it."""

    urn: str
    type: str
    custom: bool
    inputs: Properties
    parent: str = ""
    provider: str = ""
    version: str = ""
    dependencies: list[str] = field(default_factory=list[str])
    property_dependencies: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool | None = None
    additional_secret_outputs: list[str] = field(default_factory=list[str])
    aliases: list[Alias] = field(default_factory=list[Alias])
    ignore_changes: list[str] = field(default_factory=list[str])
    replace_on_changes: list[str] = field(default_factory=list[str])
    custom_timeouts: dict[str, float] = field(default_factory=dict[str, float])


def to_resource(goal: Goal, inputs: Properties) -> Resource:
    """Convert a goal with its checked `inputs` to a resource without an object."""
    return Resource(
        urn=goal.urn,
        type=goal.type,
        custom=goal.custom,
        inputs=inputs,
        parent=goal.parent,
        provider=goal.provider,
        dependencies=goal.dependencies,
        property_dependencies=goal.property_dependencies,
        protect=goal.protect,
        retain_on_delete=goal.retain_on_delete,
        delete_before_replace=goal.delete_before_replace,
        additional_secret_outputs=goal.additional_secret_outputs,
        ignore_changes=goal.ignore_changes,
        replace_on_changes=goal.replace_on_changes,
        custom_timeouts=goal.custom_timeouts,
    )


def operation(old: Resource | None, difference: Difference, *, provider_changed: bool) -> str:
    """Return `create`, `same`, `update` or `replace`; `replace` also if the resource was external."""
    if old is None:
        return "create"
    if old.external or old.pending_replacement or provider_changed or difference.replaces:
        return "replace"
    return "update" if difference.changed else "same"


def deletes_first(goal: Goal, difference: Difference) -> bool:
    """Whether a replacement deletes the old object first. The program's option overrides the provider's diff."""
    if goal.delete_before_replace is not None:
        return goal.delete_before_replace
    return difference.delete_before_replace


def force_replacement(difference: Difference, replace_on_changes: list[str]) -> Difference:
    """Return the diff with the changes at or below the listed paths turned into replacements."""
    if not difference.changed or not replace_on_changes:
        return difference
    forcing = [paths.parse(path) for path in replace_on_changes]
    detail = {
        path: _replacing(change) if any(paths.contains(outer, paths.parse(path)) for outer in forcing) else change
        for path, change in difference.detail.items()
    }
    return Difference(detail, difference.delete_before_replace)


def _replacing(change: Change) -> Change:
    return change if change.endswith("-replace") else Change(f"{change}-replace")


def without_ignored(difference: Difference, ignored: list[str]) -> Difference:
    """Return the diff without paths in `ignore_changes`: a default that the provider computes may differ there."""
    if not ignored or not difference.changed:
        return difference
    covers = [paths.parse(path) for path in ignored]
    detail = {
        path: change
        for path, change in difference.detail.items()
        if not any(paths.contains(outer, paths.parse(path)) for outer in covers)
    }
    return Difference(detail, difference.delete_before_replace)


def compare(olds: Properties, news: Properties) -> Difference:
    """Compare the properties of a component or a provider resource, for which no provider has a diff."""
    detail = dict(_changes(olds, news, ""))
    return Difference(detail)


def _changes(old: Value, new: Value, path: str) -> Iterable[tuple[str, Change]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            below = f"{path}.{key}" if path else key
            if key not in old:
                yield below, Change.ADD
            elif key not in new:
                yield below, Change.DELETE
            else:
                yield from _changes(old[key], new[key], below)
    else:
        yield path, Change.UPDATE


def describe(
    difference: Difference, olds: Properties, outputs: Properties, news: Properties
) -> dict[str, PropertyChange]:
    """Return the diff with old and new values. A value inside a secret is a secret."""
    described: dict[str, PropertyChange] = {}
    for path, kind in difference.detail.items():
        steps = paths.parse(path)
        old = _at(olds, steps)
        if old is None and kind != Change.ADD:
            old = _at(outputs, steps)
        new = _at(news, steps)
        if new is None and kind in {Change.UPDATE, Change.UPDATE_REPLACE}:
            new = UNKNOWN  # the change of an output, whose new value is known after the update
        described[path] = PropertyChange(kind, old, new)
    return described


def _at(properties: Value, path: paths.Path) -> Value:
    value = properties
    hidden = False
    for step in path:
        if isinstance(value, Secret):
            value, hidden = value.value, True
        value = paths.get(value, (step,))
        if value is paths.MISSING:
            return None
    return Secret(cast(Value, value)) if hidden else cast(Value, value)


def restore_secret_marks(plain: Properties, secret: Properties) -> Properties:
    """Return a copy of `plain`; a value is a `Secret` if `secret` has a `Secret` at the same path.

    Providers of bridged packages, such as AWS and Cloudflare, do not accept secrets, and Pulumi's engine marks their
    responses in this way. A list with a secret element becomes one secret, because the provider may reorder it.
    """
    return cast(Properties, _wrap(plain, secret))


def _wrap(plain: Value, secret: Value) -> Value:
    if not holds_secret(secret):
        return plain
    if isinstance(plain, dict) and isinstance(secret, dict):
        return {key: _wrap(item, secret.get(key)) for key, item in plain.items()}
    return Secret(reveal({"": plain})[""])  # one secret, without nested ones


def mark_secret_outputs(outputs: Properties, inputs: Properties, additional: list[str]) -> Properties:
    """Mark an output as secret if the input at its path is secret or `additional` lists its name."""
    hidden = dict(restore_secret_marks(outputs, inputs))  # a copy: the provider keeps the original
    for key in additional:
        if key in hidden and not isinstance(hidden[key], Secret):
            hidden[key] = Secret(hidden[key])
    return hidden


def must_be_deleted_first(
    resource: Resource, replaced: set[str], diff: Callable[[Resource, Properties], Difference]
) -> bool:
    """Whether a dependent of the `replaced` resources must be deleted before them and created again after them.

    It must if its provider is replaced, or if an input that comes from a replaced resource could force a replacement:
    the new value is not known yet, so the diff is computed with an unknown value. A `depends_on` alone is no reason.
    """
    if not resource.custom or resource.external:
        return False
    if resource.provider and urns.split_reference(resource.provider)[0] in replaced:
        return True
    touched = {key for key, needs in resource.property_dependencies.items() if replaced.intersection(needs)}
    touched.intersection_update(resource.inputs)
    if not touched:
        return False
    guess: dict[str, Any] = {key: UNKNOWN if key in touched else value for key, value in resource.inputs.items()}
    return bool(force_replacement(diff(resource, guess), resource.replace_on_changes).replaces)
