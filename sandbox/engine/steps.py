"""What to do with a resource: pure decisions on its old state, its goal and the provider's diff."""

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
    """A resource as the program wants it."""

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
    """The goal as a resource that does not exist yet, with its checked `inputs`."""
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
        additional_secret_outputs=goal.additional_secret_outputs,
        ignore_changes=goal.ignore_changes,
        replace_on_changes=goal.replace_on_changes,
        custom_timeouts=goal.custom_timeouts,
    )


def operation(old: Resource | None, difference: Difference, *, provider_changed: bool) -> str:
    """`create`, `same`, `update` or `replace`; an external resource that the program takes over is created anew."""
    if old is None:
        return "create"
    if old.external or old.pending_replacement or provider_changed or difference.replaces:
        return "replace"
    return "update" if difference.changed else "same"


def deletes_first(goal: Goal, difference: Difference) -> bool:
    """Whether a replacement deletes the old object first: as the program says, else as the provider says."""
    if goal.delete_before_replace is not None:
        return goal.delete_before_replace
    return difference.delete_before_replace


def force_replacement(difference: Difference, replace_on_changes: list[str]) -> Difference:
    """The provider's diff with changes at or below the listed paths turned into replacements."""
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
    """The diff without what `ignore_changes` covers: a computed default may differ even where inputs were put back."""
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
    """The difference of two sets of properties for resources that no provider compares: components, providers."""
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
    """The diff with the values at both ends; a value under a secret is a secret."""
    described: dict[str, PropertyChange] = {}
    for path, kind in difference.detail.items():
        steps = paths.parse(path)
        old = _at(olds, steps)
        if old is None and kind != Change.ADD:
            old = _at(outputs, steps)
        described[path] = PropertyChange(kind, old, _at(news, steps))
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


def keep_secret(plain: Properties, secret: Properties) -> Properties:
    """`plain` with every value wrapped again that is a secret at the same place in `secret`.

    Providers of bridged packages, these among them, accept no secrets. Pulumi's engine then marks what they answer like
    this, and a list as a whole where one of its elements is secret: its order need not be the program's.
    """
    return cast(Properties, _wrap(plain, secret))


def _wrap(plain: Value, secret: Value) -> Value:
    if not holds_secret(secret):
        return plain
    if isinstance(plain, dict) and isinstance(secret, dict):
        return {key: _wrap(item, secret.get(key)) for key, item in plain.items()}
    return Secret(reveal({"": plain})[""])  # one secret, whatever the provider itself marked inside it


def hide(outputs: Properties, inputs: Properties, additional: list[str]) -> Properties:
    """Outputs with those made secret that come from a secret input or that the program lists."""
    hidden = dict(keep_secret(outputs, inputs))  # the provider keeps the original
    for key in additional:
        if key in hidden and not isinstance(hidden[key], Secret):
            hidden[key] = Secret(hidden[key])
    return hidden


def must_go_first(resource: Resource, replaced: set[str], diff: Callable[[Resource, Properties], Difference]) -> bool:
    """Whether a dependent must be deleted before one of the `replaced` resources is, to be created anew afterwards.

    It must when its provider is replaced, or when its own inputs, made unknown where they come from a replaced
    resource, would force a replacement; a plain `depends_on` never does.
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
