"""The random provider: random values that meet the inputs and are stable until an input changes."""

from __future__ import annotations

import string
import uuid
from typing import Any

import pytest

from sandbox.clouds.cloud import Cloud
from sandbox.provider import Change
from sandbox.values import UNKNOWN, Properties
from tests.sandbox.clouds.conftest import urn

PASSWORD = "random:index/randomPassword:RandomPassword"


def make(random: Cloud, kind: str, preview: bool = False, /, **inputs: Any) -> tuple[str, Properties]:
    type = f"random:index/{kind[0].lower()}{kind[1:]}:{kind}"
    checked = random.check(urn(type, "it"), type, None, inputs, b"seed")
    assert checked.failures == ()
    return random.create(urn(type, "it"), type, checked.inputs, preview)


def count(text: str, alphabet: str) -> int:
    return sum(letter in alphabet for letter in text)


def test_a_password_has_the_requested_length_and_characters(random: Cloud) -> None:
    _, outputs = make(
        random, "RandomPassword", length=40, minUpper=12, minNumeric=12, overrideSpecial="_-", minSpecial=5
    )
    result = str(outputs["result"])
    assert len(result) == 40
    assert count(result, string.ascii_uppercase) >= 12
    assert count(result, string.digits) >= 12
    assert count(result, "_-") >= 5
    assert set(result) <= {*string.ascii_letters, *string.digits, "_", "-"}
    _, plain = make(random, "RandomPassword", length=40, special=False, upper=False, numeric=False)
    assert set(str(plain["result"])) <= set(string.ascii_lowercase)


def test_passwords_are_different_and_stable(random: Cloud) -> None:
    first, one = make(random, "RandomPassword", length=32)
    _, two = make(random, "RandomPassword", length=32)
    assert one["result"] != two["result"]
    found = random.read(urn(PASSWORD, "it"), PASSWORD, first, {})
    assert found is not None
    assert found.outputs["result"] == one["result"]


def test_the_result_is_unknown_in_a_preview(random: Cloud) -> None:
    _, outputs = make(random, "RandomPassword", True, length=32)
    assert outputs["result"] is UNKNOWN


def test_a_change_of_keepers_or_any_input_forces_a_replacement(random: Cloud) -> None:
    olds: Properties = {"length": 32, "keepers": {"version": "1"}}
    difference = random.diff(PASSWORD, "x", olds, {}, {"length": 33, "keepers": {"version": "2"}})
    assert difference.detail == {"length": Change.UPDATE_REPLACE, "keepers.version": Change.UPDATE_REPLACE}
    assert not difference.delete_before_replace


def test_the_other_kinds(random: Cloud) -> None:
    id, outputs = make(random, "RandomId", byteLength=8, prefix="p-")
    assert outputs["b64Url"] == id
    hexadecimal = str(outputs["hex"]).removeprefix("p-")
    assert len(hexadecimal) == 16
    assert int(hexadecimal, 16) == int(str(outputs["dec"]).removeprefix("p-"))

    id, outputs = make(random, "RandomUuid")
    assert outputs["result"] == id
    assert uuid.UUID(id).version == 4

    id, _ = make(random, "RandomPet", length=3, prefix="db")
    assert len(id.split("-")) == 4

    _, outputs = make(random, "RandomInteger", min=5, max=6)
    assert outputs["result"] in {5, 6}

    _, outputs = make(random, "RandomBytes", length=12)
    assert len(bytes.fromhex(str(outputs["hex"]))) == 12

    id, outputs = make(random, "RandomString", length=9)
    assert len(id) == 9
    assert outputs["result"] == id

    _, outputs = make(random, "RandomShuffle", inputs=["a", "b", "c"], resultCount=2)
    results = outputs["results"]
    assert isinstance(results, list)
    assert len(results) == 2


@pytest.mark.parametrize("inputs", [{"length": 3, "minUpper": 4}, {"length": 0}])
def test_impossible_inputs_are_rejected(random: Cloud, inputs: Properties) -> None:
    (failure,) = random.check(urn(PASSWORD, "it"), PASSWORD, None, inputs, b"").failures
    assert failure.path == "length"
    assert "too short" in failure.reason
