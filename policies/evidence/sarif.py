"""The evidence as SARIF 2.1.0 for code scanning: failed and undetermined verdicts, at the file with the remedy."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from policies.analyzer import explain
from policies.evidence.gathered import Evidence
from policies.judging import Finding
from policies.packs import PACKS, VERSION, rules_of
from policies.rule import Rule, Severity

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# The fingerprint by which GitHub recognizes an alert in later uploads: a digest and a count.
FINGERPRINT: Final = "primaryLocationLineHash"
SECURITY_SEVERITY: Final = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.0"}
FILE: Final = re.compile(r"\b(?:components|machines|policies|workers)/[\w./-]+\.(?:py|toml|json|yml|conf|cfg|js)\b")


def render(evidence: Evidence) -> str:
    """Return the document."""
    return json.dumps(
        {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(evidence, pack) for pack in PACKS]}, indent=1
    )


def _run(evidence: Evidence, pack: str) -> dict[str, Any]:
    rules = rules_of(pack)
    places = {rule.id: index for index, rule in enumerate(rules)}
    judgement = evidence.judgements[pack]
    return {
        "tool": {
            "driver": {
                "name": f"policies/{pack}",
                "version": VERSION,
                "semanticVersion": VERSION,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "automationDetails": {"id": f"policies/{pack}/{evidence.stack}/"},
        "columnKind": "unicodeCodePoints",
        "properties": {
            "stack": evidence.stack,
            "stateSha256": evidence.judged.sha256,
            "commit": evidence.commit.hash,
            "commitOf": "rules" if evidence.given else "program and rules",
            "notYetProven": [promise.id for promise in evidence.unproven],
            "drills": {id: [one.text for one in cited] for id, cited in evidence.drills.items() if cited},
        },
        "results": [
            _result(evidence, finding, places[finding.verdict.rule.id])
            for finding in judgement.findings
            if finding.notable
        ],
        "invocations": [
            {
                "executionSuccessful": True,
                "endTimeUtc": evidence.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": problem}} for problem in judgement.problems
                ],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    controls = [f"{framework} {control}" for framework, listed in rule.controls.items() for control in listed]
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.rationale},
        "help": {"text": f"{rule.rationale}\n\nRemedy: {rule.remedy}\n\nControls: {', '.join(controls)}"},
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "tags": ["availability", *rule.promises],
            "precision": "very-high",
            "problem.severity": "error",
            "security-severity": SECURITY_SEVERITY[rule.severity],
        },
    }


def _result(evidence: Evidence, finding: Finding, index: int) -> dict[str, Any]:
    verdict = finding.verdict
    result: dict[str, Any] = {
        "ruleId": verdict.rule.id,
        "ruleIndex": index,
        "level": level_of(finding),
        "message": {"text": explain(finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": place_of(evidence, verdict.rule), "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": verdict.urn, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {FINGERPRINT: fingerprint(verdict.rule.id, verdict.urn)},
    }
    if finding.exemption is not None:
        excuse = finding.exemption
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": f"{excuse.reason} ({excuse.owner}, until {excuse.expires}, {excuse.place})",
            }
        ]
    return result


def fingerprint(rule: str, urn: str) -> str:
    """Return the identity of a result, independent of its line: its rule and its resource."""
    return hashlib.sha256(f"{rule}\n{urn}".encode()).hexdigest()[:16] + ":1"


def level_of(finding: Finding) -> str:
    """Return "error" for a finding that stops, "warning" for another failure, "note" if excused or undetermined."""
    if finding.stops:
        return "error"
    return "warning" if finding.fails and finding.exemption is None else "note"


def place_of(evidence: Evidence, rule: Rule) -> str:
    """Return the file where a rule's remedy is applied: the one it names, else one that declares its promises."""
    found = FILE.search(rule.remedy)
    if found:
        return found[0]
    declared = [path for promise in rule.promises for path in evidence.promises[promise].declared_by]
    return declared[0] if declared else "promises.toml"
