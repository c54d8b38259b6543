"""Secret marks on providers' responses, and how an exported plan masks secrets."""

from __future__ import annotations

from sandbox.engine.steps import restore_secret_marks
from sandbox.engine.transfer import mask_secrets
from sandbox.values import UNKNOWN, Properties, Secret


def test_a_list_with_a_secret_element_becomes_one_secret() -> None:
    given: Properties = {
        "list": [{"a": "x"}, {"a": Secret("y")}],
        "object": {"a": "x", "b": Secret("y")},
        "plain": ["z"],
    }
    plain: Properties = {"list": [{"a": "x"}, {"a": "y"}], "object": {"a": "x", "b": "y"}, "plain": ["z"]}
    expected: Properties = {"list": Secret(plain["list"]), "object": {"a": "x", "b": Secret("y")}, "plain": ["z"]}
    assert restore_secret_marks(plain, given) == expected


def test_secrets_inside_a_secret_are_unwrapped() -> None:
    assert restore_secret_marks({"a": [{"b": Secret("x")}]}, {"a": [{"b": Secret("x")}]}) == {"a": Secret([{"b": "x"}])}


def test_an_exported_plan_shows_values_that_are_plain_text_in_the_program() -> None:
    declared: Properties = {
        "list": [{"name": "a", "text": "shown", "id": UNKNOWN}, {"name": "b", "text": Secret("hidden")}]
    }
    held: Properties = {
        "list": Secret(
            [{"name": "a", "text": "shown", "id": UNKNOWN, "filled": 1}, {"name": "b", "text": "hidden", "id": None}]
        ),
        "other": Secret("x"),
    }
    assert mask_secrets(held, declared) == {
        "list": [
            {"name": "a", "text": "shown", "id": UNKNOWN, "filled": Secret("[secret]")},
            {"name": "b", "text": Secret("[secret]"), "id": None},
        ],
        "other": Secret("[secret]"),
    }
