"""Weakenings: changes that make a compliant stack worse, with the rule that must notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policies.graph import Graph
from policies.mutation.operators import Operator

Weakenings = Mapping[str, Mapping[str, Operator]]
"""A rule's id to the weakenings that it must notice: name to operator. Each topic's `WEAKENINGS` has this form."""
Preparation = Callable[[Graph], Graph]
"""Adds to a stack, compliantly, what the shipped stacks do not have yet."""


@dataclass(frozen=True)
class Weakening:
    """One weakening. `prepared` changes the stack before the operator does."""

    name: str
    expected_rule: str
    operator: Operator
    prepared: Preparation | None = None
