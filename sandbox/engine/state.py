"""The state of a stack: its resources and pending operations, in Pulumi's deployment format version 3.

`State` stores them in a `Ledger` whose snapshot has the export format: each change is on disk before the next step
begins, and `pulumi stack import` accepts the file unchanged.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from sandbox.engine import secrets, urns
from sandbox.engine.secrets import SecretsManager
from sandbox.ledger import Entry, Ledger
from sandbox.values import Properties

VERSION: Final = "v3.272.0"  # the version of Pulumi whose format and protocols this engine implements: the pinned SDK's
SECRETS_KEY: Final = "secrets_providers"
OPERATION_PREFIX: Final = "operation:"
DELETE_PREFIX: Final = "delete:"


@dataclass(slots=True)
class Resource:
    """One resource in the state. A `custom` one has an object with an `id` at a provider."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: Properties = field(default_factory=dict[str, Any])
    outputs: Properties = field(default_factory=dict[str, Any])
    parent: str = ""
    provider: str = ""
    dependencies: list[str] = field(default_factory=list[str])
    property_dependencies: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    protect: bool = False
    external: bool = False
    delete: bool = False
    pending_replacement: bool = False
    retain_on_delete: bool = False
    additional_secret_outputs: list[str] = field(default_factory=list[str])
    aliases: list[str] = field(default_factory=list[str])
    ignore_changes: list[str] = field(default_factory=list[str])
    replace_on_changes: list[str] = field(default_factory=list[str])
    delete_before_replace: bool | None = None
    custom_timeouts: dict[str, float] = field(default_factory=dict[str, float])
    created: str = ""
    modified: str = ""

    @property
    def reference(self) -> str:
        """The provider reference `URN::ID`, if this is a provider."""
        return f"{self.urn}::{self.id}"


# The format's key for each attribute, in the order of the format. Secrets in `inputs` and `outputs` are encrypted.
_PLAIN: Final = {
    "urn": "urn",
    "custom": "custom",
    "delete": "delete",
    "id": "id",
    "type": "type",
    "inputs": "inputs",
    "outputs": "outputs",
    "parent": "parent",
    "protect": "protect",
    "external": "external",
    "dependencies": "dependencies",
    "provider": "provider",
    "propertyDependencies": "property_dependencies",
    "pendingReplacement": "pending_replacement",
    "additionalSecretOutputs": "additional_secret_outputs",
    "aliases": "aliases",
    "customTimeouts": "custom_timeouts",
    "retainOnDelete": "retain_on_delete",
    "created": "created",
    "modified": "modified",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
}
FIELDS: Final = frozenset(_PLAIN)


def to_entry(resource: Resource, manager: SecretsManager | None) -> Entry:
    """Convert a resource to the format, without empty fields. Secrets are in plain text if `manager` is None."""
    entry: Entry = {}
    for key, attribute in _PLAIN.items():
        value = getattr(resource, attribute)
        if key in {"inputs", "outputs"}:
            value = secrets.to_json(value, resource.urn, manager)
        if value or key == "custom":
            entry[key] = value
    return entry


def from_entry(entry: Entry, manager: SecretsManager) -> Resource:
    """Convert the format to a resource. Fields that this engine does not use (`sourcePosition`) are dropped."""
    known = {_PLAIN[key]: value for key, value in entry.items() if key in _PLAIN}
    urn = entry["urn"]
    for attribute in ("inputs", "outputs"):
        known[attribute] = secrets.from_json(known.get(attribute) or {}, urn, manager)
    known["property_dependencies"] = _listed(known.get("property_dependencies"))
    known.setdefault("custom", False)
    return Resource(**known)


def _listed(dependencies: dict[str, list[str] | None] | None) -> dict[str, list[str]]:
    """Return property dependencies with empty lists in place of the format's nulls."""
    return {key: needs or [] for key, needs in (dependencies or {}).items()}


def dependencies_of(entry: Entry) -> Iterable[str]:
    """Yield the URNs that must exist before this resource: parent, provider and dependencies, with repetitions."""
    if parent := entry.get("parent"):
        yield parent
    if provider := entry.get("provider"):
        yield urns.split_reference(provider)[0]
    yield from entry.get("dependencies", ())
    for listed in _listed(entry.get("propertyDependencies")).values():
        yield from listed


