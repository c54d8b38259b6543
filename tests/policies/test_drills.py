"""Drills as proofs: the rules about their reports, and the promises that cite them."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from console.errors import InputError
from model.drill_reports import Filed, Reports
from policies import promises
from policies.drills import check_citations, citations, without_refuted
from policies.evidence import comment, gathered, junit, oscal, page, sarif
from policies.evidence.gathered import gather
from policies.graph import STACK, Graph
from policies.mutation.trial import WEAKENINGS, attempt, firing
from policies.mutation.weakening import Weakening
from policies.promises import Promise, cited_scenarios
from policies.rule import REGISTRY, Outcome, Verdict
from policies.sources import Judged
from policies.views.drills import newest_drills

from .graphs import graph, resource
from .project import DRILLED, Project

DAY = date(2026, 11, 20)
RULE = "cited-drills-are-recent"
OWN = {RULE, "status-page-shows-the-last-restore"}


# -- the rules


def newest(**changes: Any) -> dict[str, Any]:
    """Return kept reports of all cited scenarios of `DAY`, the first of them with changes."""
    common = {"date": str(DAY), "verdict": "kept", "commit": "a" * 40}
    found = {name: {"report": f"0001-{name}", **common} for name in cited_scenarios()}
    first = next(iter(found))
    return found | {first: found[first] | changes}


def judged(output: object, today: date | None = DAY) -> Verdict:
    """Return the verdict on a stack with this output."""
    found = graph(resource(STACK, "backbuild-test", {} if output is None else {"drills": output}))
    (verdict,) = REGISTRY.rules[RULE].verdicts(found if today is None else found.on(today))
    return verdict


def output(reports: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"maxAgeDays": 92, "problems": [], "newest": newest() if reports is None else reports, **changes}


def test_kept_reports_of_all_cited_scenarios_pass_until_they_are_too_old() -> None:
    assert judged(output()).outcome is Outcome.PASS
    assert judged(output(), DAY + timedelta(days=92)).outcome is Outcome.PASS
    late = judged(output(), DAY + timedelta(days=93))
    assert late.outcome is Outcome.FAIL
    assert "is 93 days old; at most 92 days are allowed" in late.message
    assert judged(output(maxAgeDays=10), DAY + timedelta(days=11)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "stopped"}, "its newest report 0001-{name} is stopped, not kept"),
        ({"verdict": "missed"}, "its newest report 0001-{name} is missed, not kept"),
        ({"commit": f"{'a' * 40}+"}, f"its newest report 0001-{{name}} is about {'a' * 40}+, which is no commit"),
        ({"commit": "unknown"}, "its newest report 0001-{name} is about unknown, which is no commit"),
        ({"date": "2026-11-21"}, "its newest report 0001-{name} is of 2026-11-21, which is after 2026-11-20"),
    ],
)
def test_a_newest_report_that_proves_nothing_fails_with_its_promises(changes: dict[str, str], message: str) -> None:
    name, cited = next(iter(cited_scenarios().items()))
    found = judged(output(newest(**changes)))
    assert found.outcome is Outcome.FAIL
    assert found.message.startswith(f"{name} ({', '.join(cited)}): {message.format(name=name)}")
    assert f"python -m drills run {'NAME'} --stack STACK --file" in found.rule.remedy


def test_a_missing_report_and_an_edited_one_fail() -> None:
    name = next(iter(cited_scenarios()))
    without = {other: one for other, one in newest().items() if other != name}
    assert f"{name} (" in judged(output(without)).message
    assert judged(output(without)).message.endswith("it has no report")
    edited = judged(output(problems=["0007.json is not signed by ann"]))
    assert edited.outcome is Outcome.FAIL
    assert edited.message == "the reports in docs/drills are not intact: 0007.json is not signed by ann"
    assert judged(None).outcome is Outcome.FAIL


def test_a_scenario_that_no_promise_cites_is_not_required() -> None:
    other = {"not-cited": {"report": "0009-not-cited", "date": "2020-01-01", "verdict": "stopped", "commit": "unknown"}}
    assert judged(output(newest() | other)).outcome is Outcome.PASS


def test_without_a_date_nothing_is_recent() -> None:
    assert judged(output(), None).outcome is Outcome.UNDETERMINED


@pytest.fixture(scope="module")
def own(prod: Judged) -> Graph:
    return Graph(prod.graph.resources, today=prod.graph.today)


@pytest.fixture(scope="module")
def fires(own: Graph) -> set[str]:
    return firing(own) & OWN


@pytest.mark.parametrize("weakening", [one for one in WEAKENINGS if one.expected_rule in OWN], ids=lambda one: one.name)
def test_each_weakening_of_the_reports_is_detected(own: Graph, fires: set[str], weakening: Weakening) -> None:
    trial = attempt(own, weakening, fires)
    assert trial.made
    assert trial.survivors == []


def test_an_exported_state_is_judged_by_its_own_reports_and_on_the_given_date(prod: Judged) -> None:
    """The state itself says what was filed; the date is that of the judgement."""
    oldest = min(one.day for name, one in newest_drills(prod.graph).items() if name in cited_scenarios())
    most = prod.graph.stack.number("drills.maxAgeDays")
    assert most is not None
    for days, fails in ((most, False), (most + 1, True)):
        (verdict,) = REGISTRY.rules[RULE].verdicts(prod.graph.on(oldest + timedelta(days=days)))
        assert (verdict.outcome is Outcome.FAIL) is fails


def test_the_program_reports_an_edited_report_and_the_preview_of_production_stops(tmp_path: Path) -> None:
    project = Project.copy(tmp_path)
    report = min((project.folder / "docs/drills").glob("*.json"))
    report.write_text(report.read_text().replace("staging", "prod"))
    printed = project.json("preview", "--stack", "prod", code=1)
    (found,) = [one for one in printed["policies"] if one["rule"] == RULE]
    assert found["mandatory"] is True
    assert f"{report.name} is not signed by " in found["message"]


# -- the promises that cite reports


def report(scenario: str, number: int, verdict: str = "kept", promise: str = "X") -> Filed:
    """Return a filed report."""
    content = {
        "scenario": scenario,
        "begun": f"{DAY}T10:00:00+00:00",
        "verdict": verdict,
        "promises": [promise],
        "measured": {"recovery": 30.5, "loss": 0.0, "lost": 0.0} if verdict == "kept" else {},
    }
    return Filed(number, Path(f"{number:04}-{DAY}-{scenario}.json"), content, "ann", "a" * 64)


def citing(*numbers: int, scenario: str = "one") -> Promise:
    """Return a promise that cites reports of a scenario."""
    paths = tuple(f"docs/drills/{number:04}-{DAY}-{scenario}.json" for number in numbers)
    proofs = promises.Proofs(drill=paths)
    return promises.load()["REC-2"].model_copy(update={"id": "X", "proven_by": proofs, "not_proven": None})


def test_a_kept_report_may_be_cited() -> None:
    check_citations([citing(1)], Reports((report("one", 1),)))


@pytest.mark.parametrize(
    ("filed", "message"),
    [
        ([], "is no filed report; cite one that `python -m drills report` lists"),
        ([report("one", 1, "stopped")], "is stopped, not kept"),
        ([report("one", 1, "missed")], "is missed, not kept"),
        ([report("one", 1, promise="Y")], "is about Y; cite a report about X"),
        ([replace(report("two", 1), file=Path(f"0001-{DAY}-one.json"))], "is a report of two"),
    ],
)
def test_another_report_is_refused_with_its_promise(filed: list[Filed], message: str) -> None:
    with pytest.raises(InputError, match=rf"promises\.toml: X\.proven_by\.drill: docs/drills/0001-\S+ {message}"):
        check_citations([citing(1)], Reports(tuple(filed)))


def test_no_report_may_be_cited_while_one_is_edited() -> None:
    edited = Reports((report("one", 1),), ("0002.json does not follow the report before it",))
    with pytest.raises(InputError, match=r"proven_by\.drill: 0002\.json does not follow .* report --check` verifies"):
        check_citations([citing(1)], edited)
    check_citations([promises.load()["SLA-2"]], edited)


def test_a_path_that_is_no_report_is_refused() -> None:
    with pytest.raises(InputError, match=r"docs/drills/new\.md is not a drill's report; cite one as docs/drills/NUM"):
        promises.scenario_of("docs/drills/new.md")


def test_a_newer_kept_report_of_the_scenario_proves_the_promise_and_is_shown() -> None:
    filed = Reports((report("one", 1), report("one", 2)))
    assert without_refuted(citing(1), filed.newest).proven
    (cited,) = citations(citing(1), filed.newest)
    assert cited.text == f"one of {DAY}: kept, recovery 30.5 s, nothing lost (docs/drills/0002-{DAY}-one.json)"


@pytest.mark.parametrize("verdict", ["stopped", "missed"])
def test_a_newer_report_that_is_not_kept_refutes_the_proof(verdict: str) -> None:
    filed = Reports((report("one", 1), report("one", 2, verdict)))
    found = without_refuted(citing(1), filed.newest)
    assert not found.proven
    assert found.proven_by.drill == ()
    assert found.not_proven is not None
    assert found.not_proven.startswith(f"a newer drill one is {verdict}: run `python -m drills run one --stack ")


def test_a_newer_report_about_other_promises_refutes_the_proof() -> None:
    filed = Reports((report("one", 1), report("one", 2, promise="Y")))
    found = without_refuted(citing(1), filed.newest)
    assert not found.proven
    assert found.proven_by.drill == ()
    assert found.not_proven == (f"a newer drill one is about Y: cite a drill about X (docs/drills/0002-{DAY}-one.json)")


def test_the_committed_citations_are_kept_reports() -> None:
    assert gathered.reports_in(gathered.ROOT / "docs/drills").filed
    check_citations(promises.load().values(), gathered.reports_in(gathered.ROOT / "docs/drills"))


def test_the_evidence_shows_what_the_newest_drill_measured(prod: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer stopped drill of a cited scenario replaces the kept one in each file, and refutes the proof."""
    reports = gathered.reports_in(gathered.ROOT / "docs/drills")
    kept = citations(promises.load()["REC-3"], reports.newest)[0].newest
    newer = replace(kept, report={**kept.report, "verdict": "stopped", "measured": {}}, file=Path("0999-x.json"))
    for shown, text, verdict in (
        (reports, f"{kept.scenario} of {kept.day}: {kept.verdict}, recovery {kept.measured}", "kept"),
        (Reports((*reports.filed, newer)), f"{kept.scenario} of {kept.day}: stopped (docs/drills/0999-x", "stopped"),
    ):
        monkeypatch.setattr(gathered, "reports_in", lambda _, found=shown: found)
        evidence = gather(prod, final=True, now=DRILLED)
        missing = evidence.promises["REC-3"].not_proven or ""
        assert ("a newer drill" in missing) is (verdict == "stopped")
        assert text in page.render(evidence)
        assert text in html.unescape(comment.comment(evidence, None)).replace("\N{ZERO WIDTH SPACE}", "")
        (run, _) = json.loads(sarif.render(evidence))["runs"]
        assert any(line.startswith(text) for line in run["properties"]["drills"]["REC-3"])
        case = ElementTree.fromstring(junit.render(evidence)).find(".//testcase[@name='REC-3']/system-out")
        assert case is not None
        assert text in (case.text or "")
        observed = oscal.document(evidence)["results"][-1]["observations"]
        named = next(one for one in observed if one["title"].startswith("REC-3"))["relevant-evidence"]
        (drilled,) = [one for one in named if text in one["description"]]
        assert {one["name"]: one["value"] for one in drilled["props"]}["verdict"] == verdict
        assert oscal.render(evidence)
