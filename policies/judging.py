"""Judging a stack: every rule over the graph, then how strict the stack is and what was excused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from policies import exemptions as exempting
from policies.configuration import Level, Strictness, Undecided
from policies.exemptions import Exemption
from policies.graph import Graph
from policies.rule import Outcome, Rule, Verdict


@dataclass(frozen=True)
class Finding:
    """A verdict with what it means here."""

    verdict: Verdict
    level: Level
    strict: bool  # whether being undetermined is a failure
    exemption: Exemption | None = None

    @property
    def fails(self) -> bool:
        """Whether the rule does not hold, or cannot be said to."""
        outcome = self.verdict.outcome
        return outcome is Outcome.FAIL or (outcome is Outcome.UNDETERMINED and self.strict)

    @property
    def stops(self) -> bool:
        """Whether nothing may go on because of it."""
        return self.fails and self.level is Level.MANDATORY and self.exemption is None

    @property
    def undecided(self) -> bool:
        """Whether an update must show whether something mandatory holds."""
        waits = self.verdict.outcome is Outcome.UNDETERMINED and not self.fails
        return waits and self.level is Level.MANDATORY and self.exemption is None

    @property
    def notable(self) -> bool:
        """Whether anybody should read it."""
        return self.verdict.outcome in {Outcome.FAIL, Outcome.UNDETERMINED}


@dataclass(frozen=True)
class Judgement:
    """All findings, and what is wrong with the exemptions themselves."""

    findings: Sequence[Finding]
    problems: Sequence[str]

    @property
    def stops(self) -> bool:
        """Whether anything mandatory fails, or an exemption does not hold."""
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

    `final`: nothing will become known any more, so that what is undetermined fails. `ignore_unused`: an exemption that
    excuses nothing is no problem.
    """
    findings: list[Finding] = []
    used: set[Exemption] = set()
    judged: set[str] = set()
    for rule in rules:
        judged.add(rule.id)
        strict = strictness.get(rule.id, Strictness())
        if strict.level is Level.DISABLED:
            continue
        for verdict in rule.verdicts(graph):
            finding = Finding(verdict, strict.level, final or strict.undetermined is Undecided.FAIL)
            if finding.notable:
                excused = next((one for one in exemptions if one.excuses(rule.id, verdict.urn)), None)
                if excused is not None:
                    used.add(excused)
                    finding = Finding(verdict, strict.level, finding.strict, excused)
            findings.append(finding)
    own = [one for one in exemptions if one.rule in judged and (one in used or not ignore_unused)]
    return Judgement(findings, exempting.problems(own, graph, used))
