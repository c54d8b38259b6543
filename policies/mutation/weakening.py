"""Weakenings: changes that make a compliant stack worse, each with the rule that must detect it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policies.graph import Graph
from policies.mutation.operators import Operator

Weakenings = Mapping[str, Mapping[str, Operator]]
"""A rule's id to the weakenings that it must detect: name to operator. Each topic's `WEAKENINGS` has this form."""
Preparation = Callable[[Graph], Graph]
"""Adds compliant resources that the shipped stacks do not have yet, so that a rule about them can be tested."""


@dataclass(frozen=True)
class Weakening:
    """One weakening. `prepared` adds resources to the stack before the operator makes mutants of it."""

    name: str
    expected_rule: str
    operator: Operator
    prepared: Preparation | None = None
