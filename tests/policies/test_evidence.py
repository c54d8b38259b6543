"""The evidence: each file contains the verdicts in the format that its readers expect."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trestle.oscal.assessment_results import AssessmentResults

from console.errors import InputError
from policies import exemptions, promises
from policies.evidence import comment, gathered, junit, oscal, page, sarif
from policies.evidence.gathered import Evidence, gather, word_of
from policies.exemptions import Exemption
from policies.graph import Graph
from policies.mutation.operators import drop, named, put
from policies.packs import PACKS, all_rules
from policies.promises import Proofs
from policies.sources import Judged
from tests.policies.project import DRILLED
from tests.policies.rendering import rendered

SHORTER = put("aws:kms/key:Key", "deletionWindowInDays", 7)
QUARTERLY = put("aws:cloudwatch/eventRule:EventRule", "scheduleExpression", "rate(92 days)", named("restore-drill"))
EXEMPTION = Exemption(
    rule="restore-drill-is-scheduled",
    resource="urn:pulumi:prod::backbuild::pulumi:pulumi:Stack::backbuild-prod",
    owner="security@example.com",
    reason="a test excuses it",
    expires=DRILLED.date() + timedelta(days=94),
    source="policies/exemptions.toml",
    line=2,
)


@pytest.fixture(scope="session")
def good(prod: Judged) -> Evidence:
    return gather(prod, final=True, now=DRILLED)


@pytest.fixture(scope="session")
def excused(prod: Judged) -> Evidence:
    """Evidence of production with a quarterly restore drill, which an exemption excuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exemptions, "load", lambda *_, **__: [EXEMPTION])
        return gather(Judged(quarterly(prod), prod.content, prod.source), final=True, now=DRILLED)


def quarterly(prod: Judged) -> Graph:
    """Return production with a quarterly restore drill."""
    return next(iter(QUARTERLY(prod.graph))).graph


@pytest.fixture(scope="session")
def waiting(prod_plan: Judged) -> Evidence:
    """Evidence of production's plan before its first `up`."""
    return gather(prod_plan, final=False, given=False, now=DRILLED)


@pytest.fixture(scope="session")
def bad(prod: Judged) -> Evidence:
    """Evidence of production with a KMS deletion window of a week, and without DNSSEC in one zone."""
    mutant = next(iter(SHORTER(prod.graph)))
    worse = next(iter(drop("cloudflare:index/zoneDnssec:ZoneDnssec")(mutant.graph)))
    return gather(Judged(worse.graph, prod.content, "state of <prod>"), final=True, now=DRILLED)


def test_evidence_contains_commit_hashes_tools_and_exemptions(good: Evidence, excused: Evidence, prod: Judged) -> None:
    assert (good.stack, good.judged.sha256) == ("prod", prod.sha256)
    assert len(good.commit.hash) == 40
    assert {"policies", "python", "pulumi", "compliance-trestle"} <= good.tools.keys()
    assert good.exemptions == []
    assert [one.rule for one in excused.exemptions] == ["restore-drill-is-scheduled"]
    assert excused.exemptions[0].days_left(DRILLED.date()) == 95


def test_an_undecided_verdict_is_neither_compliant_nor_non_compliant(
    waiting: Evidence, good: Evidence, bad: Evidence
) -> None:
    assert (good.word, bad.word) == ("pass", "fail")
    assert good.headline.startswith("Every mandatory rule holds")
    assert bad.headline.startswith("A mandatory rule does not hold")
    assert waiting.word == "undetermined"
    assert waiting.undecided >= 2
    assert waiting.headline.startswith(
        f"No mandatory rule fails, but {waiting.undecided} verdicts are not decided before the update"
    )
    assert f"**prod: {waiting.headline}**" in comment.comment(waiting, None)
    assert "Every mandatory rule holds" not in page.render(waiting)


def proven(evidence: Evidence) -> Evidence:
    """Return the same evidence as if drills had proven every promise."""
    shown = {"not_proven": None, "proven_by": Proofs(drill=("docs/drills/x.md",))}
    return replace(evidence, promises={id: one.model_copy(update=shown) for id, one in evidence.promises.items()})


UNPROVEN = ["RED-1", "RED-2", "RED-3", "BAK-1", "BAK-4", "REC-1", "REC-2", "REC-3", "REC-4", "REC-5", "MNT-1"]


