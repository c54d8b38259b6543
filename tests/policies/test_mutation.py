"""A fixed sample of the weakenings. `make mutation` tries all of them."""

from __future__ import annotations

import importlib

import pytest

from policies.mutation.trial import WEAKENINGS, attempt, baseline, firing, idle_rules, sample
from policies.mutation.weakening import Weakening
from policies.packs import TOPICS, all_rules
from policies.sources import Judged

SAMPLE = sample(24, seed=20261126)


def test_every_rule_is_expected_by_a_weakening() -> None:
    assert len(WEAKENINGS) >= 400
    assert len({(one.name, one.expected_rule) for one in WEAKENINGS}) == len(WEAKENINGS)
    assert {one.expected_rule for one in WEAKENINGS} == {rule.id for rule in all_rules()}


@pytest.mark.parametrize("topic", TOPICS)
def test_weakenings_are_beside_the_rules_that_they_expect(topic: str) -> None:
    weakenings = importlib.import_module(f"policies.rules.{topic}.weakenings").WEAKENINGS
    own = {rule.id for rule in all_rules() if rule.judge.__module__ == f"policies.rules.{topic}.rules"}
    assert weakenings.keys() == own


@pytest.fixture(scope="session")
def fires(prod: Judged) -> set[str]:
    return firing(prod.graph)


def test_no_rule_fails_on_the_unchanged_stack(prod: Judged) -> None:
    assert baseline(prod.graph) == []


@pytest.mark.parametrize("weakening", SAMPLE, ids=lambda one: one.name)
def test_the_expected_rule_fails_on_each_mutant(prod: Judged, fires: set[str], weakening: Weakening) -> None:
    trial = attempt(prod.graph, weakening, fires, at_most=2)
    assert trial.made
    assert trial.survivors == []


def test_a_rule_that_fails_on_the_unchanged_stack_kills_no_mutant(prod: Judged) -> None:
    weakening = SAMPLE[0]
    trial = attempt(prod.graph, weakening, {weakening.expected_rule}, at_most=1)
    assert trial.killed == 0
    assert weakening.expected_rule in idle_rules([trial])
