"""Exemptions: the findings that they excuse, and the errors of invalid ones."""

from __future__ import annotations

import json
from datetime import date

import pytest

from console.errors import InputError
from policies import exemptions
from policies.configuration import Strictness
from policies.exemptions import Exemption, load, parse
from policies.graph import Graph
from policies.judging import Judgement, judge
from policies.packs import all_rules
from policies.rule import Outcome, Rule, Severity

from .graphs import PREFIX, graph, resource

TODAY = date(2026, 11, 26)
VOLUME = "aws:ebs/volume:Volume"
GOOD = f"""\
# A comment first.
[[exemption]]
rule = "some-rule"
resource = "{PREFIX}{VOLUME}::one"
owner = "somebody@example.com"
reason = "the volume is replaced next week"
expires = 2026-12-01
"""


def read(text: str) -> list[Exemption]:
    return parse(text.encode(), {"some-rule", "other-rule"}, {"test", "other"}, TODAY, "exemptions.toml")


def test_an_exemption_is_read_with_its_line() -> None:
    (one,) = read(GOOD)
    assert one.place == "exemptions.toml:2"
    assert one.stack == "test"
    assert one.days_left(TODAY) == 6


def test_expired_exemptions_are_left_out_on_request() -> None:
    both = GOOD.replace("2026-12-01", "2026-11-25") + GOOD.removeprefix("# A comment first.\n")
    known = {"some-rule", "other-rule"}
    assert [
        one.line for one in parse(both.encode(), known, {"test"}, TODAY, "exemptions.toml", ignore_expired=True)
    ] == [8]
    wrong = both.replace("2026-12-01", "2028-01-01")
    with pytest.raises(InputError, match=r":13: expires: 2028-01-01 is more than 366 days away"):
        parse(wrong.encode(), known, {"test"}, TODAY, "exemptions.toml", ignore_expired=True)


def test_an_exemption_holds_on_its_last_day() -> None:
    assert read(GOOD.replace("2026-12-01", "2026-11-26"))[0].days_left(TODAY) == 1