def test_a_promise_about_behaviour_with_only_a_plan_is_not_yet_proven(good: Evidence) -> None:
    assert [one.id for one in good.unproven] == ["SLA-1", *UNPROVEN]
    assert good.outcome_for(good.promises["RED-1"]) == "pass"
    assert good.standing_of(good.promises["RED-1"]) == "not yet proven"
    assert good.standing_of(good.promises["RED-5"]) == "pass"
    assert proven(good).standing_of(good.promises["RED-5"]) == "pass"
    assert [one.id for one in proven(good).unproven] == []


def test_a_failing_rule_takes_precedence_over_a_missing_proof(bad: Evidence) -> None:
    promise = bad.promises["REC-3"]
    assert not promise.proven
    assert bad.standing_of(promise) == bad.outcome_for(promise) == "fail"


def test_the_headline_has_the_number_of_promises_not_yet_proven(
    good: Evidence, bad: Evidence, waiting: Evidence
) -> None:
    assert good.standing == "not yet proven"
    assert good.headline == "Every mandatory rule holds, but 12 of 26 promises are not yet proven"
    assert (proven(good).standing, proven(good).headline) == ("pass", "Every mandatory rule holds")
    assert bad.standing == "fail"
    assert bad.headline == "A mandatory rule does not hold, and 12 of 26 promises are not yet proven"
    assert proven(bad).headline == "A mandatory rule does not hold"
    assert waiting.standing == "undetermined"
    assert waiting.headline.endswith(" before the update, and 12 of 26 promises are not yet proven")


def test_missing_proofs_are_in_every_file(good: Evidence) -> None:
    named = ", ".join(one.id for one in good.unproven)
    assert f"\n◇ not yet proven: {named}\n" in comment.comment(good, None)
    assert "not yet proven" not in comment.comment(proven(good), None)
    (red1,) = [line for line in comment.comment(good, None).splitlines() if line.startswith("| RED-1 ")]
    missing = re.escape(str(promises.load()["RED-1"].not_proven))
    assert re.search(rf"\| ◇ not yet proven \| \d+: pass \| {missing} \|", red1)
    assert "✓" not in red1
    (bak6,) = [line for line in comment.comment(good, None).splitlines() if line.startswith("| BAK-6 ")]
    assert re.search(r"\| ✓ pass \| \d\d: pass \| processes, plan \|$", bak6)
    for run in json.loads(sarif.render(good))["runs"]:
        assert run["properties"]["notYetProven"] == named.split(", ")
    (suite,) = [one for one in ElementTree.fromstring(junit.render(good)) if one.get("name") == "proofs"]
    skipped = {one.get("name"): one.find("skipped") for one in suite}
    assert list(skipped) == list(good.promises)
    assert [id for id, one in skipped.items() if one is not None] == named.split(", ")
    assert skipped["RED-1"].get("message", "").startswith(f"not yet proven: {promises.load()['RED-1'].not_proven}")
    assert suite.get("skipped") == "12"
    (suite,) = [one for one in ElementTree.fromstring(junit.render(proven(good))) if one.get("name") == "proofs"]
    assert (suite.get("tests"), suite.get("skipped")) == ("26", "0")


def test_a_missing_proof_file_stops_the_evidence(prod: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    promise = promises.load()["SLA-1"]
    gone = promise.model_copy(update={"proven_by": Proofs(processes=("tests/none.py",))})
    monkeypatch.setattr(promises, "load", lambda: {"SLA-1": gone})
    with pytest.raises(
        InputError, match=r"promises\.toml: SLA-1\.proven_by\.processes: there is no file tests/none\.py"
    ):
        gather(prod, final=True, now=DRILLED)


def test_evidence_says_whether_the_commit_is_of_the_rules_or_of_the_program_too(
    waiting: Evidence, good: Evidence
) -> None:
    assert good.basis.startswith("rules of commit ")
    assert waiting.basis.startswith("program and rules of commit ")
    assert "<dd>rules of <code>" in page.render(good)
    assert "<dd>program and rules of <code>" in page.render(waiting)
    of = [{one["name"]: one["value"] for one in document(e)["metadata"]["props"]}["commit-of"] for e in (good, waiting)]
    assert of == ["rules", "program and rules"]
    assert [json.loads(sarif.render(one))["runs"][0]["properties"]["commitOf"] for one in (good, waiting)] == of


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("policies/rules/new.py", True),
        ("components/new.py", True),
        ("Pulumi.prod.yaml", True),
        ("tests/workers/test_new.py", True),
        ("docs/drills/new.md", True),
        ("README.md", True),
        ("plan.json", False),
        ("evidence/prod/state.json", False),
    ],
)
def test_uncommitted_files_that_affect_the_verdict_count_as_changes(
    file: str, changed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "README.md").write_text("")
    git("add", "README.md")
    git("commit", "-m", "x")
    monkeypatch.setattr(gathered, "ROOT", tmp_path)
    assert gathered.commit().changed is False
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("changed")
    assert gathered.commit().changed is changed