def now() -> str:
    """Return the current time in the format's notation."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _key_of(entry: Entry) -> str:
    return f"{DELETE_PREFIX}{entry.get('id', '')}:{entry['urn']}" if entry.get("delete") else entry["urn"]


def decode(document: Entry) -> dict[str, Entry]:
    """Convert an export to ledger entries.

    Live resources have their URN as the key; resources marked for deletion and pending operations have a prefix.
    """
    if document["version"] != 3:
        raise ValueError(f"version {document['version']}, expected 3")
    deployment = cast(Entry, document["deployment"])
    entries: dict[str, Entry] = {}
    if provider := deployment.get("secrets_providers"):
        entries[SECRETS_KEY] = provider
    for resource in deployment.get("resources") or ():
        _check_shape(resource)
        entries[_key_of(resource)] = resource
    for operation in deployment.get("pending_operations") or ():
        entries[OPERATION_PREFIX + operation["resource"]["urn"]] = operation
    return entries


_SHAPE: Final[dict[str, type]] = {
    "urn": str,
    "type": str,
    "custom": bool,
    "id": str,
    "inputs": dict,
    "outputs": dict,
    "parent": str,
    "provider": str,
    "dependencies": list,
    "propertyDependencies": dict,
    "additionalSecretOutputs": list,
}


def _check_shape(resource: Entry) -> None:
    for name in ("urn", "type"):
        if name not in resource:
            raise ValueError(f"a resource has no {name}")
    for name, kind in _SHAPE.items():
        if name in resource and not isinstance(resource[name], kind):
            raise ValueError(f"{resource['urn']}: {name} is {resource[name]!r:.80}, a {kind.__name__} is expected")


def encode(entries: dict[str, Entry]) -> Entry:
    """Convert ledger entries to an export: resources after their dependencies, those marked for deletion last."""
    live = {key: entry for key, entry in entries.items() if "urn" in entry and not entry.get("delete")}
    pending_deletions = {key: entry for key, entry in entries.items() if entry.get("delete")}
    operations = [entry for key, entry in entries.items() if key.startswith(OPERATION_PREFIX)]
    deployment: Entry = {
        "manifest": {"time": now(), "magic": hashlib.sha256(VERSION.encode()).hexdigest(), "version": VERSION},
    }
    if SECRETS_KEY in entries:
        deployment["secrets_providers"] = entries[SECRETS_KEY]
    deployment["resources"] = [*in_order(live), *in_order(pending_deletions)]
    if operations:
        deployment["pending_operations"] = operations
    deployment["metadata"] = {}
    return {"version": 3, "deployment": deployment}


def in_order(entries: dict[str, Entry]) -> list[Entry]:
    """Sort entries so that each follows its dependencies; otherwise keep the order."""
    by_urn = {entry["urn"]: entry for entry in entries.values()}
    placed: dict[str, Entry] = {}
    for entry in entries.values():
        _place(entry, by_urn, placed)
    return list(placed.values())


def _place(entry: Entry, by_urn: dict[str, Entry], placed: dict[str, Entry]) -> None:
    """Add `entry` after its dependencies. Iterative, because chains of 2,000 resources exceed the recursion limit."""
    waiting = [(entry, iter(tuple(dependencies_of(entry))))]
    entered = {id(entry)}
    while waiting:
        current, needs = waiting[-1]
        need = next((by_urn[urn] for urn in needs if urn in by_urn), None)
        if need is None:
            placed.setdefault(_key_of(current), current)
            waiting.pop()
        elif id(need) not in entered and _key_of(need) not in placed:
            entered.add(id(need))
            waiting.append((need, iter(tuple(dependencies_of(need)))))


class State:
    """The state of one stack, in memory and in its ledger. Methods may be called from several threads.

    A `readonly` state, which a preview uses, changes only in memory.
    """

    def __init__(self, path: Path, phrase: Callable[[], str], *, readonly: bool = False) -> None:
        self._phrase: Callable[[], str] = phrase
        self.readonly: bool = readonly
        self._ledger: Ledger = Ledger(path, decode=decode, encode=encode, readonly=readonly)
        self.secrets_manager: SecretsManager = SecretsManager(self._ledger.get(SECRETS_KEY), phrase)
        self._entries: dict[str, Entry] = dict(self._ledger.items())
        self._decoded: dict[str, Resource] = {}
        self._lock: threading.RLock = threading.RLock()
        if not readonly or SECRETS_KEY in self._entries:
            self.secrets_manager.prepare()

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.readonly:
            self._ledger.close()

    def unlock(self) -> None:
        """Check that the passphrase decrypts the secrets; raise an `InputError` if it does not."""
        if SECRETS_KEY in self._entries:
            self.secrets_manager.unlock()

    def get(self, urn: str) -> Resource | None:
        """Return the live resource with this URN, or None."""
        return self._resource(urn)

    def live(self) -> list[str]:
        """Return the URNs of all live resources, in no particular order."""
        return [key for key, entry in self._entries.items() if entry.get("urn") == key]

    def pending_deletions(self) -> list[Resource]:
        """Return the replaced resources whose old objects are not deleted yet."""
        keys = [key for key, entry in self._entries.items() if entry.get("delete")]
        return [resource for key in keys if (resource := self._resource(key)) is not None]

    def operations(self) -> list[tuple[str, Resource]]:
        """Return the last run's pending operations: `creating`, `updating` or `deleting`, and the resource."""
        operations = [entry for key, entry in self._entries.items() if key.startswith(OPERATION_PREFIX)]
        return [(entry["type"], from_entry(entry["resource"], self.secrets_manager)) for entry in operations]

    def entries(self) -> dict[str, Entry]:
        """Return the entries of all live resources by URN, without decrypting them."""
        return {key: entry for key, entry in self._entries.items() if entry.get("urn") == key}

    def export(self, *, show_secrets: bool = False) -> Entry:
        """Return the state in the format that `pulumi stack import` reads."""
        entries = dict(self._entries)
        if show_secrets:
            entries = {k: self._in_plain_text(k, entry) for k, entry in entries.items()}
        return encode(entries)

    def _in_plain_text(self, key: str, entry: Entry) -> Entry:
        if key.startswith(OPERATION_PREFIX):
            return entry | {"resource": to_entry(from_entry(entry["resource"], self.secrets_manager), None)}
        return to_entry(from_entry(entry, self.secrets_manager), None) if "urn" in entry else entry

    def replace(self, entries: dict[str, Entry]) -> None:
        """Replace the whole state by `entries`. Secrets in plain text are encrypted.

        The passphrase is checked before anything is changed.
        """
        manager = SecretsManager(entries.get(SECRETS_KEY), self._phrase)
        sealed: dict[str, Entry] = {}
        for key, entry in entries.items():
            if key == SECRETS_KEY:
                manager.unlock()
            elif key.startswith(OPERATION_PREFIX):
                sealed[key] = entry | {"resource": to_entry(from_entry(entry["resource"], manager), manager)}
            else:
                sealed[key] = to_entry(from_entry(entry, manager), manager)
        if SECRETS_KEY in entries or any(_holds_secrets(entry) for entry in sealed.values()):
            sealed[SECRETS_KEY] = manager.provider
        with self._lock:
            self.secrets_manager = manager
            self._entries = sealed
            self._decoded = {}
            self._ledger.replace_all(sealed)

    def begin(self, operation: str, resource: Resource) -> None:
        """Record that `operation` on `resource` is pending."""
        key = OPERATION_PREFIX + resource.urn
        self._store(key, {"resource": self._encode(resource), "type": operation})

    def finish(self, urn: str) -> None:
        """Remove the pending operation on `urn`, once its result is recorded."""
        self._drop(OPERATION_PREFIX + urn)

    def put(self, resource: Resource) -> None:
        """Record a resource. If the recorded entry is the same, write nothing."""
        entry = self._encode(resource)
        key = _key_of(entry)
        with self._lock:
            self._decoded[key] = resource
            if self._entries.get(key) != entry:
                self._store(key, entry)

    def remove(self, resource: Resource) -> None:
        """Remove a resource from the state, live or marked for deletion."""
        key = f"{DELETE_PREFIX}{resource.id}:{resource.urn}" if resource.delete else resource.urn
        self._drop(key)

    def forget(self, gone: dict[str, Resource]) -> None:
        """Remove resources whose objects no longer exist, and all references to them in other resources."""
        for resource in gone.values():
            self.remove(resource)
        for urn, entry in self.entries().items():
            if any(need in gone for need in dependencies_of(entry)) and (resource := self.get(urn)) is not None:
                self.put(_without(resource, gone))

    def mark_for_deletion(self, resource: Resource) -> Resource:
        """Mark a live resource for deletion, so that its replacement can use its URN."""
        marked = replace(resource, delete=True)
        self.put(marked)
        return marked

    def _resource(self, key: str) -> Resource | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            found = self._decoded.get(key)
            if found is None:
                found = self._decoded[key] = from_entry(entry, self.secrets_manager)
            return found

    def _encode(self, resource: Resource) -> Entry:
        if self.readonly:
            return to_entry(resource, None)
        entry = to_entry(resource, self.secrets_manager)
        if SECRETS_KEY not in self._entries and _holds_secrets(entry):
            self._store(SECRETS_KEY, self.secrets_manager.provider)
        return entry

    def _store(self, key: str, entry: Entry) -> None:
        with self._lock:
            self._entries[key] = entry
            if not self.readonly:
                self._ledger.put(key, entry)

    def _drop(self, key: str) -> None:
        with self._lock:
            self._entries.pop(key, None)
            self._decoded.pop(key, None)
            if not self.readonly:
                self._ledger.remove(key)


def _holds_secrets(entry: Entry) -> bool:
    resource = entry.get("resource", entry)
    return secrets.holds_ciphertext(resource.get("inputs")) or secrets.holds_ciphertext(resource.get("outputs"))


def _without(resource: Resource, gone: dict[str, Resource]) -> Resource:
    """Return a resource without references to those in `gone`. Its new parent is the nearest remaining ancestor."""
    parent = resource.parent
    while parent in gone:
        parent = gone[parent].parent
    needs = {key: [urn for urn in listed if urn not in gone] for key, listed in resource.property_dependencies.items()}
    dependencies = [urn for urn in resource.dependencies if urn not in gone]
    return replace(resource, parent=parent, dependencies=dependencies, property_dependencies=needs)
