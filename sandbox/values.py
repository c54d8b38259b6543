"""Property values in the engine and the clouds, and their conversion to and from protobuf.

A property value is JSON (`None`, `bool`, `int`, `float`, `str`, `list`, `dict`) with two additions: `UNKNOWN`, a value
that only an update can compute, and `Secret`, a value that must not be shown. Assets, archives and resource references
are not supported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from google.protobuf import struct_pb2

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a public marker, not a password)
UNKNOWN_ON_THE_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# An unknown value may also be sent as the sentinel of its type; sdk/go/common/resource/plugin/rpc.go lists them.
UNKNOWNS_ON_THE_WIRE: Final = frozenset(
    {
        UNKNOWN_ON_THE_WIRE,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class Unknown:
    """The type of `UNKNOWN`, a value that is not known before an update; compare with `is UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in the state and hidden in plans."""

    value: Value

    def __repr__(self) -> str:
        return "Secret([secret])"


Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Unknown | Secret | None"
Properties: TypeAlias = dict[str, Value]


class UnsupportedValueError(ValueError):
    """A property value of a kind that this engine does not support."""


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """Convert a protobuf struct, sorted by key (structs have no order); sentinels become `UNKNOWN` or `Secret`."""
    return {key: _from_wire(struct.fields[key]) for key in sorted(struct.fields)}


def _from_wire(value: struct_pb2.Value) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWNS_ON_THE_WIRE else value.string_value
    if kind == "struct_value":
        fields = value.struct_value.fields
        return _from_signed(fields) if SIGNATURE in fields else from_struct(value.struct_value)
    if kind == "list_value":
        return [_from_wire(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    return None


def _from_signed(fields: Mapping[str, struct_pb2.Value]) -> Secret:
    signature = fields[SIGNATURE].string_value
    if signature != SECRET_SIGNATURE:
        raise UnsupportedValueError(
            f"a property value of kind {signature} (an asset, archive or resource reference) is not supported by the "
            "sandbox; pass its content or its id instead"
        )
    return Secret(_from_wire(fields["value"]))


def to_struct(properties: Mapping[str, Value]) -> struct_pb2.Struct:
    """Convert properties to a protobuf struct; the inverse of `from_struct`."""
    struct = struct_pb2.Struct()
    _fill(struct, properties)
    return struct


def _fill(struct: struct_pb2.Struct, properties: Mapping[str, Value]) -> None:
    for key, value in properties.items():
        _to_wire(struct.fields[key], value)


def _to_wire(target: struct_pb2.Value, value: Value) -> None:
    match value:
        case None:
            target.null_value = struct_pb2.NULL_VALUE
        case bool():
            target.bool_value = value
        case int() | float():
            target.number_value = value
        case str():
            target.string_value = value
        case list():
            target.list_value.SetInParent()
            for item in value:
                _to_wire(target.list_value.values.add(), item)
        case dict():
            target.struct_value.SetInParent()
            _fill(target.struct_value, value)
        case Secret():
            fields = target.struct_value.fields
            fields[SIGNATURE].string_value = SECRET_SIGNATURE
            _to_wire(fields["value"], value.value)
        case Unknown():
            target.string_value = UNKNOWN_ON_THE_WIRE


def transform(value: Value, leaf: Callable[[Value], Value]) -> Value:
    """Rebuild `value` with `leaf` applied to everything that is neither a list nor a dict."""
    if isinstance(value, dict):
        return {key: transform(item, leaf) for key, item in value.items()}
    if isinstance(value, list):
        return [transform(item, leaf) for item in value]
    return leaf(value)


def reveal(properties: Mapping[str, Value]) -> Properties:
    """Unwrap every `Secret`, at any depth."""

    def leaf(value: Value) -> Value:
        return transform(value.value, leaf) if isinstance(value, Secret) else value

    return cast(Properties, transform(dict(properties), leaf))


def holds_unknown(value: Value) -> bool:
    """Whether `UNKNOWN` appears anywhere in `value`."""
    return _holds(value, Unknown)


def holds_secret(value: Value) -> bool:
    """Whether a `Secret` appears anywhere in `value`."""
    return _holds(value, Secret)


def _holds(value: Value, kind: type[Unknown] | type[Secret]) -> bool:
    if isinstance(value, kind):
        return True
    if isinstance(value, Secret):
        return _holds(value.value, kind)
    if isinstance(value, dict):
        return any(_holds(item, kind) for item in value.values())
    return isinstance(value, list) and any(_holds(item, kind) for item in value)
