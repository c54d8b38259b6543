"""The commands: from parsed options to output."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.text import Text

from console import tables
from console.errors import InputError
from console.tables import Table, cell, say
from policies import baseline, catalogue
from policies.analyzer import explain
from policies.coverage.checked import check
from policies.coverage.table import table
from policies.evidence import junit, oscal, page, sarif
from policies.evidence.comment import comment, read_plan
from policies.evidence.gathered import UNPROVEN, Evidence, gather, word_of
from policies.packs import all_rules
from policies.promises import Promise
from policies.sources import from_file
from policies.stacks import planned
from policies.views.contents import contents

FILES: Final[dict[str, Callable[[Evidence], str]]] = {
    "report.html": page.render,
    "assessment-results.json": oscal.render,
    "results.sarif": sarif.render,
    "junit.xml": junit.render,
}
STATE: Final = "state.json"
COMMENT: Final = "comment.md"
STYLES: Final = {"pass": "green", "fail": "bold red", "excused": "yellow", "undetermined": "magenta"}


def rules(options: argparse.Namespace) -> int:
    """`rules`."""
    if options.markdown:
        print(catalogue.render(), end="")
        return 0
    if options.json:
        print(json.dumps([_described(rule.id) for rule in all_rules()], indent=1))
        return 0
    shown = Table(("pack", "rule", "severity", "promises", "what must hold"), prose=("what must hold",))
    for rule in all_rules():
        shown.add(rule.pack, rule.id, rule.severity.value, " ".join(rule.promises), rule.title)
    tables.show(shown)
    return 0


def _described(id: str) -> dict[str, object]:
    rule = next(rule for rule in all_rules() if rule.id == id)
    return {
        "id": rule.id,
        "pack": rule.pack,
        "severity": rule.severity.value,
        "title": rule.title,
        "rationale": rule.rationale,
        "remedy": rule.remedy,
        "promises": rule.promises,
        "controls": rule.controls,
    }


def judge(options: argparse.Namespace) -> int:
    """`judge`."""
    evidence = _evidence(options)
    if options.json:
        print(json.dumps(_summary(evidence)))
    else:
        _show(evidence)
    return 1 if evidence.stops else 0


def report(options: argparse.Namespace) -> int:
    """`report`."""
    plan = read_plan(options.plan) if options.plan is not None else None
    evidence = _evidence(options)
    folder: Path = options.out
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if options.file is None:  # a plan contains no secrets; a given file may contain some
            (folder / STATE).write_bytes(evidence.judged.content)
        for name, render in FILES.items():
            (folder / name).write_text(render(evidence), encoding="utf-8")
        (folder / COMMENT).write_text(comment(evidence, plan), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to: {error}; name another folder") from error
    written = [*FILES, COMMENT, *([STATE] if options.file is None else [])]
    if options.json:
        print(json.dumps({**_summary(evidence), "folder": str(folder), "written": written}))
    else:
        _show(evidence)
        print(f"Written to {folder}: {', '.join(written)}")
    return 1 if evidence.stops else 0


def _evidence(options: argparse.Namespace) -> Evidence:
    check(table(), {rule.id for rule in all_rules()})
    ignore = options.ignore_stale_exemptions
    judged = planned(options.stack) if options.file is None else from_file(options.file)
    if (reviewed := baseline.committed().get(judged.graph.name)) is not None:
        reviewed.check({content.key for content in contents(judged.graph)})
    given = options.file is not None
    return gather(judged, final=given and not options.planned, given=given, ignore_stale_exemptions=ignore)


def _summary(evidence: Evidence) -> dict[str, object]:
    return {
        "stack": evidence.stack,
        "compliant": {"fail": False, "undetermined": None, "pass": True}[evidence.word],
        "undecided": evidence.undecided,
        "basis": evidence.basis,
        "stateSha256": evidence.judged.sha256,
        "coverage": {
            "types": evidence.coverage.types,
            "properties": evidence.coverage.properties,
            "free": evidence.coverage.free,
            "contents": evidence.coverage.contents,
        },
        "verdicts": [
            {
                "pack": one.verdict.rule.pack,
                "rule": one.verdict.rule.id,
                "resource": one.verdict.urn,
                "verdict": word_of(one),
                "message": one.verdict.message,
            }
            for one in evidence.findings
        ],
        "exemptions": [
            {"rule": one.rule, "resource": one.resource, "daysLeft": one.days_left(evidence.time.date())}
            for one in evidence.exemptions
        ],
        "problems": evidence.problems,
        "promises": [_promised(evidence, promise) for promise in evidence.promises.values()],
    }


def _promised(evidence: Evidence, promise: Promise) -> dict[str, object]:
    return {
        "id": promise.id,
        "standing": evidence.standing_of(promise),
        "rules": evidence.outcome_for(promise),
        "behaviour": promise.behaviour,
        "proven": promise.proven,
        "provenBy": promise.proven_by.by_kind,
        "drills": [
            {
                "scenario": one.newest.scenario,
                "report": one.newest.name,
                "sha256": one.newest.sha256,
                "date": one.newest.day.isoformat(),
                "verdict": one.newest.verdict,
                "measured": one.newest.report["measured"],
            }
            for one in evidence.drills[promise.id]
        ],
        "notProven": promise.not_proven,
    }


def _show(evidence: Evidence) -> None:
    words = [word_of(finding) for finding in evidence.findings]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
    for finding in evidence.findings:
        if finding.notable:
            word = word_of(finding)
            line = Text(f"{word}: ", STYLES.get(word, ""))
            say(line + Text(cell(f"{finding.verdict.rule.id}: {explain(finding)}"), ""))
    for problem in evidence.problems:
        say(problem, STYLES["fail"])
    if evidence.unproven:
        unproven = ", ".join(promise.id for promise in evidence.unproven)
        say(Text(f"{UNPROVEN}: ", STYLES["excused"]) + Text(unproven))
    say(f"Coverage: {evidence.coverage.line}.")
    say(f"{evidence.stack}: {len(evidence.by_rule)} rules, {len(words)} verdicts: {counts}. {evidence.headline}")
