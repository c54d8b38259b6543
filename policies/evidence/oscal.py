"""The evidence as OSCAL assessment results, validated with compliance-trestle's models of the published schema.

There is a result for each pack: an observation for each rule and resource, a finding for each rule, and a risk with a
deadline for each excused finding. One more result is for the promises: an observation of each promise's proofs, and a
finding that is satisfied if its rules hold and it is proven. Identifiers are derived from names, so two reports of one
state differ only in time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Final

from console.errors import CommandError
from policies.analyzer import explain
from policies.drills import REPORTS, Cited
from policies.evidence.gathered import UNPROVEN, Evidence, outcome_of, word_of
from policies.judging import Finding
from policies.packs import PACKS, VERSION, rules_of
from policies.promises import Kind, Promise
from policies.rule import Rule

SPACE: Final = uuid.UUID("5f0cbd3e-6a5e-5d0c-9a0e-0b8a4f1d7c11")  # this project's namespace for name-based identifiers
NAMESPACE: Final = "https://backbuild.ai/ns/oscal"
REASONS: Final = {"pass": "pass", "fail": "fail"}


def render(evidence: Evidence) -> str:
    """Return the validated document; `CommandError` if compliance-trestle is not installed."""
    try:
        from trestle.oscal.assessment_results import AssessmentResults  # noqa: PLC0415 (reports alone need it)
    except ImportError:
        raise CommandError("compliance-trestle is not installed; run `make evidence`, which installs it") from None
    return AssessmentResults.model_validate(document(evidence)).oscal_serialize_json(pretty=True) + "\n"


def document(evidence: Evidence) -> dict[str, Any]:
    """Return the assessment results as JSON."""
    time = evidence.time.isoformat(timespec="seconds")
    plan = _id(evidence, "plan")
    contact = evidence.promises["CON-1"].figure
    return {
        "uuid": _id(evidence, "results", time),
        "metadata": {
            "title": f"Availability policies of the stack {evidence.stack}",
            "last-modified": time,
            "version": evidence.commit.hash,
            "oscal-version": "1.2.1",
            "props": [
                _prop("stack", evidence.stack),
                _prop("state-sha256", evidence.judged.sha256),
                _prop("state-source", evidence.judged.source),
                _prop("commit-of", "rules" if evidence.given else "program and rules"),
                _prop("uncommitted-changes", str(evidence.commit.changed).lower()),
                *(_prop(f"tool-{name}", version) for name, version in evidence.tools.items()),
            ],
            "parties": [
                {
                    "uuid": _id(evidence, "party"),
                    "type": "organization",
                    "name": "Availability",
                    "email-addresses": [contact],
                }
            ],
        },
        "import-ap": {"href": f"#{plan}", "remarks": "The rules of this project's policy packs are the plan."},
        "results": [*(_result(evidence, pack, time) for pack in PACKS), _promised(evidence, time)],
        "back-matter": {
            "resources": [
                {
                    "uuid": plan,
                    "title": "Policy packs",
                    "description": f"policies/ at commit {evidence.commit}",
                    "rlinks": [{"href": "policies/", "media-type": "text/x-python"}],
                }
            ]
        },
    }


def _result(evidence: Evidence, pack: str, time: str) -> dict[str, Any]:
    judgement = evidence.judgements[pack]
    rules = [rule for rule in rules_of(pack) if rule.id in evidence.by_rule]
    excused = [finding for finding in judgement.findings if finding.exemption is not None]
    result: dict[str, Any] = {
        "uuid": _id(evidence, "result", pack, time),
        "title": f"Policy pack {pack} {VERSION}",
        "description": PACKS[pack],
        "start": time,
        "end": time,
        "reviewed-controls": {"control-selections": _selections(rules)},
        "observations": [_observation(evidence, finding, time) for finding in judgement.findings],
        "findings": [_finding(evidence, rule) for rule in rules],
    }
    if excused:
        result["risks"] = [_risk(evidence, finding) for finding in excused]
    if judgement.problems:
        result["remarks"] = "\n".join(judgement.problems)
    return result


def _promised(evidence: Evidence, time: str) -> dict[str, Any]:
    promises = evidence.promises.values()
    return {
        "uuid": _id(evidence, "result", "promises", time),
        "title": "Promises and their proofs",
        "description": "The outcome of each promise's rules, and its proofs, which this report lists and does not run",
        "start": time,
        "end": time,
        "reviewed-controls": {"control-selections": _selections(evidence.rules)},
        "observations": [_proofs(evidence, promise, time) for promise in promises],
        "findings": [_standing(evidence, promise) for promise in promises],
    }


def _proofs(evidence: Evidence, promise: Promise, time: str) -> dict[str, Any]:
    named = [
        {"href": path, "description": kind.meaning, "props": [_prop("kind", kind)]}
        for kind, paths in promise.proven_by.by_kind.items()
        for path in paths
        if kind is not Kind.DRILL
    ]
    named += [_drilled(cited) for cited in evidence.drills[promise.id]]
    return {
        "uuid": _id(evidence, "proofs", promise.id),
        "title": f"{promise.id}: {'proven' if promise.proven else UNPROVEN}",
        "description": promise.not_proven or f"proven by {', '.join(promise.proven_by.by_kind)}",
        "props": [
            _prop("promise", promise.id),
            _prop("behaviour", str(promise.behaviour).lower()),
            _prop("proven", str(promise.proven).lower()),
        ],
        "methods": ["EXAMINE"],
        "types": ["control-objective"],
        "collected": time,
        **({"relevant-evidence": named} if named else {}),
    }


def _drilled(cited: Cited) -> dict[str, Any]:
    """Return the newest report of a drill as evidence, also if it no longer proves the promise."""
    newest = cited.newest
    measured = newest.report["measured"]
    figures = {"recovery-seconds": measured.get("recovery"), "loss-seconds": measured.get("loss")}
    return {
        "href": f"{REPORTS / newest.name}.json",
        "description": f"{Kind.DRILL.meaning}: {cited.text}",
        "props": [
            _prop("kind", Kind.DRILL),
            _prop("verdict", newest.verdict),
            _prop("date", newest.day.isoformat()),
            _prop("sha256", newest.sha256),
            *(_prop(name, f"{value:g}") for name, value in figures.items() if value is not None),
        ],
    }


def _standing(evidence: Evidence, promise: Promise) -> dict[str, Any]:
    word = evidence.standing_of(promise)
    return {
        "uuid": _id(evidence, "standing", promise.id),
        "title": promise.promise,
        "description": f"Promised: {promise.figure}",
        "props": [_prop("promise", promise.id), _prop("rules", evidence.outcome_for(promise).replace(" ", "-"))],
        "target": _target(promise.id, word, satisfied=word == "pass"),
        "related-observations": [{"observation-uuid": _id(evidence, "proofs", promise.id)}],
    }


def _target(id: str, word: str, *, satisfied: bool) -> dict[str, Any]:
    return {
        "type": "objective-id",
        "target-id": id,
        "status": {
            "state": "satisfied" if satisfied else "not-satisfied",
            "reason": REASONS.get(word, "other"),
            "remarks": word,
        },
    }


def _selections(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Return the controls that the rules are evidence for, by framework."""
    chosen: dict[str, set[str]] = {}
    for rule in rules:
        for framework, controls in rule.controls.items():
            chosen.setdefault(framework, set()).update(controls)
    return [
        {
            "description": framework,
            "include-controls": [{"control-id": control_id(control)} for control in sorted(controls)],
        }
        for framework, controls in chosen.items()
    ]


