"""Where graphs come from: an exported state, or what an engine asks an analyzer to judge."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from google.protobuf import struct_pb2

from console.errors import InputError
from policies.graph import Graph, ProviderOf, Resource, Unknown, Value
from policies.readable import unhidden, with_defaults

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a public marker)
# How Pulumi writes what it does not know yet, by type: sdk/go/common/resource/plugin/rpc.go.
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


# What a resource must look like: the kind of each part that is read, and whether it must be there.
SHAPE: Final = {
    "urn": (str, True),
    "type": (str, True),
    "id": (str, False),
    "inputs": (dict, False),
    "outputs": (dict, False),
    "dependencies": (list, False),
    "propertyDependencies": (dict, False),
    "parent": (str, False),
    "provider": (str, False),
    "protect": (bool, False),
    "delete": (bool, False),
}
WORDS: Final = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
URN: Final = re.compile(r"urn:pulumi:([\w.-]+)::[\w.-]+::[^\0-\x1f]+::[^\0-\x1f]+", re.ASCII)


@dataclass(frozen=True)
class Judged:
    """A graph, and what identifies the state it was made of."""

    graph: Graph
    content: bytes
    source: str

    @property
    def sha256(self) -> str:
        """The digest of the state, as it was given."""
        return hashlib.sha256(self.content).hexdigest()


def from_file(path: Path) -> Judged:
    """The graph of a file that `pulumi stack export` (or the sandbox's `export`) wrote."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}; name a file that `pulumi stack export` wrote") from error
    return from_export(content, str(path))


def from_export(content: bytes, source: str) -> Judged:
    """The same from its bytes; `source` names them in errors."""
    try:
        entries = _resources(_json(content.decode("utf-8-sig")), source)
        regions = {entry["urn"]: _region(entry) for entry in entries if entry["type"].startswith("pulumi:providers:")}
        return Judged(Graph([_from_entry(entry, regions) for entry in entries]), content, source)
    except (ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{source}{line}: not JSON ({error}); give it what `pulumi stack export` wrote") from error


def _json(text: str) -> Any:
    """JSON as the standard has it; `ValueError` for figures and texts that Python alone would take."""
    document = json.loads(text, parse_constant=_no_figure, parse_float=_figure)
    if re.search(r"\\u[dD][89a-fA-F]", text):
        json.dumps(document, ensure_ascii=False).encode()  # half a character can be neither printed nor written
    return document


def _no_figure(text: str) -> NoReturn:
    raise ValueError(f"{text} is no figure")


def _figure(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _no_figure(text)


def _resources(document: Any, source: str) -> list[dict[str, Any]]:
    top = _demand(document, dict, "the document", source)
    if top.get("version") != 3:
        raise _wrong(source, "version", f"{top.get('version')!r:.40}, 3 is expected")
    deployment = _demand(top.get("deployment"), dict, "deployment", source)
    entries = _demand(deployment.get("resources") or [], list, "deployment.resources", source)
    if not entries:
        raise _wrong(source, "deployment.resources", "empty: there is nothing to judge")
    for index, entry in enumerate(entries):
        _check(entry, f"deployment.resources[{index}]", source)
    left = [(index, entry["urn"]) for index, entry in enumerate(entries) if not entry.get("delete")]
    if not left:
        raise _wrong(source, "deployment.resources", "all are to be deleted: there is nothing to judge")
    stack = _stack_of(left[0][1])
    seen: set[str] = set()
    for index, urn in left:
        place = f"deployment.resources[{index}].urn"
        if urn in seen:
            raise _wrong(source, place, f"{urn!r:.200} is there twice")
        if _stack_of(urn) != stack:
            raise _wrong(source, place, f"{urn!r:.200} is of another stack than {stack}")
        seen.add(urn)
    return [entry for entry in entries if not entry.get("delete")]


def _check(entry: Any, place: str, source: str) -> None:
    """One resource: each part that is read, and what it is made of."""
    _demand(entry, dict, place, source)
    for key, (kind, needed) in SHAPE.items():
        if needed or entry.get(key) is not None:
            _demand(entry.get(key), kind, f"{place}.{key}", source)
    if not URN.fullmatch(entry["urn"]):
        raise _wrong(source, f"{place}.urn", f"{entry['urn']!r:.80}, urn:pulumi:STACK::PROJECT::TYPE::NAME is expected")
    _texts(entry.get("dependencies"), f"{place}.dependencies", source)
    needs = cast("dict[str, Any]", entry.get("propertyDependencies") or {})
    for key, urns in needs.items():
        _texts(urns, f"{place}.propertyDependencies.{key}", source)


def _texts(value: Any, place: str, source: str) -> None:
    for index, one in enumerate(_demand([] if value is None else value, list, place, source)):
        _demand(one, str, f"{place}[{index}]", source)


def _stack_of(urn: str) -> str:
    return urn.split("::", maxsplit=1)[0].rpartition(":")[2]


def _demand(value: Any, kind: type, place: str, source: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(source, place, f"{value!r:.40}, {WORDS[kind]} is expected")
    return value  # pyright: ignore[reportUnknownVariableType] (JSON of unknown shape)


def _wrong(source: str, place: str, what: str) -> InputError:
    return InputError(f"{source}: {place}: {what}; give it what `pulumi stack export` wrote")


def _from_entry(entry: dict[str, Any], regions: Mapping[str, str]) -> Resource:
    properties = _merged(entry)
    if entry.get("id"):
        properties.setdefault("id", entry["id"])
    provider = str(entry.get("provider") or "").rpartition("::")[0]
    needs = cast("dict[str, list[str] | None]", entry.get("propertyDependencies") or {})
    found = {
        key: unhidden(entry["type"], key, partial(_value, value, opened=True), partial(_value, value))
        for key, value in properties.items()
    }
    return Resource(
        entry["urn"],
        entry["type"],
        with_defaults(entry["type"], found, needs),
        parent=entry.get("parent") or "",
        protect=bool(entry.get("protect")),
        dependencies=entry.get("dependencies") or (),
        property_dependencies={key: urns or () for key, urns in needs.items()},
        provider=ProviderOf(provider, regions.get(provider, "")) if provider else None,
    )


def _merged(entry: dict[str, Any]) -> dict[str, Any]:
    return {**(entry.get("inputs") or {}), **(entry.get("outputs") or {})}


def _region(entry: dict[str, Any]) -> str:
    region = _merged(entry).get("region")
    return region if isinstance(region, str) and region not in UNKNOWNS else ""


def _value(value: Any, *, opened: bool = False) -> Value:
    """A property as rules read it; secrets hidden, or opened for whoever hides them by other means."""
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
    """A secret: hidden, but for the structure around what is hidden in it. An asset is not read either."""
    if fields[SIGNATURE] != SECRET:
        return Unknown.LATER
    inner = fields.get("value")
    if "plaintext" in fields:
        try:
            inner = _json(fields["plaintext"])
        except (TypeError, ValueError, RecursionError):
            return Unknown.SECRET
    if opened:
        return Unknown.ENCRYPTED if "ciphertext" in fields else _value(inner, opened=True)
    return hidden(inner)


def hidden(value: Any) -> Value:
    """A secret value with every leaf hidden: lists and mappings can be walked, nothing can be read."""
    if isinstance(value, list):
        return [hidden(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict) and SIGNATURE not in value:
        return {key: hidden(item) for key, item in cast("dict[str, Any]", value).items()}
    return Unknown.SECRET


# -- the same from an engine


def from_request(resources: Any) -> Graph:
    """The graph of an `AnalyzeStackRequest`'s resources."""
    return Graph([_from_message(one) for one in resources])


def _from_message(message: Any) -> Resource:
    region = message.provider.properties.fields["region"].string_value if message.HasField("provider") else ""
    needs = {key: tuple(needs.urns) for key, needs in message.propertyDependencies.items()}
    found = {
        key: unhidden(message.type, key, partial(_from_wire, value, opened=True), partial(_from_wire, value))
        for key, value in message.properties.fields.items()
    }
    return Resource(
        message.urn,
        message.type,
        with_defaults(message.type, found, needs),
        parent=message.parent,
        protect=message.options.protect,
        dependencies=message.dependencies,
        property_dependencies=needs,
        provider=ProviderOf(message.provider.urn, "" if region in UNKNOWNS else region)
        if message.HasField("provider")
        else None,
    )


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
