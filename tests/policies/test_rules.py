"""Every rule has the fields that reviewers need, and no rule fails on the committed stacks."""

from __future__ import annotations

import re
from copy import copy

import pytest

from policies import packs
from policies.evidence.gathered import gather, word_of
from policies.graph import Graph, Undetermined, Unknown
from policies.rule import REGISTRY, NotApplicable, Outcome, Rule, Severity, Verdict
from policies.sources import Judged

from .graphs import graph, resource
from .project import DRILLED

RULES = packs.all_rules()


def test_every_rule_belongs_to_a_pack() -> None:
    assert len(RULES) == len(REGISTRY.rules)
    assert {rule.pack for rule in RULES} == set(packs.PACKS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_the_fields_that_reviewers_need(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.id)
    assert rule.rationale.endswith((".", "!"))
    assert len(rule.title) > 20
    assert len(rule.remedy) > 20
    assert rule.promises
    assert set(rule.controls) == {"NIST SP 800-53", "ISO/IEC 27001", "SOC 2"}
    assert all(rule.controls.values())


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_no_rule_fails_on_the_committed_stacks(stack: str, request: pytest.FixtureRequest) -> None:
    evidence = gather(request.getfixturevalue(stack), final=True, now=DRILLED)
    assert not evidence.stops
    assert not evidence.problems
    notable = {(finding.verdict.rule.id, word_of(finding)) for finding in evidence.findings if finding.notable}
    assert notable == set()


def test_only_verdicts_that_need_arns_are_undetermined_in_the_first_preview(prod_plan: Judged) -> None:
    evidence = gather(prod_plan, final=False, now=DRILLED)
    assert not evidence.stops
    undetermined = {one.verdict.rule.id for one in evidence.findings if one.verdict.outcome is Outcome.UNDETERMINED}
    assert undetermined == {
        "certificates-reach-one-role",
        "content-is-reviewed",
        "topics-may-be-written",
        "offsite-speaks-tls-only",
        "principals-have-what-they-need-only",
        "every-copy-can-be-restored",
        "readers-can-only-read",
        "readers-open-for-restores-only",
        "restore-drill-is-scheduled",
        "writers-cannot-unlock",
    }
    # After an update no further value becomes known, so unknown values are failures.
    assert gather(prod_plan, final=True, now=DRILLED).stops


def test_an_empty_stack_fails() -> None:
    nothing = graph(resource("pulumi:pulumi:Stack", "backbuild-test"))
    for rule in RULES:
        verdicts = rule.verdicts(nothing)
        assert verdicts, rule.id
        assert all(verdict.outcome is not Outcome.PASS for verdict in verdicts), rule.id


def test_no_rule_passes_on_unknown_values(prod: Judged) -> None:
    """Replace every known value by an unknown one. No rule may count an unknown value as compliant."""
    unknown = Graph(
        [
            resource_like(one, dict.fromkeys({**one.inputs, **one.properties}, Unknown.LATER))
            for one in prod.graph.resources
        ]
    )  # fmt: skip
    passed = {rule.id for rule in RULES for verdict in rule.verdicts(unknown) if verdict.outcome is Outcome.PASS}
    # These rules judge types, names, the presence of properties, dependencies, and options, which are never unknown.
    known = {"every-resource-is-covered", "every-property-is-covered", "every-option-is-covered", "values-are-allowed"}
    assert passed <= {"data-is-protected", *known}


def resource_like(one: object, properties: dict[str, object]) -> object:
    from policies.mutation.operators import revised  # noqa: PLC0415

    return revised(one, properties=properties, inputs=properties)  # pyright: ignore


SUBJECT = resource("a:b/c:D", "x")


def judged_by(judge: object, over: object = lambda _: [SUBJECT], *, optional: bool = False) -> Verdict:
    rule = Rule("a-b", "p", Severity.HIGH, "t", "r", "m", (), {}, over, judge, optional)  # pyright: ignore
    return rule.verdicts(graph(SUBJECT))[0]


def test_a_rule_has_four_possible_outcomes() -> None:
    def unknown(*_: object) -> str:
        raise Undetermined("u", "a.b", "is known only after `up`")

    def elsewhere(*_: object) -> str:
        raise NotApplicable("not here")

    assert judged_by(lambda *_: None).outcome is Outcome.PASS
    assert judged_by(lambda *_: "wrong").message == "wrong"
    assert judged_by(elsewhere).outcome is Outcome.NOT_APPLICABLE
    assert judged_by(unknown).outcome is Outcome.UNDETERMINED
    assert judged_by(lambda *_: None, unknown).outcome is Outcome.UNDETERMINED


def test_a_rule_that_raises_an_error_is_undetermined() -> None:
    found = judged_by(lambda *_: {}["x"])  # type: ignore[index]
    assert found.outcome is Outcome.UNDETERMINED
    assert "KeyError: 'x'" in found.message


def test_a_rule_without_a_subject_fails_unless_it_is_optional() -> None:
    def some(_: object) -> list[object]:
        """Some things."""
        return []

    assert judged_by(lambda *_: None, some).outcome is Outcome.FAIL
    assert judged_by(lambda *_: None, some).message == "the stack has no some things"
    assert judged_by(lambda *_: None, some, optional=True).outcome is Outcome.NOT_APPLICABLE


def test_no_verdict_depends_on_the_order_of_the_resources(prod_plan: Judged) -> None:
    """Engines list resources and their dependencies in different orders. In a first preview many values are unknown."""
    resources = prod_plan.graph.resources
    turned = [copy(one) for one in resources[::-1]]
    for one in turned:
        one.property_dependencies = {key: needs[::-1] for key, needs in one.property_dependencies.items()}
    one, two = (
        {
            (rule.id, verdict.urn): verdict.outcome
            for rule in RULES
            for verdict in rule.verdicts(Graph(ordered, today=DRILLED.date()))
        }
        for ordered in (resources, turned)
    )
    assert {key: (one[key], two.get(key)) for key in one if one[key] != two.get(key)} == {}
    assert one.keys() == two.keys()
