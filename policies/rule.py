"""Rules: pure functions over the graph, with metadata for reviewers, and their registry.

A rule judges one subject at a time (a machine, a group, a bucket, the stack). It returns None if the subject complies,
else a message that says what is wrong and what is expected. It raises `NotApplicable` if it does not apply to the
subject. Reading an unknown value raises `Undetermined`, which is a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Protocol, TypeVar

from console.errors import InputError
from policies.graph import Graph, Undetermined


class Severity(StrEnum):
    """The effect of a failure of the rule."""

    CRITICAL = "critical"  # the next failure loses data or the service
    HIGH = "high"  # a promise is not kept
    MEDIUM = "medium"  # a promise is kept, but its loss would go unnoticed


class Outcome(Enum):
    """The outcome of a verdict."""

    PASS = "pass"  # noqa: S105 (the outcome, not a password)
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    UNDETERMINED = "undetermined"


class NotApplicable(Exception):  # noqa: N818 (not an error: an answer)
    """The rule does not apply to this subject; the text says why."""


class Subject(Protocol):
    """A thing that a rule judges, with a URN and a label."""

    @property
    def urn(self) -> str:
        """The URN of the resource that the verdict is about."""
        ...

    @property
    def label(self) -> str:
        """Its name for people."""
        ...


@dataclass(frozen=True)
class Verdict:
    """The verdict of one rule on one subject."""

    rule: Rule
    urn: str
    label: str
    outcome: Outcome
    message: str = ""
    later: bool = False
    """Whether it is undetermined only because a value is known after an update."""


Controls = Mapping[str, tuple[str, ...]]
"""Framework to its controls."""
Judge = Callable[[Graph, Any], str | None]


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule with its metadata; `over` lists its subjects."""

    id: str
    pack: str
    severity: Severity
    title: str
    rationale: str
    remedy: str
    promises: tuple[str, ...]
    controls: Controls
    over: Callable[[Graph], Iterable[Subject]] = field(repr=False)
    judge: Judge = field(repr=False)
    optional: bool = False

    def verdicts(self, graph: Graph) -> list[Verdict]:
        """Return the verdict on each subject. If there is no subject, the rule fails, unless it is optional."""
        try:
            subjects = list(self.over(graph))
        except Undetermined as unknown:
            label = _label(graph, unknown.urn)
            return [Verdict(self, unknown.urn, label, Outcome.UNDETERMINED, str(unknown), unknown.later)]
        if not subjects:
            outcome = Outcome.NOT_APPLICABLE if self.optional else Outcome.FAIL
            return [Verdict(self, graph.stack.urn, graph.stack.label, outcome, f"the stack has no {self._subjects}")]
        return [self._verdict(graph, subject) for subject in subjects]

    def _verdict(self, graph: Graph, subject: Subject) -> Verdict:
        try:
            wrong = self.judge(graph, subject)
        except NotApplicable as reason:
            return Verdict(self, subject.urn, subject.label, Outcome.NOT_APPLICABLE, str(reason))
        except Undetermined as unknown:
            place = "" if unknown.urn == subject.urn else f"{_label(graph, unknown.urn)}: "
            message = f"{place}{unknown}"
            return Verdict(self, subject.urn, subject.label, Outcome.UNDETERMINED, message, unknown.later)
        except InputError:
            raise
        except Exception as error:  # a property has an unexpected shape: the rule must not pass
            reason = f"cannot be read: {type(error).__name__}: {error}"
            return Verdict(self, subject.urn, subject.label, Outcome.UNDETERMINED, reason)
        return Verdict(self, subject.urn, subject.label, Outcome.FAIL if wrong else Outcome.PASS, wrong or "")

    @property
    def _subjects(self) -> str:
        text = (self.over.__doc__ or "subject").strip().splitlines()[0].rstrip(".")
        return text[0].lower() + text[1:] if text[1:2].islower() else text


def _label(graph: Graph, urn: str) -> str:
    found = graph.get(urn)
    return found.label if found is not None else urn.rpartition("::")[2]


class Registry:
    """The rules of all packs, in the order of their definition."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}

    def of(self, pack: str) -> list[Rule]:
        """The rules of one pack."""
        return [rule for rule in self.rules.values() if rule.pack == pack]


REGISTRY = Registry()
_Judge = TypeVar("_Judge", bound=Judge)


def define(
    pack: str,
    id: str,
    severity: Severity,
    title: str,
    *,
    over: Callable[[Graph], Iterable[Subject]],
    promises: tuple[str, ...],
    controls: Controls,
    remedy: str,
    optional: bool = False,
) -> Callable[[_Judge], _Judge]:
    """Register the function below as a rule; its docstring is the rationale."""

    def register(judge: _Judge) -> _Judge:
        if id in REGISTRY.rules:
            raise ValueError(f"the rule {id} is defined twice; give one of the two another id")
        rationale = " ".join((judge.__doc__ or "").split())
        REGISTRY.rules[id] = Rule(
            id, pack, severity, title, rationale, remedy, promises, controls, over, judge, optional
        )
        return judge

    return register