# OSCAL


def document(evidence: Evidence) -> Any:
    text = oscal.render(evidence)
    return json.loads(text)["assessment-results"]


def test_oscal_matches_the_published_schema(good: Evidence, tmp_path: Path) -> None:
    file = tmp_path / "assessment-results.json"
    file.write_text(oscal.render(good))
    read = AssessmentResults.oscal_read(file)
    assert read is not None
    packs = [f"Policy pack {pack} 1.0.0" for pack in PACKS]
    assert [result.title for result in read.results] == [*packs, "Promises and their proofs"]


def test_oscal_has_an_observation_for_each_verdict(good: Evidence, bad: Evidence) -> None:
    results = document(bad)["results"][: len(PACKS)]
    found = {one["target"]["target-id"]: one for result in results for one in result["findings"]}
    assert found.keys() == {rule.id for rule in all_rules()}
    states = {id: (one["target"]["status"]["state"], one["target"]["status"]["reason"]) for id, one in found.items()}
    assert states["keys-outlive-mistakes"] == ("not-satisfied", "fail")
    assert states["names-are-signed"] == ("not-satisfied", "fail")
    assert {state for state, _ in states.values()} == {"satisfied", "not-satisfied"}
    observations = [one["uuid"] for result in results for one in result["observations"]]
    assert len(observations) == len(bad.findings) == len(set(observations))
    related = {one["observation-uuid"] for finding in found.values() for one in finding["related-observations"]}
    assert related == set(observations)
    props = {one["name"]: one["value"] for one in document(good)["metadata"]["props"]}
    assert props["state-sha256"] == good.judged.sha256


def test_oscal_has_the_standing_and_proofs_of_each_promise(good: Evidence, bad: Evidence, excused: Evidence) -> None:
    result = oscal.document(good)["results"][-1]
    states = {one["target"]["target-id"]: one["target"]["status"] for one in result["findings"]}
    assert list(states) == list(good.promises)
    assert {id for id, one in states.items() if one["state"] == "not-satisfied"} == {"SLA-1", *UNPROVEN}
    assert states["RED-1"] == {"state": "not-satisfied", "reason": "other", "remarks": "not yet proven"}
    of_excused = oscal.document(excused)["results"][-1]["findings"]
    (bak2,) = (one["target"]["status"] for one in of_excused if one["target"]["target-id"] == "BAK-2")
    assert (bak2["state"], bak2["remarks"]) == ("not-satisfied", "excused")
    observed = {one["title"].split(":")[0]: one for one in result["observations"]}
    assert observed["RED-1"]["title"] == "RED-1: not yet proven"
    assert observed["RED-1"]["description"] == good.promises["RED-1"].not_proven
    assert "relevant-evidence" not in observed["RED-1"]
    named = [(one["href"], one["props"][0]["value"]) for one in observed["RED-2"]["relevant-evidence"]]
    proofs = good.promises["RED-2"].proven_by.by_kind
    assert [*proofs] == ["drill", "processes", "plan"]
    assert sorted(named) == sorted((path, kind) for kind, paths in proofs.items() for path in paths)
    uuids = [one["observation-uuid"] for finding in result["findings"] for one in finding["related-observations"]]
    assert uuids == [one["uuid"] for one in result["observations"]]
    broken = {
        one["target"]["target-id"]: one["target"]["status"] for one in oscal.document(bad)["results"][-1]["findings"]
    }
    assert broken["REC-3"] == {"state": "not-satisfied", "reason": "fail", "remarks": "fail"}


