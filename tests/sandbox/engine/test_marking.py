"""Secrets as Pulumi's engine marks them for providers that accept none, and what a plan for judging shows of them."""

from __future__ import annotations

from sandbox.engine.steps import restore_secret_marks
from sandbox.engine.transfer import mask_secrets
from sandbox.values import UNKNOWN, Properties, Secret


def test_a_list_with_one_secret_is_one_secret() -> None:
    given: Properties = {
        "list": [{"a": "x"}, {"a": Secret("y")}],
        "object": {"a": "x", "b": Secret("y")},
        "plain": ["z"],
    }
    plain: Properties = {"list": [{"a": "x"}, {"a": "y"}], "object": {"a": "x", "b": "y"}, "plain": ["z"]}
    expected: Properties = {"list": Secret(plain["list"]), "object": {"a": "x", "b": Secret("y")}, "plain": ["z"]}
    assert restore_secret_marks(plain, given) == expected


def test_what_the_provider_marks_inside_a_secret_makes_no_second_one() -> None:
    assert restore_secret_marks({"a": [{"b": Secret("x")}]}, {"a": [{"b": Secret("x")}]}) == {"a": Secret([{"b": "x"}])}


def test_a_plan_shows_what_the_program_gave_in_the_clear() -> None:
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
