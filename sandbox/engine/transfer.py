"""Export and import a stack's state in Pulumi's deployment format version 3."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from sandbox.engine import project, urns
from sandbox.engine.errors import InputError
from sandbox.engine.project import Project
from sandbox.engine.state import FIELDS, Resource, decode, dependencies_of, encode, to_entry
from sandbox.engine.workspace import Workspace, find
from sandbox.ledger import Entry
from sandbox.values import UNKNOWN, Properties, Secret, Value, reveal, transform

_DEPLOYMENT: Final = {"manifest", "secrets_providers", "resources", "pending_operations", "metadata"}
# Fields that Pulumi records and this engine does not use.
_UNUSED_FIELDS: Final = {"sourcePosition", "stackTrace", "hideDiff", "snippetID", "initErrors", "importID"}


def export_state(root: Path, stack: str, *, show_secrets: bool) -> Entry:
    """Return the state of a stack, with secrets encrypted or in plain text."""
    project.load(root, stack)
    with find(root, stack).open(readonly=True) as state:
        if show_secrets:
            state.unlock()
        return state.export(show_secrets=show_secrets)


def export_plan(resources: Iterable[Resource], declared: Mapping[str, Properties]) -> Entry:
    """Return the expected state after an update, from a preview, in the same format and without secrets.

    `declared` holds the inputs from the program by URN. The engine marks a whole list as secret if one element is;
    elements that are not secret in `declared` are shown. Use the result for inspection and policies only: do not import
    it, because its objects do not exist.
    """
    entries = {one.urn: to_entry(_without_secrets(one, declared.get(one.urn, {})), None) for one in resources}
    for one in resources:  # the state's format has no field for this option; a plan's readers need it
        if one.delete_before_replace is not None:
            entries[one.urn]["deleteBeforeReplace"] = one.delete_before_replace
    return encode(entries)


def _without_secrets(resource: Resource, declared: Properties) -> Resource:
    inputs, outputs = (
        cast(Properties, mask_secrets(values, declared)) for values in (resource.inputs, resource.outputs)
    )
    return replace(resource, inputs=inputs, outputs=outputs)


def mask_secrets(value: Value, declared: Value) -> Value:
    """Replace each leaf of a secret by a placeholder that is still marked as secret.

    Inside a secret, values that are in plain text at the same path in `declared` are kept.
    """
    if isinstance(value, Secret):
        return _mask_secret(reveal({"": value.value})[""], declared)
    if isinstance(value, dict):
        inner = declared if isinstance(declared, dict) else {}
        return {key: mask_secrets(item, inner.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        same = declared if isinstance(declared, list) and len(declared) == len(value) else [None] * len(value)
        return [mask_secrets(item, other) for item, other in zip(value, same, strict=True)]
    return value


def _mask_secret(value: Value, declared: Value) -> Value:
    if isinstance(value, dict) and isinstance(declared, dict):
        return {key: _mask_secret(item, declared.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(declared, list) and len(value) == len(declared):
        return [_mask_secret(item, other) for item, other in zip(value, declared, strict=True)]
    if value is None or (value == declared and not isinstance(declared, Secret)):
        return value
    return Secret(transform(value, lambda leaf: leaf if leaf is UNKNOWN else "[secret]"))


def import_state(root: Path, stack: str, text: str) -> Path | None:
    """Replace a stack's state and return the path of the old one, if any; raise an `InputError` if it is invalid."""
    settings = project.load(root, stack)
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise InputError(f"the state to import is not JSON: {error}") from None
    workspace = find(root, stack)
    with workspace.locked("import"):
        workspace.refuse_stale_state()
        return replace_state(settings, workspace, document)


def replace_state(settings: Project, workspace: Workspace, document: Any) -> Path | None:
    """Replace the state of a workspace whose lock the caller holds; see `import_state`."""
    if problems := list(check(document, settings.stack, settings.name)):
        raise InputError("the state cannot be imported: " + "; ".join(problems))
    existed = workspace.state.exists()
    with workspace.open() as state:
        state.replace(decode(cast(Entry, document)))
    return workspace.state.with_name(workspace.state.name + ".previous") if existed else None


def check(document: Any, stack: str, name: str) -> Iterator[str]:
    """Yield all problems of a document that is to be imported as the state of this stack."""
    if not isinstance(document, dict) or not isinstance(document.get("deployment"), dict):
        yield 'an object {"version": 3, "deployment": {...}} is expected'
        return
    if document.get("version") != 3:
        yield f"version {document.get('version')!r} is not supported, only 3"
        return
    deployment = cast(dict[str, Any], document["deployment"])
    if unknown := sorted(key for key in deployment.keys() - _DEPLOYMENT if deployment[key]):
        yield f"the deployment has unknown parts: {', '.join(unknown)}"
    resources: Any = deployment.get("resources") or []
    if not isinstance(resources, list) or not all(isinstance(r, dict) for r in cast(list[Any], resources)):
        yield "`resources` must be a list of objects"
        return
    yield from _check_resources(cast(list[Entry], resources), stack, name)
    for operation in cast(list[Entry], deployment.get("pending_operations") or []):
        if operation.get("type") not in {"creating", "updating", "deleting"} or "urn" not in operation.get(
            "resource", {}
        ):
            yield f"the pending operation {operation.get('type')!r} is not supported"


def _check_resources(resources: list[Entry], stack: str, name: str) -> Iterator[str]:
    seen: set[str] = set()
    references: set[str] = set()
    live: set[str] = set()
    for index, resource in enumerate(resources):
        problems = list(_check_resource(resource, stack, name))
        yield from (f"resources[{index}]: {problem}" for problem in problems)
        if problems:
            continue
        urn = resource["urn"]
        if urn in live and not resource.get("delete"):
            yield f"resources[{index}]: {urn} is a duplicate"
        yield from (
            f"resources[{index}]: {urn} depends on {need}, which must come before it"
            for need in dict.fromkeys(dependencies_of(resource))
            if need not in seen
        )
        provider = resource.get("provider")
        if provider and urns.split_reference(provider)[0] in seen and provider not in references:
            yield f"resources[{index}]: {urn} refers to the provider {provider}, which has another id"
        seen.add(urn)
        references.add(f"{urn}::{resource.get('id', '')}")
        if not resource.get("delete"):
            live.add(urn)


def _check_resource(resource: Entry, stack: str, name: str) -> Iterator[str]:
    try:
        urn = urns.parse(resource.get("urn", ""))
    except (ValueError, AttributeError) as error:
        yield str(error)
        return
    if (urn.stack, urn.project) != (stack, name):
        yield f"{resource['urn']} belongs to stack {urn.stack!r} of project {urn.project!r}, not {stack!r} of {name!r}"
    if resource.get("type") != urn.type:
        yield f"{resource['urn']}: its type {resource.get('type')!r} differs from the type in the URN"
    if unknown := sorted(key for key in resource.keys() - FIELDS - _UNUSED_FIELDS if resource[key]):
        yield f"{resource['urn']}: {', '.join(unknown)} is not supported by the sandbox"
    for key, kind in (("inputs", dict), ("outputs", dict), ("dependencies", list), ("propertyDependencies", dict)):
        if not isinstance(resource.get(key) or kind(), kind):
            yield f"{resource['urn']}: `{key}` must be {'an object' if kind is dict else 'a list'}"
    if resource.get("custom") and not resource.get("id") and not urn.types.startswith(urns.PROVIDER_PREFIX):
        yield f"{resource['urn']}: a custom resource must have an id"