def test_oscal_has_a_risk_with_a_deadline_for_each_exemption(excused: Evidence) -> None:
    results = document(excused)["results"]
    found = {one["target"]["target-id"]: one["target"]["status"] for result in results for one in result["findings"]}
    assert found["restore-drill-is-scheduled"]["state"] == "not-satisfied"
    assert found["restore-drill-is-scheduled"]["reason"] == "other"
    risks = [risk for result in results for risk in result.get("risks", [])]
    assert len(risks) == 1
    assert risks[0]["status"] == "deviation-approved"
    assert risks[0]["deadline"].startswith(f"{EXEMPTION.expires}T23:59:59")


def test_control_ids_match_the_catalogues() -> None:
    assert oscal.control_id("CP-9(8)") == "cp-9.8"
    assert oscal.control_id("A.8.13") == "a.8.13"


# SARIF


def test_sarif_has_each_failure_at_the_file_of_its_remedy(bad: Evidence) -> None:
    log = json.loads(sarif.render(bad))
    assert log["version"] == "2.1.0"
    results = [(run, one) for run in log["runs"] for one in run["results"]]
    assert {one["ruleId"]: one["level"] for _, one in results} == {
        "names-are-signed": "error",
        "keys-outlive-mistakes": "error",
        "content-is-reviewed": "error",  # the list of resources differs
    }
    for run, one in results:
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        place = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert (Path(__file__).parents[2] / place).is_file(), place
    prints = [one["partialFingerprints"]["primaryLocationLineHash"] for _, one in results]
    assert len(set(prints)) == len(results)  # two results of one rule in one file are two alerts
    assert not [one for _, one in results if "suppressions" in one]


def test_sarif_suppresses_an_excused_finding(excused: Evidence) -> None:
    results = [one for run in json.loads(sarif.render(excused))["runs"] for one in run["results"]]
    assert [(one["ruleId"], one["level"]) for one in results] == [("restore-drill-is-scheduled", "note")]
    assert all(one["suppressions"] for one in results)


def test_a_sarif_fingerprint_does_not_depend_on_the_message(prod: Judged) -> None:
    found: list[dict[str, set[str]]] = []
    for days in (7, 8):
        mutant = next(iter(put("aws:kms/key:Key", "deletionWindowInDays", days)(prod.graph)))
        log = json.loads(sarif.render(gather(Judged(mutant.graph, prod.content, "x"), final=True, now=DRILLED)))
        results = [one for run in log["runs"] for one in run["results"]]
        found.append({key: {json.dumps(one[key]) for one in results} for key in ("message", "partialFingerprints")})
    assert found[0]["message"] != found[1]["message"]
    assert found[0]["partialFingerprints"] == found[1]["partialFingerprints"]


def test_every_rules_remedy_names_an_existing_file(good: Evidence) -> None:
    for rule in all_rules():
        assert (Path(__file__).parents[2] / sarif.place_of(good, rule)).is_file(), rule.id


# JUnit


def test_junit_has_a_case_for_each_verdict(bad: Evidence) -> None:
    suites = ElementTree.fromstring(junit.render(bad))
    assert [suite.get("name") for suite in suites] == [*PACKS, "proofs"]
    suites.remove(suites[-1])
    words = Counter(word_of(finding) for finding in bad.findings)
    assert sum(int(suite.get("tests", "")) for suite in suites) == len(bad.findings)
    assert sum(int(suite.get("failures", "")) for suite in suites) == words["fail"] == len(suites.findall(".//failure"))
    assert len(suites.findall(".//skipped")) == len(bad.findings) - words["fail"] - words["pass"]


def test_junit_is_valid_xml_with_any_resource_name(prod: Judged) -> None:
    forged = put("aws:kms/key:Key", "deletionWindowInDays", "a")
    mutant = next(iter(forged(prod.graph)))
    (key,) = [one for one in mutant.graph.of("aws:kms/key:Key") if one.read("deletionWindowInDays") == "a"]
    key.name = "\0\x1b[31m]]><x>\uffff"
    suites = ElementTree.fromstring(
        junit.render(gather(Judged(mutant.graph, prod.content, "x"), final=True, now=DRILLED))
    )
    assert "Key \ufffd\ufffd[31m]]><x>\ufffd" in {case.get("name") for case in suites.iter("testcase")}


