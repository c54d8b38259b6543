"""The comparisons of the two engines must detect every difference except generated words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.conformance.compare import Renaming, calls, plans, shown, states
from sandbox.conformance.recorder import Call
from sandbox.values import SECRET_SIGNATURE, SIGNATURE

A, B = "urn:pulumi:dev::test::fake:index:Thing::a", "urn:pulumi:dev::test::fake:index:Thing::b"


def state(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"version": 3, "deployment": {"resources": list(entries)}}


def entry(urn: str = A, **fields: Any) -> dict[str, Any]:
    return {"urn": urn, "type": "fake:index:Thing", "custom": True, "id": "id-1", **fields}


def secret(text: str) -> dict[str, str]:
    return {SIGNATURE: SECRET_SIGNATURE, "plaintext": f'"{text}"'}


def test_states_that_differ_only_in_times_and_source_positions_agree() -> None:
    mine = state(entry(created="today", inputs={"a": [1, {"b": None}]}))
    other = state(entry(created="yesterday", sourcePosition="here:1", inputs={"a": [1, {"b": None}]}, protect=False))
    assert list(states(mine, other)) == []


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        ({"inputs": {"size": 1}}, {"inputs": {"size": 2}}),
        ({"inputs": {"size": 1}}, {"inputs": {"size": True}}),
        ({"inputs": {"name": "a"}}, {"inputs": {"name": "b"}}),
        ({"inputs": {"tags": {"a": "1"}}}, {"inputs": {"tags": {}}}),
        ({"inputs": {"refs": ["a", "b"]}}, {"inputs": {"refs": ["b", "a"]}}),
        ({"inputs": {"name": "same"}}, {"inputs": {"name": secret("same")}}),
        ({"inputs": {"name": secret("one")}}, {"inputs": {"name": secret("two")}}),
        ({"protect": True}, {}),
        ({"dependencies": [B]}, {}),
        ({"propertyDependencies": {"ref": [B]}}, {"propertyDependencies": {"ref": []}}),
        ({"delete": True}, {}),
        ({"retainOnDelete": True}, {}),
        ({"ignoreChanges": ["a"]}, {"ignoreChanges": ["b"]}),
    ],
)
def test_every_difference_of_two_states_is_detected(mine: dict[str, Any], other: dict[str, Any]) -> None:
    assert list(states(state(entry(**mine)), state(entry(**other))))
    assert list(states(state(entry(**other)), state(entry(**mine))))


def test_a_resource_in_only_one_state_is_detected() -> None:
    assert list(states(state(entry()), state(entry(), entry(B))))


def test_generated_words_correspond_in_the_whole_state() -> None:
    mine = state(entry(id="vpc-0a1b2c3d"), entry(B, inputs={"vpc": "vpc-0a1b2c3d"}))
    assert list(states(mine, state(entry(id="vpc-99aa88bb"), entry(B, inputs={"vpc": "vpc-99aa88bb"})))) == []
    # The mapping must be one-to-one.
    assert list(states(mine, state(entry(id="vpc-99aa88bb"), entry(B, inputs={"vpc": "vpc-77cc66dd"}))))
    one = state(entry(id="vpc-0a1b2c3d"), entry(B, inputs={"vpc": "vpc-1b2c3d4e"}))
    assert list(states(one, state(entry(id="vpc-99aa88bb"), entry(B, inputs={"vpc": "vpc-99aa88bb"}))))


@given(st.text(min_size=1), st.text(min_size=1))
def test_short_words_without_a_digit_are_not_generated(mine: str, other: str) -> None:
    short = not any(character.isdigit() for character in mine + other) and max(len(mine), len(other)) < 16
    if short:
        assert Renaming().matches(mine, other) == (mine == other)


@pytest.mark.parametrize(
    ("mine", "other", "third"),
    [
        (
            "key: -----BEGIN PRIVATE KEY-----\nab+c/d\n-----END PRIVATE KEY-----\n",
            "key: -----BEGIN PRIVATE KEY-----\na+bcde/f/\n-----END PRIVATE KEY-----\n",
            "key: -----BEGIN PRIVATE KEY-----\nabcdef\n-----END PRIVATE KEY-----\n",
        ),
        (f"ssh-rsa AAAA{'b' * 20}/{'c' * 20}", f"ssh-rsa AAAA{'b' * 41}==", f"ssh-rsa AAAA+{'d' * 40}"),
        ("2026-11-29T12:18:18.25Z", "2026-11-29T12:18:19.123Z", "2026-11-29T12:18:20Z"),
    ],
)
def test_keys_and_times_are_generated_as_a_whole(mine: str, other: str, third: str) -> None:
    renaming = Renaming()
    assert renaming.matches(mine, other)
    assert renaming.matches(mine, other)
    assert not renaming.matches(mine, third)


def test_plans_differ_by_operation_and_by_resource() -> None:
    assert list(plans({A: "same"}, {A: "same"})) == []
    assert list(plans({A: "same"}, {A: "update"}))
    assert list(plans({A: "same"}, {}))
    assert list(plans({}, {A: "same"}))


def test_the_parts_of_a_replacement_are_one_operation() -> None:
    default = "urn:pulumi:dev::test::pulumi:providers:fake::default_1_0_0"
    assert shown([(A, "create-replacement"), (A, "replace"), (default, "create")]) == {A: "replace"}


C = "urn:pulumi:dev::test::fake:index:Thing::c"
CHAIN = state(entry(), entry(B, dependencies=[A]), entry(C, dependencies=[B]))


def test_the_order_of_calls_on_dependent_resources_is_compared() -> None:
    one, two = Call("create", A), Call("create", B)
    assert list(calls([one, two], [one, two], CHAIN)) == []
    assert list(calls([one, two], [two, one], CHAIN))
    assert list(calls([one, two], [two, one])) == []


def test_indirect_dependencies_order_creations_but_not_deletions() -> None:
    for op, differs in (("create", True), ("delete", False)):
        one, three = Call(op, A), Call(op, C)
        assert bool(list(calls([one, three], [three, one], CHAIN))) is differs
    first, second = Call("delete", B), Call("delete", A)
    assert list(calls([first, second], [second, first], CHAIN))


def test_missing_and_repeated_calls_are_detected() -> None:
    one = Call("create", A)
    assert list(calls([one], []))
    assert list(calls([one], [one, one]))
    assert list(calls([one], [Call("update", A)]))


def test_nested_secret_marks_make_no_difference() -> None:
    inner = {SIGNATURE: SECRET_SIGNATURE, "plaintext": '"x"'}
    nested = {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps([{"text": inner}])}
    flat = {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps([{"text": "x"}])}
    other = {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps([{"text": "y"}])}
    assert list(states(state(entry(inputs={"a": nested})), state(entry(inputs={"a": flat})))) == []
    assert list(states(state(entry(inputs={"a": nested})), state(entry(inputs={"a": other}))))
