"""The evidence as JUnit XML: a suite for each pack with a case for each rule and resource, and one of the proofs."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

from policies.evidence.gathered import UNPROVEN, Evidence, word_of
from policies.judging import Finding

FORBIDDEN: Final = re.compile("[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\ufffe\\uffff]")  # not allowed in XML, even escaped

PROOFS: Final = "proofs"  # a separate suite: a promise can be proven while one of its rules fails


def render(evidence: Evidence) -> str:
    """Return the document."""
    whole = ElementTree.Element("testsuites", name=f"policies of {evidence.stack}")
    for pack, judgement in evidence.judgements.items():
        suite = _suite(whole, pack, evidence)
        for finding in judgement.findings:
            _case(suite, pack, finding)
        for problem in judgement.problems:
            case = ElementTree.SubElement(suite, "testcase", classname=f"{pack}.exemptions", name=problem.split(" ")[0])
            ElementTree.SubElement(case, "failure", message=problem, type="exemption")
    suite = _suite(whole, PROOFS, evidence)
    for promise in evidence.promises.values():
        case = ElementTree.SubElement(suite, "testcase", classname=PROOFS, name=promise.id)
        if promise.not_proven is not None:
            ElementTree.SubElement(case, "skipped", message=f"{UNPROVEN}: {promise.not_proven}")
        if cited := evidence.drills[promise.id]:
            ElementTree.SubElement(case, "system-out").text = "\n".join(one.text for one in cited)
    for suite in whole:
        suite.set("tests", str(len(suite.findall("testcase"))))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
        suite.set("errors", "0")
    ElementTree.indent(whole)
    text = ElementTree.tostring(whole, encoding="unicode", xml_declaration=True) + "\n"
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _suite(whole: ElementTree.Element, name: str, evidence: Evidence) -> ElementTree.Element:
    return ElementTree.SubElement(whole, "testsuite", name=name, timestamp=evidence.time.strftime("%Y-%m-%dT%H:%M:%S"))


def _case(suite: ElementTree.Element, pack: str, finding: Finding) -> None:
    verdict = finding.verdict
    case = ElementTree.SubElement(suite, "testcase", classname=f"{pack}.{verdict.rule.id}", name=verdict.label)
    word = word_of(finding)
    if word == "fail":
        failure = ElementTree.SubElement(case, "failure", message=verdict.message, type=verdict.rule.severity.value)
        failure.text = f"{verdict.urn}\nRemedy: {verdict.rule.remedy}"
    elif word != "pass":
        reason = finding.exemption.reason if finding.exemption is not None else verdict.message
        ElementTree.SubElement(case, "skipped", message=f"{word}: {reason}")
