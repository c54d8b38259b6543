"""The command line: output, files and exit codes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from policies import commands, stacks
from policies.cli import main
from policies.mutation.operators import put
from policies.packs import all_rules
from policies.promises import load as load_promises
from policies.sources import Judged, from_export

from .project import DRILLED


@pytest.fixture(autouse=True)
def _on_the_day_of_the_newest_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge on that day instead of today, when the drills' reports may be too old."""
    monkeypatch.setattr(commands, "gather", partial(commands.gather, now=DRILLED))


@pytest.fixture
def state(prod: Judged, tmp_path: Path) -> Path:
    file = tmp_path / "state.json"
    file.write_bytes(prod.content)
    return file


@pytest.fixture
def weakened(prod: Judged, tmp_path: Path) -> Path:
    """A state with KMS deletion windows of a week."""
    document = json.loads(prod.content)
    for entry in document["deployment"]["resources"]:
        if entry["type"] == "aws:kms/key:Key":
            entry["inputs"]["deletionWindowInDays"] = entry["outputs"]["deletionWindowInDays"] = 7
    file = tmp_path / "weakened.json"
    file.write_text(json.dumps(document))
    return file


def test_an_exported_state_is_judged_without_the_program(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--file", str(state)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith(f"prod: {len(all_rules())} rules, ")
    assert main(["judge", "--file", str(state), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["compliant"] is True
    assert "excused: " not in printed
    unproven = [one["id"] for one in found["promises"] if not one["proven"]]
    assert f"not yet proven: {', '.join(unproven)}\n" in printed
    assert printed.splitlines()[-1].endswith(f"{len(unproven)} of 26 promises are not yet proven")
    (red1,) = [one for one in found["promises"] if one["id"] == "RED-1"]
    assert (red1["standing"], red1["rules"], red1["behaviour"], red1["provenBy"]) == (
        "not yet proven",
        "pass",
        True,
        {},
    )
    assert red1["notProven"] == load_promises()["RED-1"].not_proven
    (red2,) = [one for one in found["promises"] if one["id"] == "RED-2"]
    assert sorted(red2["provenBy"]) == ["drill", "plan", "processes"]


def test_a_failing_rule_is_shown_with_exit_code_1(weakened: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--file", str(weakened), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["compliant"] is False
    assert found["basis"].startswith("rules of commit ")
    wrong = [one for one in found["verdicts"] if one["verdict"] == "fail"]
    assert {one["rule"] for one in wrong} == {"keys-outlive-mistakes"}
    assert wrong[0]["message"] == "deletionWindowInDays is 7; 30 are expected"
    assert main(["judge", "--file", str(weakened)]) == 1
    assert "fail: keys-outlive-mistakes: Key " in capsys.readouterr().out


def test_report_writes_every_file(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "evidence" / "november"
    assert main(["report", "--file", str(state), "--out", str(out)]) == 0
    assert {one.name for one in out.iterdir()} == {*commands.FILES, commands.COMMENT}
    assert f"Written to {out}" in capsys.readouterr().out


@pytest.mark.long
def test_report_writes_evidence_of_a_failing_state(weakened: Path, tmp_path: Path) -> None:
    assert main(["report", "--file", str(weakened), "--out", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out" / "report.html").exists()


def test_report_writes_the_judged_plan_without_secrets(
    prod_plan: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "planned", lambda _: prod_plan)
    assert main(["report", "--stack", "prod", "--out", str(tmp_path / "out")]) == 0
    kept = (tmp_path / "out" / commands.STATE).read_bytes()
    assert from_export(kept, "x").sha256 == prod_plan.sha256
    document = json.loads(kept)
    for entry in document["deployment"]["resources"]:
        for secret in _secrets(entry):
            assert set(_leaves(json.loads(secret))) <= {"[secret]", "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}


def _secrets(value: object) -> list[str]:
    if isinstance(value, dict):
        if "plaintext" in value:
            return [value["plaintext"]]
        assert "ciphertext" not in value
        return [found for item in value.values() for found in _secrets(item)]
    return [found for item in value for found in _secrets(item)] if isinstance(value, list) else []


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return [found for item in items for found in _leaves(item)]
    return [value]


def test_compliant_is_null_if_a_verdict_is_undecided(
    prod_plan: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "planned", lambda _: prod_plan)
    assert main(["judge", "--stack", "prod", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["compliant"] is None
    assert found["undecided"] == len([one for one in found["verdicts"] if one["verdict"] == "undetermined"]) > 0
    assert found["basis"].startswith("program and rules of commit ")
    # The commit of a given plan is unknown, so the evidence names only the commit of the rules.
    (tmp_path / "plan.json").write_bytes(prod_plan.content)
    assert main(["judge", "--file", str(tmp_path / "plan.json"), "--planned", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["basis"].startswith("rules of commit ")
    assert main(["judge", "--file", str(tmp_path / "plan.json")]) == 1


def test_the_command_rules_lists_all_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--json"]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == [rule.id for rule in all_rules()]
    assert main(["rules"]) == 0
    assert "quorum-survives-a-zone" in capsys.readouterr().out


def test_an_unwritable_folder_is_an_error_with_its_name(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    assert main(["report", "--file", str(state), "--out", str(tmp_path / "taken")]) == 2
    assert f"{tmp_path / 'taken'}: cannot be written to" in capsys.readouterr().err


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--file", str(tmp_path / "none.json"), "--json"]) == 2
    printed = capsys.readouterr()
    assert "none.json cannot be read" in json.loads(printed.out)["error"]


def test_a_missing_stack_is_an_error_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--stack", "nowhere"]) == 2
    assert "the project has no stack 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("  ... 1 resources\nerror: there is no stack\n", "there is no stack"),
        (
            "  ... 1 resources\nerror: there is 1 problem:\n  members: given: 1\nerror: prod cannot be planned\n",
            "prod cannot be planned:\nthere is 1 problem:\n  members: given: 1",
        ),
        ("error: Program failed:\n  x\n\nerror: prod cannot be planned: Program failed:\n  x\n",
         "prod cannot be planned: Program failed:\n  x"),
        ("Segmentation fault\n", "Segmentation fault"),
    ],
)  # fmt: skip
def test_the_error_of_an_invalid_configuration_has_its_cause(said: str, message: str) -> None:
    assert stacks.complaint(said) == message


@pytest.mark.parametrize("arguments", [["judge"], ["judge", "--stack", "a", "--file", "b"], ["report", "--stack", "a"]])
def test_an_incomplete_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_mutation_operator_does_not_change_its_graph(prod: Judged) -> None:
    before = [dict(one.properties) for one in prod.graph.of("aws:kms/key:Key")]
    assert len(list(put("aws:kms/key:Key", "deletionWindowInDays", 7)(prod.graph))) == 2
    assert [dict(one.properties) for one in prod.graph.of("aws:kms/key:Key")] == before
