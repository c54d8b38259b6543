"""Sources of graphs: an exported state, or an engine's request to an analyzer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

from google.protobuf import struct_pb2
from pydantic import AfterValidator, Field

from console.errors import InputError
from policies.graph import Graph, ProviderOf, Resource, Unknown, Value
from policies.readable import unhidden, with_defaults
from policies.reading import Foreign, parse_json, read, standard_json, validate

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a public marker)
# How Pulumi writes values that it does not know yet, by type: sdk/go/common/resource/plugin/rpc.go.
UNKNOWNS: Final = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


OPTIONS: Final[Mapping[str, str]] = {
    "protect": "protect",
    "retainOnDelete": "retain_on_delete",
    "deleteBeforeReplace": "delete_before_replace",
    "deletedWith": "deleted_with",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
    "additionalSecretOutputs": "additional_secret_outputs",
    "aliases": "aliases",
    "customTimeouts": "custom_timeouts",
    "external": "external",
}
"""Resource option to the field of an `Entry` with its value."""


# The analyzers' protocol does not contain these.
HIDDEN_OPTIONS: Final = ("retainOnDelete", "deletedWith", "replaceOnChanges", "external")

REMEDY: Final = "use a file that `pulumi stack export` wrote"


def _urn(text: str) -> str:
    if not re.fullmatch(r"urn:pulumi:([\w.-]+)::[\w.-]+::[^\0-\x1f]+::[^\0-\x1f]+", text, re.ASCII):
        raise ValueError(f"{text!r:.80}; urn:pulumi:STACK::PROJECT::TYPE::NAME is expected")
    return text


class Entry(Foreign):
    """A resource of a state: the parts that are read."""

    urn: Annotated[str, AfterValidator(_urn)]
    type: str
    id: str | None = None
    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    dependencies: list[str] | None = None
    needs: dict[str, list[str] | None] | None = Field(default=None, alias="propertyDependencies")
    parent: str | None = None
    provider: str | None = None
    protect: bool | None = None
    delete: bool | None = None
    retain_on_delete: bool | None = Field(default=None, alias="retainOnDelete")
    delete_before_replace: bool | None = Field(default=None, alias="deleteBeforeReplace")
    deleted_with: str | None = Field(default=None, alias="deletedWith")
    ignore_changes: list[str] | None = Field(default=None, alias="ignoreChanges")
    replace_on_changes: list[str] | None = Field(default=None, alias="replaceOnChanges")
    additional_secret_outputs: list[str] | None = Field(default=None, alias="additionalSecretOutputs")
    aliases: list[str] | None = None
    custom_timeouts: dict[str, float] | None = Field(default=None, alias="customTimeouts")
    external: bool | None = None

    @property
    def options(self) -> dict[str, Value]:
        """The resource options that are set, by their names in the format."""
        values: dict[str, Value] = {name: getattr(self, field) for name, field in OPTIONS.items()}
        return {name: value for name, value in values.items() if value}

    @property
    def properties(self) -> dict[str, Any]:
        """Inputs and outputs; an output takes precedence."""
        return {**(self.inputs or {}), **(self.outputs or {})}

    @property
    def region(self) -> str:
        """The region that a provider is configured for; empty where it is unknown."""
        region = self.properties.get("region")
        return region if isinstance(region, str) and region not in UNKNOWNS else ""


class Deployment(Foreign):
    """The deployment of a state."""

    resources: list[Entry] | None = None


class State(Foreign):
    """An exported state."""

    version: Literal[3]
    deployment: Deployment


@dataclass(frozen=True)
class Judged:
    """A graph, and the state that it was made of."""

    graph: Graph
    content: bytes
    source: str

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the state's bytes."""
        return hashlib.sha256(self.content).hexdigest()


def from_file(path: Path) -> Judged:
    """Read a file that `pulumi stack export` (or the sandbox's `export`) wrote."""
    return from_export(read(path, REMEDY), str(path))


def from_export(content: bytes, source: str) -> Judged:
    """Parse an exported state; `source` names it in errors."""
    state = validate(State, parse_json(content, source, REMEDY), source, remedy=REMEDY)
    entries = _resources(state, source)
    regions = {entry.urn: entry.region for entry in entries if entry.type.startswith("pulumi:providers:")}
    try:
        return Judged(Graph([_from_entry(entry, regions) for entry in entries]), content, source)
    except RecursionError as error:
        raise _wrong(source, "deployment.resources", "a property is nested too deeply") from error


def _resources(state: State, source: str) -> list[Entry]:
    """Return the resources that are left, each once and of one stack."""
    entries = state.deployment.resources or []
    left = [(index, entry) for index, entry in enumerate(entries) if not entry.delete]
    if not left:
        what = "all resources are to be deleted" if entries else "empty"
        raise _wrong(source, "deployment.resources", f"{what}: there is nothing to judge")
    stack = _stack_of(left[0][1].urn)
    seen: set[str] = set()
    for index, entry in left:
        place = f"deployment.resources[{index}].urn"
        if entry.urn in seen:
            raise _wrong(source, place, f"{entry.urn!r:.200} occurs twice")
        if _stack_of(entry.urn) != stack:
            raise _wrong(source, place, f"{entry.urn!r:.200} is of another stack than {stack}")
        seen.add(entry.urn)
    return [entry for _, entry in left]


def _stack_of(urn: str) -> str:
    return urn.split("::", maxsplit=1)[0].rpartition(":")[2]


