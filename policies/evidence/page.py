"""The evidence as one self-contained HTML page: promise, rule, resources, verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2

from policies.evidence.gathered import UNPROVEN, Evidence, outcome_of, word_of
from policies.exemptions import Exemption
from policies.judging import Finding
from policies.promises import Kind, Promise
from policies.rule import Rule

# A sign for each outcome, so that no meaning depends on colour alone.
SIGNS: Final = {
    "pass": "✓",
    "fail": "✕",
    UNPROVEN: "◇",
    "excused": "◷",
    "undetermined": "?",
    "advisory": "!",
    "not applicable": "·",
    "disabled": "○",
}


@dataclass(frozen=True)
class Row:
    """One rule below a promise, with its findings."""

    rule: Rule
    word: str
    findings: list[Finding]
    counts: str


@dataclass(frozen=True)
class Section:
    """One promise with its standing and its rules."""

    promise: Promise
    word: str
    found: str
    rows: list[Row]


@dataclass(frozen=True)
class Excuse:
    """One exemption, its remaining days, and the labels of excused resources."""

    exemption: Exemption
    days_left: int
    labels: list[str]


def render(evidence: Evidence) -> str:
    """Return the page."""
    sections = [_section(evidence, promise) for promise in evidence.promises.values()]
    counts = Counter(word_of(finding) for finding in evidence.findings)
    standings = Counter(section.word for section in sections)
    strongest = Counter(promise.strongest for promise in evidence.promises.values() if promise.proven)
    return (
        _environment()
        .get_template("page.html")
        .render(
            evidence=evidence,
            sections=sections,
            counts={word: counts[word] for word in SIGNS if counts[word]},
            excuses=[_excuse(evidence, one) for one in evidence.exemptions],
            controls=_controls(evidence),
            signs=SIGNS,
            word_of=word_of,
            kinds=list(Kind),
            proven={kind: strongest[kind] for kind in Kind},
            standings={word: number for word in SIGNS if (number := standings[word])},
            slug=_slug,
            contact=evidence.promises["CON-1"].figure,
        )
    )


def _slug(word: str) -> str:
    """Return an outcome as a CSS class."""
    return word.replace(" ", "-")


def _section(evidence: Evidence, promise: Promise) -> Section:
    rows = [_row(evidence, rule) for rule in evidence.rules_for(promise.id)]
    return Section(promise, evidence.standing_of(promise), evidence.outcome_for(promise), rows)


def _row(evidence: Evidence, rule: Rule) -> Row:
    findings = evidence.by_rule.get(rule.id, [])
    counts = Counter(word_of(finding) for finding in findings)
    shown = ", ".join(f"{counts[word]} {word}" for word in SIGNS if counts[word])
    return Row(rule, outcome_of(findings) if findings else "disabled", findings, shown or "disabled for this stack")


def _excuse(evidence: Evidence, exemption: Exemption) -> Excuse:
    labels = [one.verdict.label for one in evidence.findings if one.exemption == exemption]
    return Excuse(exemption, exemption.days_left(evidence.time.date()), labels)


def _controls(evidence: Evidence) -> dict[str, dict[str, list[Row]]]:
    """Return framework to control to the rules that are evidence for it."""
    found: dict[str, dict[str, list[Row]]] = {}
    for rule in evidence.rules:
        row = _row(evidence, rule)
        for framework, controls in rule.controls.items():
            for control in controls:
                found.setdefault(framework, {}).setdefault(control, []).append(row)
    return {framework: dict(sorted(controls.items())) for framework, controls in found.items()}


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
