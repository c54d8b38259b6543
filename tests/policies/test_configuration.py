"""The configuration of a stack's strictness: valid values, errors, and production's own values."""

from __future__ import annotations

from typing import Any

import pytest

from console.errors import InputError
from policies import configuration
from policies.configuration import Level, Strictness, Undecided, parse
from policies.packs import PACKS, rules_of

RULES = ("a-b", "c-d")


def test_the_default_is_strict() -> None:
    assert parse({}, RULES, "x") == dict.fromkeys(RULES, Strictness(Level.MANDATORY, Undecided.FAIL))


def test_a_rules_own_setting_takes_precedence_over_all() -> None:
    document = {"all": {"enforcementLevel": "advisory", "undetermined": "note"}, "a-b": "mandatory"}
    found = parse(document, RULES, "x")
    assert found["a-b"] == Strictness(Level.MANDATORY, Undecided.NOTE)
    assert found["c-d"] == Strictness(Level.ADVISORY, Undecided.NOTE)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], r"x: \[\]; write an object with rule ids as its keys"),
        ({"e-f": "mandatory"}, "x: e-f: no such rule"),
        (
            {"a-b": "mandatroy"},
            "x: a-b.enforcementLevel: 'mandatroy'; 'mandatory', 'advisory' or 'disabled' is expected",
        ),
        ({"a-b": 3}, "x: a-b: 3; a level or an object is expected"),
        ({"a-b": {"undetermined": "pass"}}, "x: a-b.undetermined: 'pass'; 'fail' or 'note' is expected"),
        ({"a-b": {"undetermined": True}}, "x: a-b.undetermined: True"),
        ({"a-b": {"level": "advisory"}}, "x: a-b.level: no such key"),
        ({"all": {"enforcementLevel": None}}, "x: all.enforcementLevel: None"),
    ],
)
def test_an_invalid_setting_is_refused_with_its_key(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(document, RULES, "x")


@pytest.mark.parametrize("pack", PACKS)
def test_every_rule_is_mandatory_in_production(pack: str) -> None:
    found = configuration.load(pack, "prod", [rule.id for rule in rules_of(pack)])
    assert {one.level for one in found.values()} == {Level.MANDATORY}


@pytest.mark.parametrize("pack", PACKS)
def test_a_stack_without_a_file_has_the_default(pack: str) -> None:
    assert set(configuration.load(pack, "no-such-stack", RULES).values()) == {Strictness()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{\n\n!", r"prod\.json:3: "),
        ("[]", r"prod\.json: \[\]; write an object"),
        ("\xff", r"prod\.json:1: is not UTF-8; "),
        ("[" * 100_000, r"prod\.json:1: not JSON \(maximum recursion depth"),
        (f'{{"all": {"9" * 5000}}}', r"prod\.json:1: not JSON \(Exceeds the limit"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    text: str, message: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prod.json"
    file.write_bytes(text.encode("latin-1"))
    monkeypatch.setattr(configuration, "file_of", lambda *_: file)
    with pytest.raises(InputError, match=message):
        configuration.load("redundancy", "prod", RULES)