REASON = "the volume is replaced next week"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"some-rule"', '"no-rule"', r":3: rule: 'no-rule' is not a rule"),
        ('"some-rule"', "3", r":3: rule: 3; a text is expected"),
        ('rule = "some-rule"\n', "", r":2: rule: is missing; add it"),
        ("2026-12-01", "2026-11-25", r":7: expires: 2026-11-25 has passed"),
        ("2026-12-01", "2028-01-01", r":7: expires: 2028-01-01 is more than 366 days away"),
        ("2026-12-01", '"2026-12-01"', r":7: expires: '2026-12-01'; a date without quotes is expected"),
        ("2026-12-01", "2026-12-01T00:00:00Z", r":7: expires: datetime"),
        ("expires = 2026-12-01\n", "", r":2: expires: is missing; add it"),
        ('owner = "somebody@example.com"\n', "", r":2: owner: is missing; add it"),
        ("reason", "raeson", r":6: raeson: no such key"),
        (f"{PREFIX}{VOLUME}::one", "*", r":4: resource: '\*' is not a URN"),
        (f"{PREFIX}{VOLUME}::one", f"{PREFIX}{VOLUME}::*", r":4: resource: .* too broad: name the resource"),
        *(
            (f"{PREFIX}{VOLUME}::one", f"{PREFIX}{VOLUME}::{name}", r":4: resource: .* too broad: name the resource")
            for name in ("*o*", "*-one", "o*", "-*", "one-two-*-three", "one-two-**", "*::one-two-*", "?-*o")
        ),
        (f"{PREFIX}{VOLUME}::one", f"{PREFIX}*::a::b", r":4: resource: .* too broad: write the type in full"),
        (f"{PREFIX}{VOLUME}::one", f"{PREFIX}*${VOLUME}::one", r":4: resource: .* too broad: write the type in full"),
        (f"{PREFIX}{VOLUME}::one", f"{PREFIX}*::one", r":4: resource: .* too broad: write the type in full"),
        (f"{PREFIX}{VOLUME}::one", f"{PREFIX}aws:*::one", r":4: resource: .* too broad: write the type in full"),
        (f"{PREFIX}{VOLUME}::one", f"urn:pulumi:*::backbuild::{VOLUME}::one", r":4: resource: .* name the stack"),
        ("[[exemption]]", "[exemption]", r":2: write \[\[exemption\]\]"),
        ("[[exemption]]", "[[exemtion]]", r":2: exemtion: no such key; only \[\[exemption\]\] is allowed here"),
        ("reason =", "reason", r":6: "),
    ],
)
def test_an_invalid_exemption_is_refused_with_its_line(before: str, after: str, message: str) -> None:
    assert before in GOOD
    with pytest.raises(InputError, match=r"^exemptions\.toml" + message):
        read(GOOD.replace(before, after, 1))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", "is empty; a text is expected"),
        (" \t", "is empty"),
        ("\u3000\u00a0", "is empty"),
        ("\u200b\u200d\ufeff", "contains U\\+200B, which is invisible; write visible characters on one line"),
        ("\u3164 \u3164\u3164 \u3164\u3164", "contains U\\+3164"),
        ("\u2800\u2800\u2800", "contains U\\+2800"),
        ("a good reason \u202e for it", "contains U\\+202E"),
        ("a good reason\nfor it", "contains U\\+000A"),
        (".", "'\\.' is too short; give the reason in 3 words or more"),
        ("- - - - -", "'- - - - -' is too short"),
        ("1 2 3 4", "'1 2 3 4' is too short"),
        ("x y z", "'x y z' is too short"),
        ("\u0301\u0301 \u0301\u0301 \u0301\u0301", "is too short"),
        ("for now", "'for now' is too short"),
    ],
)
def test_a_reason_without_visible_words_is_refused(reason: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^exemptions\.toml:6: reason: .*{message}"):
        read(GOOD.replace(json.dumps(REASON), json.dumps(reason)))


@pytest.mark.parametrize("reason", [REASON, "Der Träger wird ersetzt", "диск скоро заменят", "until #12 is done"])
def test_a_reason_may_be_in_any_script(reason: str) -> None:
    assert read(GOOD.replace(REASON, reason))[0].reason == reason


@pytest.mark.parametrize(
    "owner",
    [
        *("-", "me", "somebody", "the team", "@", "@team", "@/team", "@org/", "org/team", "@org/team/part", "@-/-"),
        *("a@b", "@example.com", "a@example", "a@.com", "a@-.com", "a b@example.com", "a@example.com, b@example.com"),
        *("-@example.com", "a@@example.com", "a@exämple.com", "a@example.c", "<a@example.com>"),
    ],
)
def test_an_owner_that_is_not_a_contact_is_refused(owner: str) -> None:
    with pytest.raises(
        InputError, match=r"^exemptions\.toml:5: owner: .* is not a contact; name an e-mail address, or a team"
    ):
        read(GOOD.replace("somebody@example.com", owner))


@pytest.mark.parametrize(
    "owner", ["o'neill+on-call@mail.example.co.uk", "a1@b2.example", "@backbuild/platform", "@b/on.call"]
)
def test_an_owner_is_an_address_or_a_team(owner: str) -> None:
    assert read(GOOD.replace("somebody@example.com", owner))[0].owner == owner


def test_an_owner_with_an_invisible_character_is_refused() -> None:
    with pytest.raises(InputError, match=r"^exemptions\.toml:5: owner: contains U\+200B"):
        read(GOOD.replace("somebody@", "some\u200bbody@"))


@pytest.mark.parametrize(
    "name", ["alarms-*", "worker-*", "a-b-*", "ab-cd-*", "--worker-1-*", "worker--1-*", "worker-1*"]
)
def test_a_star_after_fewer_than_two_parts_is_too_broad(name: str) -> None:
    with pytest.raises(
        InputError, match=r"^exemptions\.toml:4: resource: .* too broad: .* two parts of its name and `-\*`"
    ):
        read(GOOD.replace("::one", f"::{name}"))


def test_an_unknown_stack_is_refused() -> None:
    with pytest.raises(InputError, match=r":4: resource: the project has no stack 'tset'; it has other, test$"):
        read(GOOD.replace("urn:pulumi:test::", "urn:pulumi:tset::"))
    assert exemptions.stacks() == ["prod", "staging"]


def test_all_problems_are_reported_at_once() -> None:
    text = GOOD.replace("some-rule", "no-rule").replace("2026-12-01", "2026-11-01")
    second = GOOD.replace("somebody@example.com", "-").replace(REASON, "?").replace("rule", "ruel", 1)
    with pytest.raises(InputError) as caught:
        read(text + second.removeprefix("# A comment first.\n"))
    places = [line.rpartition("exemptions.toml:")[2].split(": ")[:2] for line in str(caught.value).splitlines()]
    assert places == [["3", "rule"], ["7", "expires"], ["9", "ruel"], ["8", "rule"], ["11", "owner"], ["12", "reason"]]


def test_the_error_has_the_line_of_the_wrong_exemption() -> None:
    with pytest.raises(InputError, match=r"^exemptions\.toml:10: rule"):
        read(GOOD + "\n" + GOOD.replace("some-rule", "no-rule").removeprefix("# A comment first.\n"))


def test_a_missing_file_contains_no_exemptions(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert load(["some-rule"], TODAY, tmp_path / "none.toml") == []
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"bad\.toml:1: is not UTF-8; save"):
        load(["some-rule"], TODAY, tmp_path / "bad.toml")


def test_the_committed_exemptions_are_valid() -> None:
    load([rule.id for rule in all_rules()], TODAY)  # raises an error that names the entry


def rule(wrong: str | None = "wrong") -> Rule:
    def over(graph: Graph) -> list[object]:
        """Volumes."""
        return list(graph.of(VOLUME))

    return Rule("some-rule", "p", Severity.HIGH, "t", "r", "m", (), {}, over, lambda *_: wrong)  # pyright: ignore


def judged(text: str, *names: str, wrong: str | None = "wrong") -> Judgement:
    whole = graph(*(resource(VOLUME, name) for name in names))
    return judge(whole, [rule(wrong)], {"some-rule": Strictness()}, read(text), final=True)


def test_an_exemption_excuses_only_its_resource() -> None:
    found = judged(GOOD, "one", "two")
    assert [one.stops for one in found.findings] == [False, True]
    assert found.stops
    assert not judged(GOOD, "one").stops


def test_a_pattern_excuses_the_resources_that_it_matches() -> None:
    pattern = GOOD.replace("::one", "::worker-1-*")
    names = ("worker-1-a", "worker-1-b", "worker-2-a", "coworker-1-a")
    found = judged(pattern, *names)
    assert [one.stops for one in found.findings] == [False, False, True, True]
    assert found.problems == []


def test_a_pattern_that_matches_most_of_a_type_is_too_broad() -> None:
    found = judged(GOOD.replace("::one", "::worker-1-*"), "worker-1-a", "worker-1-b", "worker-2-a")
    assert found.problems == [
        f"exemptions.toml:2: some-rule: too broad: matches 2 of the 3 resources of type {VOLUME}; name them one by one"
    ]
    assert found.stops


def test_only_the_star_is_a_wildcard() -> None:
    assert judged(GOOD.replace("::one", "::w[o]rker-1-*"), "worker-1-a").stops
    assert judged(GOOD.replace("::one", "::o.e"), "one").stops


def test_an_unused_exemption_is_a_failure() -> None:
    found = judged(GOOD, "one", wrong=None)
    assert found.problems == ["exemptions.toml:2: some-rule: excuses nothing; remove it"]
    assert found.stops
    assert judged(GOOD, "two", wrong=None).stops


def test_an_exemption_of_another_stack_is_ignored() -> None:
    assert not judged(GOOD.replace("urn:pulumi:test", "urn:pulumi:other"), "one", wrong=None).stops


def test_an_exemption_of_a_rule_that_was_not_judged_is_ignored() -> None:
    assert not judged(GOOD.replace("some-rule", "other-rule"), "one", wrong=None).stops


def test_a_pattern_that_matches_several_types_is_too_broad() -> None:
    other = resource(f"backbuild:index:Platform$x${VOLUME}", "one")
    other.type = "aws:other/thing:Thing"
    whole = graph(resource(VOLUME, "one"), other)
    text = GOOD.replace(f"{PREFIX}{VOLUME}::one", f"{PREFIX}*{VOLUME}::one")
    with pytest.raises(InputError, match="too broad"):
        read(text)
    wide = read(GOOD)[0].model_copy(update={"resource": f"{PREFIX}*::one"})
    assert "too broad: matches resources of 2 types" in exemptions.problems([wide], whole, [wide])[0]


def test_an_undetermined_verdict_can_be_excused() -> None:
    def unknown(*_: object) -> str:
        raise ValueError("x")

    whole = graph(resource(VOLUME, "one"))
    found = judge(whole, [Rule("some-rule", "p", Severity.HIGH, "t", "r", "m", (), {}, rule().over, unknown)],
                  {"some-rule": Strictness()}, read(GOOD), final=True)  # fmt: skip
    assert found.findings[0].verdict.outcome is Outcome.UNDETERMINED
    assert not found.stops