def _wrong(source: str, place: str, what: str) -> InputError:
    return InputError(f"{source}: {place}: {what}; {REMEDY}")


def _from_entry(entry: Entry, regions: Mapping[str, str]) -> Resource:
    properties = entry.properties
    if entry.id:
        properties.setdefault("id", entry.id)
    provider = (entry.provider or "").rpartition("::")[0]
    found = _readable(entry.type, properties)
    return Resource(
        entry.urn,
        entry.type,
        with_defaults(entry.type, found, entry.needs or {}),
        parent=entry.parent or "",
        inputs=_readable(entry.type, entry.inputs or {}),
        options=entry.options,
        dependencies=entry.dependencies or (),
        property_dependencies={key: urns or () for key, urns in (entry.needs or {}).items()},
        provider=ProviderOf(provider, regions.get(provider, "")) if provider else None,
    )


def _readable(type: str, properties: Mapping[str, Any]) -> dict[str, Value]:
    return {
        key: unhidden(type, key, partial(_value, value, opened=True), partial(_value, value))
        for key, value in properties.items()
    }


def _value(value: Any, *, opened: bool = False) -> Value:
    """Convert a property; secrets are hidden unless `opened`, for a caller that hides them itself."""
    if isinstance(value, str):
        return Unknown.LATER if value in UNKNOWNS else value
    if isinstance(value, list):
        return [_value(item, opened=opened) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if SIGNATURE in fields:
            return _signed(fields, opened=opened)
        return {key: _value(item, opened=opened) for key, item in fields.items()}
    return value


def _signed(fields: dict[str, Any], *, opened: bool) -> Value:
    """Convert a secret: its values are hidden, its structure is kept. Assets are unknown."""
    if fields[SIGNATURE] != SECRET:
        return Unknown.LATER
    inner = fields.get("value")
    if "plaintext" in fields:
        try:
            inner = standard_json(fields["plaintext"])
        except (TypeError, ValueError, RecursionError):
            return Unknown.SECRET
    if opened:
        return Unknown.ENCRYPTED if "ciphertext" in fields else _value(inner, opened=True)
    return hidden(inner)


def hidden(value: Any) -> Value:
    """Hide every value in lists and mappings, and keep their structure."""
    if isinstance(value, list):
        return [hidden(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict) and SIGNATURE not in value:
        return {key: hidden(item) for key, item in cast("dict[str, Any]", value).items()}
    return Unknown.SECRET


# -- from an engine


def from_request(resources: Any, inputs: Mapping[str, Any]) -> Graph:
    """Return the graph of an `AnalyzeStackRequest`'s resources.

    `inputs`: the properties in each resource's `AnalyzeRequest`, by URN. The other request contains only outputs.
    """
    return Graph([_from_message(one, inputs.get(one.urn)) for one in resources])


def _from_message(message: Any, inputs: Any) -> Resource:
    region = message.provider.properties.fields["region"].string_value if message.HasField("provider") else ""
    needs = {key: tuple(needs.urns) for key, needs in message.propertyDependencies.items()}
    found = _from_struct(message.type, message.properties)
    return Resource(
        message.urn,
        message.type,
        with_defaults(message.type, found, needs),
        parent=message.parent,
        inputs=None if inputs is None else _from_struct(message.type, inputs),
        options=_options(message.options),
        hidden_options=HIDDEN_OPTIONS,
        dependencies=message.dependencies,
        property_dependencies=needs,
        provider=ProviderOf(message.provider.urn, "" if region in UNKNOWNS else region)
        if message.HasField("provider")
        else None,
    )


def _from_struct(type: str, struct: struct_pb2.Struct) -> dict[str, Value]:
    return {
        key: unhidden(type, key, partial(_from_wire, value, opened=True), partial(_from_wire, value))
        for key, value in struct.fields.items()
    }


def _options(message: Any) -> dict[str, Value]:
    """Return the resource options that are set."""
    timeouts = {name: getattr(message.customTimeouts, name) for name in ("create", "update", "delete")}
    options: dict[str, Value] = {
        "protect": message.protect,
        "ignoreChanges": list(message.ignoreChanges),
        "deleteBeforeReplace": message.deleteBeforeReplace if message.deleteBeforeReplaceDefined else None,
        "additionalSecretOutputs": list(message.additionalSecretOutputs),
        "aliases": list(message.aliases),
        "customTimeouts": {name: seconds for name, seconds in timeouts.items() if seconds},
    }
    return {name: value for name, value in options.items() if value}


def _from_wire(value: struct_pb2.Value, *, opened: bool = False) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return Unknown.LATER if value.string_value in UNKNOWNS else value.string_value
    if kind == "struct_value":
        fields = value.struct_value.fields
        if SIGNATURE in fields:
            return _from_signed(fields, opened=opened)
        return {key: _from_wire(item, opened=opened) for key, item in fields.items()}
    if kind == "list_value":
        return [_from_wire(item, opened=opened) for item in value.list_value.values]
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return value.bool_value if kind == "bool_value" else None


def _from_signed(fields: Mapping[str, struct_pb2.Value], *, opened: bool) -> Value:
    if fields[SIGNATURE].string_value != SECRET:
        return Unknown.LATER
    inner = _from_wire(fields["value"], opened=opened)
    return inner if opened else _hide(inner)


def _hide(value: Value) -> Value:
    if isinstance(value, list):
        return [_hide(item) for item in value]
    if isinstance(value, dict):
        return {key: _hide(item) for key, item in value.items()}
    return value if value is Unknown.LATER else Unknown.SECRET
