"""Property values: to the wire and back, secrets and unknowns at any depth."""

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
def test_there_and_back(given_properties: dict) -> None:
    assert from_struct(to_struct(given_properties)) == given_properties


@given(properties)
def test_revealing_leaves_no_secret_and_every_unknown(given_properties: dict) -> None:
    bare = reveal(given_properties)
    assert not holds_secret(bare)
    assert holds_unknown(bare) == holds_unknown(given_properties)
    assert ("Secret(" in repr(given_properties)) == holds_secret(given_properties)


@pytest.mark.parametrize("sentinel", sorted(UNKNOWNS_ON_THE_WIRE))
def test_every_sentinel_is_unknown(sentinel: str) -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": {"b": [sentinel]}})
    assert from_struct(struct) == {"a": {"b": [UNKNOWN]}}


def test_a_fraction_stays_a_fraction() -> None:
    assert from_struct(to_struct({"a": 1.5, "b": 2})) == {"a": 1.5, "b": 2}


def test_assets_are_refused_by_name() -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "text": "x"}})
    with pytest.raises(UnsupportedValueError, match="asset"):
        from_struct(struct)


def test_a_secret_does_not_show_itself() -> None:
    assert "hunter2" not in repr(Secret("hunter2"))
