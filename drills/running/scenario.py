"""A scenario: the failure, the limits that must hold afterwards, and the steps, which read as a runbook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drills.running.stage import Stage


@dataclass(frozen=True)
class Step:
    """One step: a sentence in the imperative, as in a runbook, and what carries it out on a stage."""

    text: str
    do: Callable[[Stage], None]
    operator: bool = True
    """Whether an operator carries it out; False: it only breaks something, or measures."""


@dataclass(frozen=True)
class Scenario:
    """One scenario."""

    name: str
    title: str
    situation: str
    """When an operator is in this situation, and how it shows."""
    promises: Sequence[str]
    """The promises that it measures, by their ids in promises.toml."""
    steps: Sequence[Step]
    recovery_seconds: float
    """The longest time from the fault until clients are served again. The promises allow hours."""
    loss_seconds: float = 0
    """How long before the fault the oldest lost commit may have been acknowledged. 0: nothing may be lost."""
    runbook: str | None = None
    """The page in docs/runbooks for a person in this situation."""
    not_at_aws: str | None = "its steps need parts of the live sandbox"
    """Why it cannot run on a stack at AWS; None: it can."""
    needs_new_stack: bool = False
    """Whether it must begin just after `up`."""

    @property
    def runs_on(self) -> tuple[str, ...]:
        """Where it can run, as `--on` names it."""
        return ("live",) if self.not_at_aws else ("live", "aws")