def control_id(control: str) -> str:
    """Return a control's id in OSCAL catalogues: `CP-9(8)` is `cp-9.8`."""
    return control.lower().replace("(", ".").replace(")", "")


def _observation(evidence: Evidence, finding: Finding, time: str) -> dict[str, Any]:
    verdict = finding.verdict
    return {
        "uuid": _observed(evidence, finding),
        "title": f"{verdict.rule.id}: {verdict.label}",
        "description": explain(finding) if finding.notable else verdict.message or verdict.rule.title,
        "props": [_prop("rule", verdict.rule.id), _prop("outcome", word_of(finding).replace(" ", "-"))],
        "methods": ["TEST"],
        "types": ["control-objective"],
        "subjects": [
            {"subject-uuid": _id(evidence, "resource", verdict.urn), "type": "resource", "title": verdict.urn}
        ],
        "collected": time,
    }


def _finding(evidence: Evidence, rule: Rule) -> dict[str, Any]:
    findings = evidence.by_rule[rule.id]
    word = outcome_of(findings)
    found: dict[str, Any] = {
        "uuid": _id(evidence, "finding", rule.id),
        "title": rule.title,
        "description": rule.rationale,
        "props": [
            _prop("severity", rule.severity.value),
            *(_prop("promise", promise) for promise in rule.promises),
            *(
                _prop("control", control_id(control), framework)
                for framework, listed in rule.controls.items()
                for control in listed
            ),
        ],
        "target": _target(rule.id, word, satisfied=word in {"pass", "not applicable"}),
        "related-observations": [{"observation-uuid": _observed(evidence, one)} for one in findings],
        "remarks": f"Remedy: {rule.remedy}",
    }
    risks = [{"risk-uuid": _risked(evidence, one)} for one in findings if one.exemption is not None]
    if risks:
        found["related-risks"] = risks
    return found


def _risk(evidence: Evidence, finding: Finding) -> dict[str, Any]:
    excuse = finding.exemption
    assert excuse is not None
    return {
        "uuid": _risked(evidence, finding),
        "title": f"{finding.verdict.rule.id} is excused for {finding.verdict.label}",
        "description": finding.verdict.message,
        "statement": excuse.reason,
        "props": [_prop("owner", excuse.owner), _prop("place", excuse.place)],
        "status": "deviation-approved",
        "deadline": f"{excuse.expires.isoformat()}T23:59:59Z",
        "related-observations": [{"observation-uuid": _observed(evidence, finding)}],
    }


def _observed(evidence: Evidence, finding: Finding) -> str:
    return _id(evidence, "observation", finding.verdict.rule.id, finding.verdict.urn, finding.verdict.label)


def _risked(evidence: Evidence, finding: Finding) -> str:
    return _id(evidence, "risk", finding.verdict.rule.id, finding.verdict.urn)


def _id(evidence: Evidence, *parts: str) -> str:
    # The schema allows only UUIDs of version 4 and 5.
    return str(uuid.uuid5(SPACE, "\n".join((evidence.judged.sha256, *parts))))


def _prop(name: str, value: str, kind: str = "") -> dict[str, str]:
    prop = {"name": name, "value": value, "ns": NAMESPACE}
    return {**prop, "class": kind.lower().replace(" ", "-").replace("/", "-")} if kind else prop
