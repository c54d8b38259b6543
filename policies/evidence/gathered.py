"""The data of the evidence, gathered once and rendered into several files."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from model.drill_reports import reports_in
from policies import configuration, drills, exemptions, promises
from policies.coverage.summary import Coverage, coverage
from policies.drills import Cited
from policies.exemptions import Exemption
from policies.judging import Finding, Judgement, judge
from policies.packs import PACKS, VERSION, all_rules, rules_of
from policies.promises import Promise
from policies.rule import Outcome, Rule
from policies.sources import Judged

ROOT: Final = Path(__file__).resolve().parents[2]
# The judged program, the rules, and the proofs. An untracked file in these paths counts as an uncommitted change.
SOURCES: Final = (
    "__main__.py", "Pulumi*.yaml", "promises.toml", "model", "components", "machines", "workers", "status", "backups",
    "policies", "console", "sandbox", "harness", "drills", "tests", "docs/drills",
)  # fmt: skip
UNPROVEN: Final = "not yet proven"
TOOLS: Final = ("pulumi", "pulumi-aws", "pulumi-cloudflare", "pulumi-random", "pulumi-tls", "compliance-trestle")


@dataclass(frozen=True)
class Commit:
    """The commit of the project."""

    hash: str
    changed: bool  # whether files differ from it

    def __str__(self) -> str:
        return f"{self.hash} with changes that are not committed" if self.changed else self.hash


@dataclass(frozen=True)
class Evidence:
    """A judgement with its context: state, commit, time, tools, promises and exemptions."""

    stack: str
    judged: Judged
    given: bool  # whether the state is a given file; otherwise it is a plan by the program of this commit
    judgements: Mapping[str, Judgement]  # by pack
    exemptions: Sequence[Exemption]  # of this stack
    promises: Mapping[str, Promise]
    drills: Mapping[str, Sequence[Cited]]  # by promise: the cited drills, with their newest reports
    commit: Commit
    time: datetime
    tools: Mapping[str, str]

    @property
    def findings(self) -> list[Finding]:
        """The findings of all packs."""
        return [finding for judgement in self.judgements.values() for finding in judgement.findings]

    @property
    def problems(self) -> list[str]:
        """The problems of the exemptions."""
        return [problem for judgement in self.judgements.values() for problem in judgement.problems]

    @property
    def stops(self) -> bool:
        """Whether a mandatory rule fails or an exemption has a problem."""
        return any(judgement.stops for judgement in self.judgements.values())

    @property
    def undecided(self) -> int:
        """How many verdicts on mandatory rules only an update can decide."""
        return sum(finding.undecided for finding in self.findings)

    @property
    def word(self) -> str:
        """One word for all mandatory rules: fail, undetermined or pass."""
        return "fail" if self.stops else "undetermined" if self.undecided else "pass"

    @property
    def unproven(self) -> list[Promise]:
        """The promises that are not yet proven."""
        return [promise for promise in self.promises.values() if not promise.proven]

    @property
    def standing(self) -> str:
        """One word for rules and proofs: "pass" only if all rules hold and all promises are proven."""
        return UNPROVEN if self.word == "pass" and self.unproven else self.word

    @property
    def headline(self) -> str:
        """The standing as a sentence."""
        open = f"{len(self.unproven)} of {len(self.promises)} promises are {UNPROVEN}" if self.unproven else ""
        if self.stops:
            return ", and ".join(filter(None, ("A mandatory rule does not hold", open)))
        if self.undecided:
            verdicts = "1 verdict is" if self.undecided == 1 else f"{self.undecided} verdicts are"
            waiting = f"No mandatory rule fails, but {verdicts} not decided before the update"
            return ", and ".join(filter(None, (waiting, open)))
        return ", but ".join(filter(None, ("Every mandatory rule holds", open)))

    @property
    def basis(self) -> str:
        """The commit of the rules, and also of the program if it was planned here; a given state may be of another."""
        return f"rules of commit {self.commit}" if self.given else f"program and rules of commit {self.commit}"

    @cached_property
    def coverage(self) -> Coverage:
        """The number of the stack's properties by who judges them, and the properties that are not judged."""
        return coverage(self.judged.graph)

    @cached_property
    def by_rule(self) -> dict[str, list[Finding]]:
        """Rule id to its findings; a disabled rule has none."""
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.verdict.rule.id, []).append(finding)
        return found

    @property
    def rules(self) -> list[Rule]:
        """Every rule."""
        return all_rules()

    def rules_for(self, promise: str) -> list[Rule]:
        """Return the rules that enforce a promise."""
        return [rule for rule in self.rules if promise in rule.promises]

    def outcome_for(self, promise: Promise) -> str:
        """Return one word for the findings of a promise's rules."""
        rules = self.rules_for(promise.id)
        return outcome_of([finding for rule in rules for finding in self.by_rule.get(rule.id, [])])

    def standing_of(self, promise: Promise) -> str:
        """Return one word for a promise: its rules' outcome, or "not yet proven" if they hold without proof."""
        word = self.outcome_for(promise)
        return word if word == "fail" or promise.proven else UNPROVEN


def gather(
    judged: Judged,
    *,
    final: bool,
    given: bool = True,
    now: datetime | None = None,
    ignore_stale_exemptions: bool = False,
) -> Evidence:
    """Judge a graph with its stack's configuration; `InputError` if a file of the project is invalid.

    `ignore_stale_exemptions`: exemptions that have expired or excuse nothing are ignored and are not failures.
    """
    time = now or datetime.now(UTC)
    stack = judged.graph.name
    known = [rule.id for rule in all_rules()]
    excused = exemptions.load(known, time.date(), ignore_expired=ignore_stale_exemptions)
    judgements: dict[str, Judgement] = {}
    graph = judged.graph.on(time.date())
    for pack in PACKS:
        rules = rules_of(pack)
        strictness = configuration.load(pack, stack, [rule.id for rule in rules])
        judgements[pack] = judge(graph, rules, strictness, excused, final=final, ignore_unused=ignore_stale_exemptions)
    own = [one for one in excused if one.stack == stack]
    promised = promises.load()
    promises.check_files(promised.values())
    reports = reports_in(ROOT / drills.REPORTS)
    drills.check_citations(promised.values(), reports)
    newest = reports.newest
    counted = {id: drills.without_refuted(promise, newest) for id, promise in promised.items()}
    cited = {id: drills.citations(promise, newest) for id, promise in promised.items()}
    return Evidence(stack, judged, given, judgements, own, counted, cited, commit(), time, tools())


def commit() -> Commit:
    """Return the commit that is checked out."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        added = git("status", "--porcelain", "--untracked-files=all", "--", *SOURCES)
        return Commit(git("rev-parse", "HEAD") or "unknown", bool(changed or added))
    except OSError:
        return Commit("unknown", changed=False)


def tools() -> dict[str, str]:
    """Return the tools that judged: name to version."""
    found = {"policies": VERSION, "python": platform.python_version()}
    for tool in TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found


def outcome_of(findings: Sequence[Finding]) -> str:
    """Return one word for several findings: the worst outcome."""
    if any(finding.stops for finding in findings):
        return "fail"
    if any(finding.exemption is not None for finding in findings):
        return "excused"
    if any(finding.verdict.outcome is Outcome.FAIL for finding in findings):
        return "advisory"
    if any(finding.verdict.outcome is Outcome.UNDETERMINED for finding in findings):
        return "undetermined"
    return "pass" if any(finding.verdict.outcome is Outcome.PASS for finding in findings) else "not applicable"


def word_of(finding: Finding) -> str:
    """Return the word for one finding."""
    return outcome_of([finding])
