"""The baseline: what was reviewed passes, everything else fails, and a review records it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from policies import baseline, reviewing
from policies.baseline import Review, load, render
from policies.cli import main
from policies.configuration import Strictness, Undecided
from policies.coverage.beside import set_apart
from policies.graph import Graph, Unknown
from policies.judging import judge
from policies.mutation.files import boot, edit, write
from policies.mutation.operators import Operator, declare, drop, put, replaced, revised
from policies.packs import all_rules
from policies.rule import Outcome, Verdict
from policies.sources import Judged
from policies.views.contents import VERSION, contents, normal
from policies.views.machines import ENVIRONMENT, PATRONI
from policies.views.permissions import ROLE_POLICY, USER

RULES = {rule.id: rule for rule in all_rules()}
DIGEST = "0" * 64
REVIEW = f'sha256 = "{DIGEST}", by = "Somebody", on = 2026-11-29'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[prod]\n"x" = { sha256 = "abc", by = "Somebody", on = 2026-11-29 }\n', r":2: prod: x.sha256: 'abc' is not a"),
        (f'[prod]\n"x" = {{ sha256 = "{DIGEST}", on = 2026-11-29 }}\n', r":2: prod: x.by: is missing"),
        (f'[prod]\n"x" = {{ sha256 = "{DIGEST}", by = "", on = 2026-11-29 }}\n', r":2: prod: x.by: is empty"),
        (f'[prod]\n"x" = {{ sha256 = "{DIGEST}", by = "S" }}\n', r":2: prod: x.on: is missing"),
        (f'[prod]\n"x" = {{ {REVIEW}, why = "y" }}\n', r":2: prod: x.why: no such key"),
        (f'[prod]\n"x" = {{ {REVIEW} }}\n"x" = {{ {REVIEW} }}\n', r":3: "),
        ("prod = 1\n", r":1: prod: a table of reviews"),
        ("[prod\n", r":1: "),
    ],
)
def test_an_invalid_baseline_names_the_file_and_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "baseline.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=problem):
        load(file)


def test_a_review_without_its_content_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "baseline.toml"
    file.write_text(f'[prod]\n"here" = {{ {REVIEW} }}\n"gone" = {{ {REVIEW} }}\n')
    with pytest.raises(InputError, match=r"baseline.toml:3: gone: there is no such content; restore it"):
        load(file)["prod"].check({"here"})


def test_a_rendered_baseline_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "baseline.toml"
    reviews = {"worker /etc/x y": Review(sha256=DIGEST, by="Somebody Ö.", on=date(2026, 11, 29))}
    file.write_text(render({"prod": reviews, "staging": {}}))
    assert load(file)["prod"].reviews == reviews
    assert load(file)["staging"].reviews == {}


def test_the_committed_baseline_is_complete(prod: Judged, staging: Judged) -> None:
    for one in (prod, staging):
        reviews = baseline.committed()[one.graph.name].reviews
        assert {content.key: content.sha256 for content in contents(one.graph)} == {
            key: review.sha256 for key, review in reviews.items()
        }


def _failures(graph: Graph, operator: Operator) -> list[Verdict]:
    mutant = next(iter(operator(graph))).graph
    rules = ("content-is-reviewed", "reviewed-content-is-there", "every-resource-is-covered")
    return [one for id in rules for one in RULES[id].verdicts(mutant) if one.outcome is Outcome.FAIL]


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (edit("/usr/local/sbin/backbuild-patch", r"\A(#!.*\n)", r"\1exit 0\n"), "/usr/local/sbin/backbuild-patch)"),
        (write("/etc/postgresql-common/createcluster.d/x.conf", "x"), "createcluster.d/x.conf)"),
        (put(VERSION, "mainModule", "other.js"), "(script "),
        (drop("aws:s3/bucketPolicy:BucketPolicy"), "has a review in baseline.toml, but does not exist"),
        (declare("aws:s3/bucket:Bucket", bucket="logs"), "it has no review (beside aws:s3/bucket:Bucket more)"),
    ],
)
def test_a_content_without_a_review_fails(prod: Judged, operator: Operator, message: str) -> None:
    failures = _failures(prod.graph, operator)
    assert any(message in one.message for one in failures)


def test_a_resource_beside_the_platform_passes_with_a_review(
    prod: Judged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mutant = next(iter(declare("aws:s3/bucket:Bucket", bucket="logs")(prod.graph))).graph
    file = tmp_path / "baseline.toml"
    today = date(2026, 11, 29)
    file.write_text(
        render({"prod": {one.key: Review(sha256=one.sha256, by="S", on=today) for one in contents(mutant)}})
    )
    monkeypatch.setattr(baseline, "committed", lambda: load(file))
    monkeypatch.setattr("policies.rules.coverage.rules.committed", lambda: load(file))
    monkeypatch.setattr("policies.coverage.beside.committed", lambda: load(file))
    apart = set_apart(mutant)
    fails = {rule.id for rule in all_rules() for one in rule.verdicts(apart) if one.outcome is Outcome.FAIL}
    assert fails == set()
    other = next(iter(declare("aws:s3/bucket:Bucket", bucket="other")(prod.graph))).graph
    verdicts = RULES["content-is-reviewed"].verdicts(set_apart(other))
    messages = [one.message for one in verdicts if one.outcome is Outcome.FAIL]
    assert messages == ["it differs from what S reviewed on 2026-11-29 (beside aws:s3/bucket:Bucket more)"]


def test_settings_are_replaced_by_their_names(prod: Judged) -> None:
    text = "hosts: 10.20.0.16:2379,10.20.16.17:2379\nbackbuild-prod, not 10.20.0.160\nworker-1-0\nworker-2-1"
    assert normal(prod.graph, text) == (
        "hosts: <address of consensus>:2379 and more\n<platform>, not 10.20.0.160\n<worker>"
    )


def test_a_reviewer_is_required_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "--stack", "prod", "--write"]) == 2
    assert "--write: the reviewer is missing; add --by NAME" in capsys.readouterr().err


def test_a_base_that_does_not_exist_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, staging: Judged
) -> None:
    _reviewed_in(tmp_path, monkeypatch, staging, {"gone": Review(sha256=DIGEST, by="S", on=date(2020, 1, 1))})
    monkeypatch.setattr(reviewing, "brought_up", lambda *_: staging)
    assert main(["baseline", "--stack", "staging", "--base", "no-such-commit"]) == 2
    assert "no-such-commit" in capsys.readouterr().err


def test_a_review_shows_the_difference_and_records_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, staging: Judged
) -> None:
    key = "gateway /usr/local/sbin/backbuild-patch"
    old = Review(sha256=DIGEST, by="Somebody", on=date(2020, 1, 1))
    file = _reviewed_in(tmp_path, monkeypatch, staging, {key: old, "gone": old})
    monkeypatch.setattr(reviewing, "brought_up", lambda *_: staging)
    assert main(["baseline", "--stack", "staging", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(one["key"], one["kind"]) for one in found] == [("gone", "gone"), (key, "changed")]
    assert main(["baseline", "--stack", "staging", "--write", "--by", "Another"]) == 0
    capsys.readouterr()
    written = load(file)["staging"].reviews
    assert written[key].by == "Another"
    assert "gone" not in written
    assert {one.by for other, one in written.items() if other != key} == {"Somebody"}
    assert main(["baseline", "--stack", "staging"]) == 0
    assert "Every content matches its review in baseline.toml." in capsys.readouterr().out


def _reviewed_in(folder: Path, monkeypatch: pytest.MonkeyPatch, judged: Judged, others: dict[str, Review]) -> Path:
    """Let the baseline be a file in which everything is reviewed, except for `others`."""
    file = folder / "baseline.toml"
    today = date(2026, 11, 29)
    reviews = {
        one.key: Review(sha256=one.sha256, by="Somebody", on=today, needs=list(one.needs))
        for one in contents(judged.graph)
    }
    file.write_text(render({judged.graph.name: {**reviews, **others}}))
    monkeypatch.setattr(reviewing, "FILE", file)
    return file


def test_a_shared_content_is_attributed_to_the_first_machine_by_name(prod: Judged) -> None:
    reordered = Graph(list(reversed(prod.graph.resources)))
    found = {one.key: (one.urn, one.sha256) for one in contents(reordered)}
    assert found == {one.key: (one.urn, one.sha256) for one in contents(prod.graph)}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (edit(PATRONI, r"^  listen: [0-9.]+:8008", "  listen: 10.20.0.33:8008"), "patroni.yml"),
        (edit(ENVIRONMENT, r"^ADDRESS=.*", 'ADDRESS="10.20.0.33"'), "/etc/default/backbuild"),
        (drop("aws:ec2/vpcEndpoint:VpcEndpoint"), "resources"),
    ],
)
def test_names_of_settings_do_not_hide_another_machines_address_or_a_missing_resource(
    prod: Judged, change: Operator, key: str
) -> None:
    mutants = list(change(prod.graph))
    assert mutants
    for mutant in mutants[1:]:
        failures = [one for one in RULES["content-is-reviewed"].verdicts(mutant.graph) if one.outcome is Outcome.FAIL]
        assert any(key in one.message for one in failures), mutant.subject


def test_a_file_that_one_machine_lacks_differs(prod: Judged) -> None:
    def remove(document: dict[str, Any]) -> None:
        document["write_files"] = [
            one for one in document["write_files"] if not one["path"].endswith("backbuild-patch")
        ]

    mutant = next(iter(boot(remove)(prod.graph))).graph
    failures = [one for one in RULES["content-is-reviewed"].verdicts(mutant) if one.outcome is Outcome.FAIL]
    assert any("/usr/local/sbin/backbuild-patch)" in one.message for one in failures)


def test_a_document_that_is_not_known_yet_may_not_refer_to_other_resources(prod: Judged) -> None:
    policy = prod.graph.of(ROLE_POLICY)[0]
    needs = {
        **policy.property_dependencies,
        "policy": (*policy.property_dependencies["policy"], prod.graph.of(USER)[0].urn),
    }
    hidden = {**policy.inputs, "policy": Unknown.LATER}
    weak = replaced(prod.graph, revised(policy, inputs=hidden, properties=hidden, property_dependencies=needs))
    messages = [one.message for one in RULES["content-is-reviewed"].verdicts(weak) if one.outcome is Outcome.FAIL]
    assert len(messages) == 1
    assert "it refers to other resources than those that" in messages[0]


def test_a_content_that_was_made_secret_fails_in_a_plan(prod: Judged) -> None:
    policy = prod.graph.of(ROLE_POLICY)[0]
    hidden = {**policy.inputs, "policy": Unknown.SECRET}
    weak = replaced(prod.graph, revised(policy, inputs=hidden, properties=hidden))
    note = Strictness(undetermined=Undecided.NOTE)
    rule = RULES["content-is-reviewed"]
    assert judge(weak, [rule], {rule.id: note}, final=False).stops
    later = {**policy.inputs, "policy": Unknown.LATER}
    waits = replaced(prod.graph, revised(policy, inputs=later, properties=later))
    assert not judge(waits, [rule], {rule.id: note}, final=False).stops
