"""The evidence as a pull-request comment: planned changes, findings, and the standing of each promise."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import Field

from policies.analyzer import explain
from policies.evidence.gathered import UNPROVEN, Evidence, word_of
from policies.evidence.page import SIGNS
from policies.judging import Finding
from policies.promises import Promise
from policies.reading import Foreign, parse_json, read, validate

# Special characters of Markdown and HTML to entities, including `&`, so that entities in the text are shown as text.
ESCAPES = {ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]<>#|~!&$"}
# What GitHub links or notifies about after it has decoded entities: mentions, addresses, issues (`#1`, `GH-1`),
# advisories (`GHSA-…`, `CVE-…`) and commits (seven hexadecimal digits or more). A zero-width space after each match
# prevents it.
LINKED = re.compile(r"@|#(?=\d)|\b(?:GH|GHSA|CVE)-(?=\w)|:(?=//)|\bwww(?=\.)|[0-9a-f]{6}(?=[0-9a-f])", re.IGNORECASE)
MOST = 50  # a comment can have 65,536 characters; the report lists all findings


class Step(Foreign):
    """A step of a plan."""

    op: str
    urn: str = ""
    type: str = ""
    diff: dict[str, Any] | None = None


class Problem(Foreign):
    """An error of the preview, because of which the plan is not complete."""

    message: str


class Plan(Foreign):
    """What `python -m sandbox preview --json` prints."""

    steps: list[Step]
    errors: tuple[Problem, ...] = Field(default=(), strict=False)


def comment(evidence: Evidence, plan: Plan | None) -> str:
    """Return the comment: the plan, if there is one, and the verdicts."""
    planned = [*_plan(plan), ""] if plan is not None else []
    return "\n".join([*planned, "### Verdicts", "", _verdicts(evidence)]) + "\n"


def read_plan(file: Path) -> Plan:
    """Read the output of `python -m sandbox preview --json`; `InputError` for anything else."""
    remedy = "use the output of `python -m sandbox preview --json`"
    return validate(Plan, parse_json(read(file, remedy), str(file), remedy), str(file), remedy=remedy)


def _plan(plan: Plan) -> list[str]:
    """Return the counts, and each change with its properties."""
    steps = [step for step in plan.steps if step.op not in {"same", "read"}]
    counts = Counter(step.op for step in steps)
    shown = ", ".join(f"{count} to {_plain(op)}" for op, count in counts.items()) or "nothing changes"
    lines = ["### Plan", "", f"**{shown}**"]
    lines += [f"- {SIGNS['fail']} {_plain(error.message)}" for error in plan.errors][:MOST]
    if steps:
        lines += ["", f"<details><summary>{len(steps)} changes</summary>", ""]
        lines += [_step(step) for step in steps[:MOST]]
        lines += [f"- … and {len(steps) - MOST} more"] if len(steps) > MOST else []
        lines += ["", "</details>"]
    return lines


def _step(step: Step) -> str:
    paths = ", ".join(sorted(step.diff or {})[:8])
    changed = f": {_plain(paths)}" if paths else ""
    return f"- {_plain(step.op)} {_plain(step.type)} **{_plain(step.urn.rpartition('::')[2])}**{changed}"


def _verdicts(evidence: Evidence) -> str:
    words = [word_of(finding) for finding in evidence.findings]
    counts = " · ".join(f"{SIGNS[word]} {words.count(word)} {word}" for word in SIGNS if word in words)
    lines = [f"**{_plain(evidence.stack)}: {evidence.headline}** ({counts})", ""]
    failing = [finding for finding in evidence.findings if finding.fails and finding.exemption is None]
    others = [finding for finding in evidence.findings if finding.notable and finding not in failing]
    lines += [f"- {SIGNS['fail']} {_plain(problem)}" for problem in evidence.problems]
    lines += [_line(finding) for finding in failing[:MOST]]
    if len(failing) > MOST:
        lines.append(f"- … and {len(failing) - MOST} more: see the report")
    if others:
        lines += ["", "<details><summary>Excused, or undetermined until the update</summary>", ""]
        lines += [*(_line(finding) for finding in others[:MOST]), "", "</details>"]
    return "\n".join([*lines, "", *_promises(evidence)])


def _promises(evidence: Evidence) -> list[str]:
    unproven = ", ".join(promise.id for promise in evidence.unproven)
    lines = [f"{SIGNS[UNPROVEN]} {UNPROVEN}: {unproven}", ""] if unproven else []
    lines += ["<details><summary>Promise by promise</summary>", ""]
    lines += ["| promise | figure | standing | rules | proof |", "|---|---|---|---|---|"]
    for promise in evidence.promises.values():
        word = evidence.standing_of(promise)
        named = f"{promise.id} {_plain(promise.promise)}"
        found = f"{len(evidence.rules_for(promise.id))}: {evidence.outcome_for(promise)}"
        cells = (named, _plain(promise.figure), f"{SIGNS[word]} {word}", found, _proof(evidence, promise))
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", "</details>"]


def _proof(evidence: Evidence, promise: Promise) -> str:
    kinds = ", ".join(promise.proven_by.by_kind)
    drills = (_plain(one.text) for one in evidence.drills[promise.id])
    return "; ".join(filter(None, (kinds, *drills, _plain(promise.not_proven or ""))))


def _line(finding: Finding) -> str:
    return f"- {SIGNS[word_of(finding)]} `{finding.verdict.rule.id}` {_plain(explain(finding))}"


def _plain(text: str) -> str:
    """Text that GitHub shows as it is: no markup, links or notifications. The author of the request wrote the plan."""
    return LINKED.sub("\\g<0>\N{ZERO WIDTH SPACE}", " ".join(text.split())).translate(ESCAPES)
