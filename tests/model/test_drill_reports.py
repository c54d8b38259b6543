"""What the program reads from filed reports: the newest of each scenario, and the last verified restore."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drills.reports.keys import Signer
from drills.reports.ledger import file_report
from model.drill_reports import SIGNERS, Reports, reports_in, restore_shown, summary

SIGNER = Signer("ann", Ed25519PrivateKey.generate())


def report(scenario: str, **changes: Any) -> dict[str, Any]:
    """Return a report of a scenario, by default a kept one."""
    verdict = changes.get("verdict", "kept")
    return {
        "checks": [] if verdict == "stopped" else [{"text": "it holds", "holds": verdict == "kept", "found": "seen"}],
        "stopped": "step 1" if verdict == "stopped" else None,
        "scenario": scenario,
        "title": f"{scenario} <lost>",
        "begun": "2026-11-20T23:59:00+00:00",
        "ended": "2026-11-21T00:05:00+00:00",
        "verdict": "kept",
        "stack": "staging",
        "on": "live",
        "promises": ["REC-3"],
        "measured": {"recovery": 205.2, "loss": 19.3, "lost": 3.0},
        "restored": None,
        **changes,
    }


def filed(folder: Path, *reports: dict[str, Any]) -> Reports:
    """File the reports, and read them back."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIGNERS).write_text(f'"ann" = "{SIGNER.public}"\n')
    for one in reports:
        file_report(folder, one, SIGNER)
    return reports_in(folder)


RESTORED = {"from": "replica", "groups": {}, "point": "backbuild-20261120T235830Z"}

BESIDE = RESTORED | {"from": "primary", "beside": {"coordinator-1": {}}}


def test_a_folder_that_does_not_exist_has_no_reports(tmp_path: Path) -> None:
    found = reports_in(tmp_path / "none")
    assert found == Reports()
    assert summary(found, 92) == {"maxAgeDays": 92, "problems": [], "newest": {}, "lastRestore": None}


def test_the_newest_report_of_a_scenario_counts_even_if_it_was_stopped(tmp_path: Path) -> None:
    found = filed(tmp_path, report("one"), report("two"), report("one", verdict="stopped", measured={}))
    newest: Any = summary(found, 30)["newest"]
    assert {name: (one["report"], one["verdict"]) for name, one in newest.items()} == {
        "one": ("0003-2026-11-20-one", "stopped"),
        "two": ("0002-2026-11-20-two", "kept"),
    }
    assert newest["two"]["sha256"] == json.loads(json.loads(found.filed[2].file.read_text())["signed"])["previous"]
    assert newest["two"]["date"] == "2026-11-20"


def test_the_last_restore_is_the_newest_kept_report_that_restored(tmp_path: Path) -> None:
    found = filed(
        tmp_path,
        report("older", restored=BESIDE),
        report("newer", restored=RESTORED),
        report("missed", restored=RESTORED, verdict="missed"),
        report("nothing-restored"),
    )
    shown = restore_shown(found)
    assert shown is not None
    assert {name: shown[name] for name in ("at", "from", "beside", "recoverySeconds", "lossSeconds", "sandbox")} == {
        "at": "2026-11-21T00:05:00+00:00",
        "from": "replica",
        "beside": False,
        "recoverySeconds": 205.2,
        "lossSeconds": 19.3,
        "sandbox": True,
    }


def test_a_restore_on_a_real_stack_is_no_sandbox_and_without_a_lost_commit_loses_nothing(tmp_path: Path) -> None:
    measured = {"recovery": None, "loss": 4.0, "lost": 0.0}
    shown = restore_shown(filed(tmp_path, report("one", on="aws", restored=RESTORED, measured=measured)))
    assert shown is not None
    assert (shown["sandbox"], shown["recoverySeconds"], shown["lossSeconds"]) == (False, None, 0)


def test_no_restore_is_shown_if_a_report_was_edited(tmp_path: Path) -> None:
    found = filed(tmp_path, report("one", restored=RESTORED), report("two"))
    assert restore_shown(found) is not None
    edited = found.filed[1].file
    edited.write_text(edited.read_text().replace("205.2", "5.2"))
    again = reports_in(tmp_path)
    assert restore_shown(again) is None
    (problem,) = again.problems
    assert problem.startswith(edited.name)
    assert summary(again, 92)["problems"] == [problem]


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        '{"signed": "[]", "signer": "ann", "signature": ""}',
        '{"signed": "{}", "signer": "ann"}',
        json.dumps({"signed": json.dumps({"number": 1, "previous": "", "report": 3}), "signer": "a", "signature": ""}),
        json.dumps({"signed": json.dumps({"number": 1, "previous": "", "report": {}}), "signer": "a", "signature": ""}),
    ],
)
def test_a_malformed_report_is_a_problem_with_its_file(tmp_path: Path, document: str) -> None:
    (tmp_path / "0001-2026-11-20-one.json").write_text(document)
    found = reports_in(tmp_path)
    assert found.filed == ()
    assert [problem.split(" ")[0] for problem in found.problems] == ["0001-2026-11-20-one.json"]
    assert "is not a report" in found.problems[0]


def test_the_committed_reports_are_intact() -> None:
    found = reports_in(Path(__file__).parents[2] / "docs/drills")
    assert found.problems == ()
    assert found.filed


def test_a_restore_beside_loses_no_data_of_the_running_database_and_names_its_own_point(tmp_path: Path) -> None:
    found = filed(tmp_path, report("one", restored=BESIDE, measured={"recovery": 89.1, "loss": 0.0, "lost": 0.0}))
    shown = restore_shown(found)
    assert shown is not None
    assert (shown["beside"], shown["lossSeconds"], shown["point"]) == (True, None, "2026-11-20T23:58:30+00:00")
    assert found.filed[0].measured == "89.1 s, the data until 2026-11-20 23:58:30 UTC"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"checks": [{"text": "it holds", "holds": False, "found": ""}]},
            "the verdict is kept, and its checks say missed",
        ),
        ({"checks": []}, "the verdict is kept, and its checks say stopped"),
        ({"stopped": "step 2"}, "the verdict is kept, and its checks say stopped"),
        ({"begun": "2026-11-21T00:06:00+00:00"}, "it ended before it began"),
        ({"begun": "2026-09-01T00:00:00+00:00", "ended": "2026-09-01T01:00:00+00:00"}, "it ended long before 0001-"),
    ],
)
def test_a_report_that_contradicts_itself_or_the_one_before_is_a_problem(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    found = filed(tmp_path, report("one"), report("two", **changes))
    (problem,) = found.problems
    assert reason in problem


def test_drills_of_two_stacks_may_be_filed_in_any_order(tmp_path: Path) -> None:
    assert filed(tmp_path, report("one"), report("two", ended="2026-11-20T23:59:30+00:00")).problems == ()
