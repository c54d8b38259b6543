"""Property values: conversion to and from protobuf, secrets and unknown values at any depth."""

from __future__ import annotations

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from sandbox.values import (
    SIGNATURE,
    UNKNOWN,
    UNKNOWNS_ON_THE_WIRE,
    Secret,
    UnsupportedValueError,
    from_struct,
    holds_secret,
    holds_unknown,
    reveal,
    to_struct,
)

leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.just(UNKNOWN)
keys = st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | inner.map(Secret),
    max_leaves=12,
)
properties = st.dictionaries(keys, values, max_size=4)


@given(properties)
def test_conversion_round_trip(given_properties: dict) -> None:
    assert from_struct(to_struct(given_properties)) == given_properties


@given(properties)
def test_reveal_unwraps_secrets_and_keeps_unknown_values(given_properties: dict) -> None:
    bare = reveal(given_properties)
    assert not holds_secret(bare)
    assert holds_unknown(bare) == holds_unknown(given_properties)
    assert ("Secret(" in repr(given_properties)) == holds_secret(given_properties)


@pytest.mark.parametrize("sentinel", sorted(UNKNOWNS_ON_THE_WIRE))
def test_every_sentinel_is_unknown(sentinel: str) -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": {"b": [sentinel]}})
    assert from_struct(struct) == {"a": {"b": [UNKNOWN]}}


def test_fractions_are_not_rounded() -> None:
    assert from_struct(to_struct({"a": 1.5, "b": 2})) == {"a": 1.5, "b": 2}


def test_assets_are_rejected() -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "text": "x"}})
    with pytest.raises(UnsupportedValueError, match="asset"):
        from_struct(struct)


def test_the_repr_of_a_secret_hides_its_value() -> None:
    assert "hunter2" not in repr(Secret("hunter2"))
