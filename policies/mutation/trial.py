"""Trying weakenings: every rule judges each mutant, and the expected rule must fail on it."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from policies.graph import Graph
from policies.mutation.operators import Mutant
from policies.mutation.weakening import Preparation, Weakening, Weakenings
from policies.packs import TOPICS, all_rules
from policies.rule import REGISTRY, Outcome


def _read() -> Iterator[Weakening]:
    """Read the weakenings of all topics."""
    for topic in TOPICS:
        module = importlib.import_module(f"policies.rules.{topic}.weakenings")
        weakenings: Weakenings = module.WEAKENINGS
        preparations: Mapping[str, Preparation] = getattr(module, "PREPARATIONS", {})
        for rule, operators in weakenings.items():
            for name, operator in operators.items():
                yield Weakening(name, rule, operator, preparations.get(rule))


WEAKENINGS: Final = tuple(_read())


@dataclass
class Trial:
    """The result of one weakening: how many mutants were made and killed; `others` are further rules that failed."""

    weakening: Weakening
    made: int = 0
    killed: int = 0
    survivors: list[str] = field(default_factory=list[str])
    others: set[str] = field(default_factory=set[str])


def firing(graph: Graph) -> set[str]:
    """Return the rules that fail on a graph, without exemptions; an undetermined verdict counts as a failure."""
    bad = {Outcome.FAIL, Outcome.UNDETERMINED}
    return {rule.id for rule in all_rules() if any(verdict.outcome in bad for verdict in rule.verdicts(graph))}


def baseline(graph: Graph) -> list[str]:
    """Return the rules that fail on the unchanged stack."""
    return sorted(firing(graph))


def try_all(graph: Graph, weakenings: Iterable[Weakening], *, at_most: int | None = None) -> list[Trial]:
    """Try each weakening, with at most `at_most` mutants each."""
    fires = firing(graph)
    return [attempt(graph, weakening, fires, at_most=at_most) for weakening in weakenings]


def attempt(graph: Graph, weakening: Weakening, fires: set[str], *, at_most: int | None = None) -> Trial:
    """Make a weakening's mutants and judge them; `fires` are the rules that fail on the graph itself."""
    start = weakening.prepared(graph) if weakening.prepared else graph
    trial = Trial(weakening)
    # A rule that fails before the change would kill every mutant, which proves nothing.
    blind = weakening.expected_rule in (firing(start) if weakening.prepared else fires)
    for mutant in islice(weakening.operator(start), at_most):
        _judge(trial, mutant, blind=blind)
    return trial


def _judge(trial: Trial, mutant: Mutant, *, blind: bool) -> None:
    trial.made += 1
    killers = firing(mutant.graph)
    if trial.weakening.expected_rule in killers and not blind:
        trial.killed += 1
    else:
        trial.survivors.append(mutant.subject)
    trial.others |= killers - {trial.weakening.expected_rule}


def idle_rules(trials: Iterable[Trial]) -> list[str]:
    """Return the rules that killed no mutant of the weakenings that expect them to fail."""
    return sorted(REGISTRY.rules.keys() - {trial.weakening.expected_rule for trial in trials if trial.killed})


def sample(count: int, seed: int) -> Sequence[Weakening]:
    """Return a sample of the weakenings, which the seed determines."""
    return random.Random(seed).sample(WEAKENINGS, count)  # noqa: S311 (nothing secret)
