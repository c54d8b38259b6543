"""Judging a stack: the verdicts of all rules, with the stack's strictness and exemptions applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from policies import exemptions as exempting
from policies.configuration import Level, Strictness, Undecided
from policies.coverage.beside import set_apart
from policies.exemptions import Exemption
from policies.graph import Graph
from policies.rule import Outcome, Rule, Verdict


@dataclass(frozen=True)
class Finding:
    """A verdict with its level and exemption in this stack."""

    verdict: Verdict
    level: Level
    strict: bool  # whether an undetermined verdict is a failure
    exemption: Exemption | None = None

    @property
    def fails(self) -> bool:
        """Whether the rule fails, or is undetermined where that counts as a failure."""
        outcome = self.verdict.outcome
        return outcome is Outcome.FAIL or (outcome is Outcome.UNDETERMINED and self.strict)

    @property
    def stops(self) -> bool:
        """Whether it stops a preview or an update."""
        return self.fails and self.level is Level.MANDATORY and self.exemption is None

    @property
    def undecided(self) -> bool:
        """Whether only an update can decide a mandatory rule."""
        waits = self.verdict.outcome is Outcome.UNDETERMINED and not self.fails
        return waits and self.level is Level.MANDATORY and self.exemption is None

    @property
    def notable(self) -> bool:
        """Whether it is shown: failed or undetermined."""
        return self.verdict.outcome in {Outcome.FAIL, Outcome.UNDETERMINED}


@dataclass(frozen=True)
class Judgement:
    """All findings, and the problems of the exemptions."""

    findings: Sequence[Finding]
    problems: Sequence[str]

    @property
    def stops(self) -> bool:
        """Whether a mandatory rule fails, or an exemption has a problem."""
        return bool(self.problems) or any(finding.stops for finding in self.findings)


def judge(
    graph: Graph,
    rules: Iterable[Rule],
    strictness: Mapping[str, Strictness],
    exemptions: Sequence[Exemption] = (),
    *,
    final: bool,
    ignore_unused: bool = False,
) -> Judgement:
    """Judge a graph.

    `final`: no more values will become known, so undetermined verdicts fail. `ignore_unused`: an exemption that excuses
    nothing is not a problem.
    """
    graph = set_apart(graph)
    findings: list[Finding] = []
    used: set[Exemption] = set()
    judged: set[str] = set()
    for rule in rules:
        judged.add(rule.id)
        strict = strictness.get(rule.id, Strictness())
        if strict.level is Level.DISABLED:
            continue
        for verdict in rule.verdicts(graph):
            # A value that is secret or malformed stays unknown after the update, so a note would let it through.
            fails = final or strict.undetermined is Undecided.FAIL or not verdict.later
            finding = Finding(verdict, strict.level, fails)
            if finding.notable:
                excused = next((one for one in exemptions if one.excuses(rule.id, verdict.urn)), None)
                if excused is not None:
                    used.add(excused)
                    finding = Finding(verdict, strict.level, finding.strict, excused)
            findings.append(finding)
    own = [one for one in exemptions if one.rule in judged and (one in used or not ignore_unused)]
    return Judgement(findings, exempting.problems(own, graph, used))
