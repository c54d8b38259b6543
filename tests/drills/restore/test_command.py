"""The command line `python -m drills restore`: invalid input, the question, the list and the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drills import __main__ as drills
from drills.restore import command
from tests.drills.restore.fakes import GROUPS, POINT, FakeSite, results_of

FROM = ("--from", "replica")
LATEST = (*FROM, "--to", "latest")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> FakeSite:
    site = FakeSite()
    monkeypatch.setattr(command, "LiveSite", lambda _root, _stack: site)
    monkeypatch.setattr(command, "AwsSite", lambda _topology: site)
    return site


def run(*words: str) -> int:
    return drills.main(["restore", "--stack", "staging", *words])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--to", "latest", "--in-place"), "--from (missing) is no copy; copies: primary, replica, offsite"),
        (("--from", "vault", "--to", "latest", "--in-place"), "--from vault is no copy; copies: primary, replica"),
        ((*FROM, "--in-place"), "--to is missing: `latest`, a time, or a restore point; `--list`"),
        (LATEST, "`--in-place` replaces them and keeps their volumes as snapshots; `--into NAME`"),
        ((*LATEST, "--into", "Audit"), "Audit is not a name for a cluster: use up to 20 lower-case letters"),
        ((*LATEST, "--into", "a" * 21), "is not a name for a cluster"),
        ((*LATEST, "--into", "../x"), "is not a name for a cluster"),
        ((*LATEST, "--into", "in-place"), "in-place is not a name for a cluster"),
        ((*LATEST, "--into", "rehearsal"), "rehearsal is not a name for a cluster"),
        (("--remove", "a b"), "a b is not a name for a cluster"),
        ((*FROM, "--to", "9998-01-01T00:00:00Z", "--in-place"), "is in the future"),
        ((*FROM, "--to", "2026-11-24T02:30:00", "--in-place"), "has no time zone"),
        ((*LATEST, "--in-place", "--check", "/absent.sql"), "--check /absent.sql cannot be read: No such file"),
        ((*LATEST, "--in-place", "--check", "/"), "--check / cannot be read: Is a directory"),
        (("--list", "--from", "vault"), "vault is no copy; copies: primary, replica, offsite"),
    ],
)
def test_invalid_input_is_refused_before_any_machine_is_asked(
    site: FakeSite, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
):
    assert run(*words) == 2
    assert reason in capsys.readouterr().err
    assert site.log == []


def test_a_check_file_that_is_not_text_is_refused(site: FakeSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "check.sql").write_bytes(b"\xff\xfe")
    assert run(*LATEST, "--in-place", "--check", str(tmp_path / "check.sql")) == 2
    assert "is not text in UTF-8; write SQL queries there" in capsys.readouterr().err
    assert site.log == []


@pytest.mark.parametrize(
    "words",
    [("--stack", "nowhere", *LATEST, "--in-place"), (*LATEST, "--in-place", "--into", "audit"), ("--on", "moon")],
)
def test_other_invalid_input_is_refused(site: FakeSite, words: tuple[str, ...]):
    try:
        code = run(*words)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert site.log == []


@pytest.mark.usefixtures("site")
def test_invalid_input_is_json_too(capsys: pytest.CaptureFixture[str]):
    assert run(*FROM, "--in-place", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"].startswith("--to is missing")


def test_the_result_is_one_json_object(site: FakeSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    check = tmp_path / "check.sql"
    check.write_text("SELECT true;\nSELECT 1 = 1;\n")
    assert run(*LATEST, "--in-place", "--yes", "--json", "--check", str(check)) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["stack"], result["from"], result["to"], result["point"]) == ("staging", "replica", "latest", POINT)
    assert set(result["groups"]) == {"coordinator", "worker-1"}
    assert printed.err == ""
    assert len([entry for entry in site.log if "psql" in entry[-1]]) == 2
    assert all("default_transaction_read_only=on" in entry[-1] for entry in site.log if "psql" in entry[-1])


def answering(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("builtins.input", lambda _question: answer)


@pytest.mark.parametrize(
    ("where", "answer", "agreed"),
    [
        (("--in-place",), "staging", True),
        (("--in-place",), "y", False),
        (("--in-place",), "", False),
        (("--into", "audit"), "y", True),
        (("--into", "audit"), "", False),
    ],
)
def test_nothing_is_changed_without_the_operators_word(
    site: FakeSite, monkeypatch: pytest.MonkeyPatch, where: tuple[str, ...], answer: str, agreed: bool
):
    answering(monkeypatch, answer)
    assert run(*LATEST, *where) == (0 if agreed else 1)
    assert ("recover" in site.done) is agreed
    assert ("doors shut" in site.done) is (agreed and where == ("--in-place",))
    assert not site.reading


@pytest.mark.usefixtures("site")
def test_the_operator_sees_what_is_restored_before_the_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    answering(monkeypatch, "no")
    run(*LATEST, "--in-place")
    printed = capsys.readouterr().out
    assert "coordinator-0-run" in printed
    assert "worker-1-0-run" in printed
    assert f"All groups are restored from replica to {POINT}." in printed


def test_the_summary_names_transactions_of_other_programs(
    site: FakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def results(member: str, step: str, given: Any) -> Any:
        found = results_of(member, step, given)
        return {**found, "prepared": [{"gid": "other", "database": "backbuild"}]} if step == "recover" else found

    monkeypatch.setattr(site, "_result", results)
    assert run(*LATEST, "--in-place", "--yes") == 0
    assert "worker-1: the prepared transaction other is not Citus's; end it yourself" in capsys.readouterr().out


def test_old_backups_without_a_common_point_are_restored_only_if_that_is_asked_for(
    site: FakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def results(member: str, step: str, given: Any) -> Any:
        found = results_of(member, step, given)
        return {**found, "class": "daily", "points": {}} if step == "fetch" else found

    monkeypatch.setattr(site, "_result", results)
    old = (*FROM, "--to", "2026-01-01T00:00:00Z", "--in-place", "--yes")
    assert run(*old) == 1
    assert "have no common restore point" in capsys.readouterr().err
    assert "recover" not in site.done
    assert run(*old, "--apart") == 0
    assert "Each group is restored by itself" in capsys.readouterr().out


def test_a_damaged_copy_is_refused_with_the_complete_ones(site: FakeSite, capsys: pytest.CaptureFixture[str]):
    listed = site.listed
    site.listed = lambda member, copy: {**listed(member, copy), "problem": "a gap" if copy == "offsite" else None}
    site.failures = {("worker-1-0", "fetch"): "hourly/x in replica is damaged; restore from another copy"}
    assert run(*LATEST, "--in-place", "--yes") == 1
    error = capsys.readouterr().err
    assert "worker-1-0: hourly/x in replica is damaged" in error
    assert "copies whose manifests are complete: primary\n" in error
    assert not site.reading


def test_the_list_has_every_copy_and_its_problem(site: FakeSite, capsys: pytest.CaptureFixture[str]):
    assert run("--list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert {name: [one["group"] for one in found] for name, found in listed.items()} == {
        name: ["coordinator", "worker-1"] for name in ("primary", "replica", "offsite")
    }
    assert not site.reading
    original = site.listed
    site.listed = lambda member, copy: {**original(member, copy), "problem": f"a gap in {copy}"}
    assert run("--list", *FROM) == 1
    printed = capsys.readouterr().out
    assert "a gap in replica" in printed
    assert "primary" not in printed


def test_a_restore_is_removed(site: FakeSite, capsys: pytest.CaptureFixture[str]):
    assert run(*LATEST, "--into", "audit", "--yes") == 0
    assert run("--remove", "audit") == 0
    assert "ended the restore audit on coordinator-1, worker-1-1" in capsys.readouterr().out
    assert run("--remove", "audit") == 2
    assert {machine.name for machine in site.machines.values()} == {""}
    assert len(GROUPS) == 4


def test_in_place_is_removed_by_its_name(site: FakeSite):
    site.failures = {("worker-1-0", "fetch"): "no space"}
    assert run(*LATEST, "--in-place", "--yes") == 1
    assert run("--remove", "in-place") == 0
