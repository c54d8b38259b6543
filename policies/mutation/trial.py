"""Trying weakenings: each mutant is judged by every rule, and the one that should notice must."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from policies.graph import Graph
from policies.mutation import access, boots, copies, edge, lifecycles, machines, patching, reach, rotation, told
from policies.mutation.operators import Mutant
from policies.mutation.weakening import Weakening
from policies.packs import all_rules
from policies.rule import REGISTRY, Outcome

WEAKENINGS: Final[tuple[Weakening, ...]] = (
    *machines.WEAKENINGS,
    *boots.WEAKENINGS,
    *edge.WEAKENINGS,
    *told.WEAKENINGS,
    *patching.WEAKENINGS,
    *reach.WEAKENINGS,
    *rotation.WEAKENINGS,
    *lifecycles.WEAKENINGS,
    *copies.WEAKENINGS,
    *access.WEAKENINGS,
)
# What the stack does not have yet, and is excused for: each of its weakenings first adds it.
EXCUSED: Final = frozenset(one.kills for one in WEAKENINGS if one.prepared is not None)


@dataclass
class Trial:
    """What became of one weakening's mutants."""

    weakening: Weakening
    made: int = 0
    killed: int = 0
    survivors: list[str] = field(default_factory=list[str])
    others: set[str] = field(default_factory=set[str])


def firing(graph: Graph) -> set[str]:
    """The rules that fail on a graph, with nothing excused and everything strict."""
    bad = {Outcome.FAIL, Outcome.UNDETERMINED}
    return {rule.id for rule in all_rules() if any(verdict.outcome in bad for verdict in rule.verdicts(graph))}


def baseline(graph: Graph) -> list[str]:
    """The rules that fire on the stack as it is."""
    return sorted(firing(graph) - EXCUSED)


def try_all(graph: Graph, weakenings: Iterable[Weakening], *, at_most: int | None = None) -> list[Trial]:
    """Try each weakening, on at most so many mutants each."""
    fires = firing(graph)
    return [attempt(graph, weakening, fires, at_most=at_most) for weakening in weakenings]


def attempt(graph: Graph, weakening: Weakening, fires: set[str], *, at_most: int | None = None) -> Trial:
    """Make a weakening's mutants and let every rule judge them; `fires` are the rules that fail on the graph itself."""
    start = weakening.prepared(graph) if weakening.prepared else graph
    trial = Trial(weakening)
    # A rule that already fires would kill every mutant, and so show nothing.
    blind = weakening.kills in (firing(start) if weakening.prepared else fires)
    for mutant in islice(weakening.operator(start), at_most):
        _judge(trial, mutant, blind=blind)
    return trial


def _judge(trial: Trial, mutant: Mutant, *, blind: bool) -> None:
    trial.made += 1
    killers = firing(mutant.graph)
    if trial.weakening.kills in killers and not blind:
        trial.killed += 1
    else:
        trial.survivors.append(mutant.subject)
    trial.others |= killers - EXCUSED - {trial.weakening.kills}


def idle_rules(trials: Iterable[Trial]) -> list[str]:
    """The rules that killed none of the mutants that were theirs to kill."""
    return sorted(REGISTRY.rules.keys() - {trial.weakening.kills for trial in trials if trial.killed})


def sample(count: int, seed: int) -> Sequence[Weakening]:
    """Some of the weakenings, the same ones for the same seed."""
    return random.Random(seed).sample(WEAKENINGS, count)  # noqa: S311 (nothing secret)