# Markdown and HTML


def test_a_comment_names_failures_and_escapes_markup(prod: Judged) -> None:
    forged = put(
        "aws:kms/key:Key",
        "deletionWindowInDays",
        "[x](https://evil.example) @team &commat;team <img src=x> www.evil.example",
    )
    mutant = next(iter(forged(prod.graph)))
    text = comment.comment(gather(Judged(mutant.graph, prod.content, "x"), final=True, now=DRILLED), None)
    assert text.startswith("### Verdicts\n\n**prod: A mandatory rule does not hold, and 12 of 26 promises are")
    assert "`keys-outlive-mistakes`" in text
    for hostile in ("[x]", "<img", "@team", "&commat;", "https://", "www."):
        assert hostile not in text


@pytest.mark.parametrize(
    "text",
    [
        "rules[0].days is `7`, <30> *expected* | a_b_c ~~x~~ # 1 \\\\ &amp; &#91; $x$",
        "@team #12 acme/store#14 gh-13 GHSA-1a2b-3c4d-5e6f CVE-2026-1 a@b.example https://e.example www.e.example",
        "0123456 acme@0123456789abcdef0123456789abcdef01234567 acme/store@deadbeef",
        "![x](https://evil.example) [ok][1] <b>bold</b> &commat;team &#35;12",
    ],
)
def test_a_comment_shows_the_text_of_a_plan_unchanged(good: Evidence, text: str) -> None:
    plan = {
        "steps": [{"op": text, "urn": f"urn::{text}", "type": text, "diff": {text: {}}}],
        "errors": [{"message": text}],
    }
    before, after = (
        rendered(comment.comment(good, comment.Plan(steps=[]))),
        rendered(comment.comment(good, comment.Plan.model_validate(plan))),
    )
    assert after.text.count(text) == 6  # counted, the error, and the step's four parts
    assert after.tags - before.tags <= {"details", "summary", "ul", "li"}
    assert not after.references


@given(text=st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))))
def test_any_text_is_shown_unchanged(text: str) -> None:
    shown = rendered(f"- x {comment._plain(text)}")
    assert " ".join(shown.text.split()) == " ".join(f"x {text}".replace("\u200b", "").split())
    assert shown.tags == {"ul", "li"}
    assert not shown.references


def test_the_page_is_self_contained_and_escapes_names(bad: Evidence) -> None:
    html = page.render(bad)
    assert "state of &lt;prod&gt;" in html
    assert "https://" not in html.replace("https://hooks", "")
    assert "default-src 'none'" in html


def test_problems_of_exemptions_are_in_every_file(prod: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    unused = EXEMPTION.model_copy(update={"rule": "three-copies", "source": "x.toml", "line": 7})
    monkeypatch.setattr(exemptions, "load", lambda *_, **__: [EXEMPTION, unused])
    evidence = gather(Judged(quarterly(prod), prod.content, prod.source), final=True, now=DRILLED)
    assert evidence.stops
    for text in (*(one.render(evidence) for one in (page, oscal, sarif, junit)), comment.comment(evidence, None)):
        assert "x.toml:7: three-copies: excuses nothing" in text


PLAN = {
    "steps": [
        {"op": "same", "urn": "urn:pulumi:prod::b::a::quiet", "type": "a:b/c:D", "diff": {}},
        {"op": "replace", "urn": "urn:pulumi:prod::b::a::one", "type": "a:b/c:D", "diff": {"tags.Name": {}}},
        *({"op": "create", "urn": f"urn:pulumi:prod::b::a::n{i}", "type": "a:b/c:D", "diff": {}} for i in range(60)),
    ]
}


def test_a_comment_shows_the_plan_and_then_the_verdicts(good: Evidence) -> None:
    text = comment.comment(good, comment.Plan.model_validate(PLAN))
    assert "**1 to replace, 60 to create**" in text
    assert "- replace a:b/c:D **one**: tags.Name" in text
    assert "quiet" not in text
    assert "- … and 11 more" in text
    assert text.index("### Plan") < text.index("### Verdicts")
    assert len(text) < 65_536


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": 1}'])
def test_an_invalid_plan_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=r"plan\.json.*`python -m sandbox preview --json`"):
        comment.read_plan(tmp_path / "plan.json")
