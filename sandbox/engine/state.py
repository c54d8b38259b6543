"""What the engine knows of a stack: its resources, its unfinished operations, in Pulumi's deployment format version 3.

`State` keeps them in a `Ledger` whose snapshot is the export format itself: each change is on disk before the next
step begins, and the file can be given to `pulumi stack import` as it stands.
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
from sandbox.engine.secrets import Vault
from sandbox.ledger import Entry, Ledger
from sandbox.values import Properties

VERSION: Final = "v3.272.0"  # of the engine whose format and protocols this one follows: the pinned SDK's
SECRETS_KEY: Final = "secrets_providers"
OPERATION: Final = "operation:"
DOOMED: Final = "delete:"


@dataclass(slots=True)
class Resource:
    """One resource as the state holds it; an object with an `id` at a provider when `custom`."""

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
    custom_timeouts: dict[str, float] = field(default_factory=dict[str, float])
    created: str = ""
    modified: str = ""

    @property
    def reference(self) -> str:
        """How resources name this one if it is a provider."""
        return f"{self.urn}::{self.id}"


# The fields that are stored under their own name, in the order of the format; `inputs` and `outputs` are encrypted.
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


def to_entry(resource: Resource, vault: Vault | None) -> Entry:
    """A resource in the format's own form, empty fields left out; secrets in plain text where `vault` is None."""
    entry: Entry = {}
    for key, attribute in _PLAIN.items():
        value = getattr(resource, attribute)
        if key in {"inputs", "outputs"}:
            value = secrets.to_json(value, resource.urn, vault)
        if value or key == "custom":
            entry[key] = value
    return entry


def from_entry(entry: Entry, vault: Vault) -> Resource:
    """The inverse of `to_entry`; fields this engine has no use for (`sourcePosition`) are dropped."""
    known = {_PLAIN[key]: value for key, value in entry.items() if key in _PLAIN}
    urn = entry["urn"]
    for attribute in ("inputs", "outputs"):
        known[attribute] = secrets.from_json(known.get(attribute) or {}, urn, vault)
    known["property_dependencies"] = _listed(known.get("property_dependencies"))
    known.setdefault("custom", False)
    return Resource(**known)


def _listed(dependencies: dict[str, list[str] | None] | None) -> dict[str, list[str]]:
    """Property dependencies with the format's nulls, which stand for none, as empty lists."""
    return {key: needs or [] for key, needs in (dependencies or {}).items()}


def dependencies_of(entry: Entry) -> Iterable[str]:
    """The URNs that must exist before this resource: parent, provider, and what its properties come from."""
    if parent := entry.get("parent"):
        yield parent
    if provider := entry.get("provider"):
        yield urns.split_reference(provider)[0]
    yield from entry.get("dependencies", ())
    for listed in _listed(entry.get("propertyDependencies")).values():
        yield from listed


def now() -> str:
    """The time as the format writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _key_of(entry: Entry) -> str:
    return f"{DOOMED}{entry.get('id', '')}:{entry['urn']}" if entry.get("delete") else entry["urn"]


def decode(document: Entry) -> dict[str, Entry]:
    """An export as ledger entries: resources by URN, those marked for deletion and operations beside them."""
    if document["version"] != 3:
        raise ValueError(f"version {document['version']}, expected 3")
    deployment = cast(Entry, document["deployment"])
    entries: dict[str, Entry] = {}
    if provider := deployment.get("secrets_providers"):
        entries[SECRETS_KEY] = provider
    for resource in deployment.get("resources") or ():
        _demand_shape(resource)
        entries[_key_of(resource)] = resource
    for operation in deployment.get("pending_operations") or ():
        entries[OPERATION + operation["resource"]["urn"]] = operation
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


def _demand_shape(resource: Entry) -> None:
    for name in ("urn", "type"):
        if name not in resource:
            raise ValueError(f"a resource without {name}")
    for name, kind in _SHAPE.items():
        if name in resource and not isinstance(resource[name], kind):
            raise ValueError(f"{resource['urn']}: {name} is {resource[name]!r:.80}, a {kind.__name__} is expected")


def encode(entries: dict[str, Entry]) -> Entry:
    """Ledger entries as an export, resources after what they depend on and those marked for deletion last."""
    live = {key: entry for key, entry in entries.items() if "urn" in entry and not entry.get("delete")}
    doomed = {key: entry for key, entry in entries.items() if entry.get("delete")}
    operations = [entry for key, entry in entries.items() if key.startswith(OPERATION)]
    deployment: Entry = {
        "manifest": {"time": now(), "magic": hashlib.sha256(VERSION.encode()).hexdigest(), "version": VERSION},
    }
    if SECRETS_KEY in entries:
        deployment["secrets_providers"] = entries[SECRETS_KEY]
    deployment["resources"] = [*in_order(live), *in_order(doomed)]
    if operations:
        deployment["pending_operations"] = operations
    deployment["metadata"] = {}
    return {"version": 3, "deployment": deployment}


def in_order(entries: dict[str, Entry]) -> list[Entry]:
    """Entries such that each follows what it depends on, otherwise in the order given."""
    by_urn = {entry["urn"]: entry for entry in entries.values()}
    placed: dict[str, Entry] = {}
    for entry in entries.values():
        _place(entry, by_urn, placed)
    return list(placed.values())


def _place(entry: Entry, by_urn: dict[str, Entry], placed: dict[str, Entry]) -> None:
    """Put `entry` after all it depends on; with a stack of its own, as chains of 2,000 resources are not unusual."""
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

    A `readonly` state (a preview's) changes in memory only.
    """

    def __init__(self, path: Path, phrase: Callable[[], str], *, readonly: bool = False) -> None:
        self._phrase: Callable[[], str] = phrase
        self.readonly: bool = readonly
        self._ledger: Ledger = Ledger(path, decode=decode, encode=encode, readonly=readonly)
        self.vault: Vault = Vault(self._ledger.get(SECRETS_KEY), phrase)
        self._entries: dict[str, Entry] = dict(self._ledger.items())
        self._decoded: dict[str, Resource] = {}
        self._lock: threading.RLock = threading.RLock()
        if not readonly or SECRETS_KEY in self._entries:
            self.vault.prepare()

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.readonly:
            self._ledger.close()

    def unlock(self) -> None:
        """Make sure that the secrets can be read; a wrong passphrase is an `InputError`, before anything is done."""
        if SECRETS_KEY in self._entries:
            self.vault.unlock()

    def get(self, urn: str) -> Resource | None:
        """The live resource of this URN."""
        return self._resource(urn)

    def live(self) -> list[str]:
        """The URNs of all live resources, in no particular order."""
        return [key for key, entry in self._entries.items() if entry.get("urn") == key]

    def doomed(self) -> list[Resource]:
        """Old objects of replaced resources that still wait to be deleted."""
        keys = [key for key, entry in self._entries.items() if entry.get("delete")]
        return [resource for key in keys if (resource := self._resource(key)) is not None]

    def operations(self) -> list[tuple[str, Resource]]:
        """What was under way when the last run stopped: `creating`, `updating` or `deleting`, and the resource."""
        operations = [entry for key, entry in self._entries.items() if key.startswith(OPERATION)]
        return [(entry["type"], from_entry(entry["resource"], self.vault)) for entry in operations]

    def entries(self) -> dict[str, Entry]:
        """Every live resource's entry by URN: enough for what concerns the graph, without decrypting."""
        return {key: entry for key, entry in self._entries.items() if entry.get("urn") == key}

    def export(self, *, show_secrets: bool = False) -> Entry:
        """The whole state as `pulumi stack import` takes it."""
        entries = dict(self._entries)
        if show_secrets:
            entries = {k: self._in_plain_text(k, entry) for k, entry in entries.items()}
        return encode(entries)

    def _in_plain_text(self, key: str, entry: Entry) -> Entry:
        if key.startswith(OPERATION):
            return entry | {"resource": to_entry(from_entry(entry["resource"], self.vault), None)}
        return to_entry(from_entry(entry, self.vault), None) if "urn" in entry else entry

    def replace(self, entries: dict[str, Entry]) -> None:
        """Make `entries` the whole state; secrets that are in plain text are encrypted.

        The key is tried on them before anything is changed.
        """
        vault = Vault(entries.get(SECRETS_KEY), self._phrase)
        sealed: dict[str, Entry] = {}
        for key, entry in entries.items():
            if key == SECRETS_KEY:
                vault.unlock()
            elif key.startswith(OPERATION):
                sealed[key] = entry | {"resource": to_entry(from_entry(entry["resource"], vault), vault)}
            else:
                sealed[key] = to_entry(from_entry(entry, vault), vault)
        if SECRETS_KEY in entries or any(_holds_secrets(entry) for entry in sealed.values()):
            sealed[SECRETS_KEY] = vault.provider
        with self._lock:
            self.vault = vault
            self._entries = sealed
            self._decoded = {}
            self._ledger.replace_all(sealed)

    def begin(self, operation: str, resource: Resource) -> None:
        """Note that `operation` is about to start on `resource`."""
        key = OPERATION + resource.urn
        self._store(key, {"resource": self._encode(resource), "type": operation})

    def finish(self, urn: str) -> None:
        """Note that the operation on `urn` is over and its result recorded."""
        self._drop(OPERATION + urn)

    def put(self, resource: Resource) -> None:
        """Record a resource as it now is; one that is recorded like that already costs nothing."""
        entry = self._encode(resource)
        key = _key_of(entry)
        with self._lock:
            self._decoded[key] = resource
            if self._entries.get(key) != entry:
                self._store(key, entry)

    def remove(self, resource: Resource) -> None:
        """Forget a resource, live or marked for deletion."""
        key = f"{DOOMED}{resource.id}:{resource.urn}" if resource.delete else resource.urn
        self._drop(key)

    def forget(self, gone: dict[str, Resource]) -> None:
        """Forget resources whose objects are gone, and every mention of them in what is left."""
        for resource in gone.values():
            self.remove(resource)
        for urn, entry in self.entries().items():
            if any(need in gone for need in dependencies_of(entry)) and (resource := self.get(urn)) is not None:
                self.put(_without(resource, gone))

    def doom(self, resource: Resource) -> Resource:
        """Mark a live resource for deletion, so that another can take its URN."""
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
                found = self._decoded[key] = from_entry(entry, self.vault)
            return found

    def _encode(self, resource: Resource) -> Entry:
        if self.readonly:
            return to_entry(resource, None)
        entry = to_entry(resource, self.vault)
        if SECRETS_KEY not in self._entries and _holds_secrets(entry):
            self._store(SECRETS_KEY, self.vault.provider)
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
    """A resource that no longer mentions those that are gone; their parents become its own."""
    parent = resource.parent
    while parent in gone:
        parent = gone[parent].parent
    needs = {key: [urn for urn in listed if urn not in gone] for key, listed in resource.property_dependencies.items()}
    dependencies = [urn for urn in resource.dependencies if urn not in gone]
    return replace(resource, parent=parent, dependencies=dependencies, property_dependencies=needs)
