"""`promises.toml`: every promise is declared and proven or has a reason, and each proof has its declared kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console.errors import InputError
from policies import promises
from policies.packs import all_rules
from policies.promises import Kind, Promise

from .started import starts_programs

ROOT = Path(__file__).parents[2]
PROMISED = [
    f"{kind}-{number}"
    for kind, count in (("SLA", 3), ("STA", 3), ("RED", 5), ("BAK", 6), ("REC", 5), ("MNT", 3), ("CON", 1))
    for number in range(1, count + 1)
]
ALL = list(promises.load().values())


def test_every_promise_is_listed() -> None:
    assert [promise.id for promise in ALL] == PROMISED


# Promises about the platform's behaviour in a failure or a change. No value in a plan can prove them.
BEHAVIOUR = {
    *("RED-1", "RED-2", "RED-3", "BAK-1", "BAK-2", "BAK-4"),
    *("REC-1", "REC-2", "REC-3", "REC-4", "REC-5", "MNT-1"),
}


def test_promises_about_behaviour_are_marked() -> None:
    assert {promise.id for promise in ALL if promise.behaviour} >= BEHAVIOUR


@pytest.mark.parametrize("promise", ALL, ids=lambda promise: promise.id)
def test_named_files_exist(promise: Promise) -> None:
    promises.check_files([promise])
    for reason in (promise.not_declared, promise.not_proven):
        assert reason is None or len(reason) > 30, "the reason is too short"


@pytest.mark.parametrize("promise", ALL, ids=lambda promise: promise.id)
def test_a_proof_has_the_declared_kind(promise: Promise) -> None:
    for kind, paths in promise.proven_by.by_kind.items():
        for path in paths:
            if kind is not Kind.DRILL:  # a drill's report is no test; the test above checks that it exists
                assert starts_programs(ROOT / path) == (kind is Kind.PROCESSES), f"{kind}: {path}"


@pytest.mark.parametrize(
    ("file", "starts"),
    [
        ("tests/machines/test_real_programs.py", False),  # `haproxy -c`, `patroni --validate-config`: checkers
        ("tests/machines/test_database_files.py", False),  # its `machine` is a parameter, not the fixture
        ("tests/components/test_changes.py", False),  # the sandbox's plan
        ("tests/workers/test_backup_memory.py", True),  # workerd, for tests in a class
        ("tests/workers/test_status_page.py", True),  # workerd and Chromium
        ("tests/workers/test_backup_restore.py", True),  # PostgreSQL and pgBackRest, started by a helper of a helper
        ("tests/machines/test_manifest.py", True),  # the machines' program that signs manifests
    ],
)
def test_a_test_that_starts_programs_is_recognised(file: str, starts: bool) -> None:
    assert starts_programs(ROOT / file) is starts


def test_rules_enforce_every_promise_and_no_unknown_one() -> None:
    assert {promise for rule in all_rules() for promise in rule.promises} == set(PROMISED)


WHOLE = """\
[X]
promise = "a"
figure = "b"
behaviour = true
declared_by = ["components/citus.py"]
proven_by.processes = ["tests/status/test_uptime.py"]
"""
PROOF = 'proven_by.processes = ["tests/status/test_uptime.py"]\n'


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (WHOLE, "X = 1", r"X: 1; write a table, \[X\]"),
        (WHOLE, "[X", r"1: .*; correct the TOML"),
        ('figure = "b"\n', "", r"X\.figure: is missing"),
        ('figure = "b"', "figure = 3", r"X\.figure: 3; a text is expected"),
        ('figure = "b"', 'figure = "\u200b"', r"X\.figure: contains U\+200B"),
        ("behaviour = true\n", "", r"X\.behaviour: is missing"),
        ("behaviour = true", 'behaviour = "yes"', r"X\.behaviour: 'yes'; true or false is expected"),
        ("declared_by", "declared", r"X\.declared: no such key; allowed are promise, figure, behaviour, "),
        ('declared_by = ["components/citus.py"]\n', "", "X: give either declared_by or the reason not_declared"),
        (
            "behaviour",
            "not_declared = 'x'\nbehaviour",
            "X: give either declared_by or the reason not_declared, and not",
        ),
        (PROOF, "", "X: give proven_by, or the reason not_proven"),
        (
            "processes",
            "plan",
            "X: a plan alone does not prove behaviour; add a proof by processes or drill, or say in ",
        ),
        ("processes", "lint", r"X\.proven_by\.lint: no such key; allowed are drill, processes, plan"),
        (".processes", "", r"X\.proven_by: a proof needs its kind; write one of \{drill = "),
        (PROOF, 'proven_by = "x"', r"X\.proven_by: a proof needs its kind"),
        ('["tests/status/test_uptime.py"]', "[3]", r"X\.proven_by\.processes\[0\]: 3; a text is expected"),
        ('["tests/status/test_uptime.py"]', '"tests/status/test_uptime.py"', r"X\.proven_by\.processes: 'tests/"),
        (
            "tests/status/test_uptime.py",
            "docs/uptime.md",
            r"X\.proven_by\.processes\[0\]: 'docs/uptime\.md' is not below",
        ),
        ("tests/status/", "tests/../status/", r"X\.proven_by\.processes\[0\]: .* is not below tests/"),
        ("processes", "drill", r"X\.proven_by\.drill\[0\]: 'tests/status/test_uptime\.py' is not below docs/drills/"),
    ],
)
def test_an_invalid_promise_is_refused_with_its_key(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in WHOLE
    file = tmp_path / "promises.toml"
    file.write_text(WHOLE.replace(before, after, 1))
    with pytest.raises(InputError, match=rf"promises\.toml:(?: |(?=\d)){message}"):
        promises.load(file)


def test_all_problems_of_a_promise_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "promises.toml").write_text(WHOLE.replace('"b"', "3").replace("processes", "lint"))
    with pytest.raises(InputError) as caught:
        promises.load(tmp_path / "promises.toml")
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["X.proven_by.lint", "X.figure"]


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("tests/status/test_uptime.py", "tests/status/test_none.py", "proven_by.processes"),
        ("tests/status/test_uptime.py", "tests/status/", "proven_by.processes"),
        (PROOF, 'proven_by.drill = ["docs/drills/2026-11-29.md"]\n', "proven_by.drill"),
        ("components/citus.py", "components/none.py", "declared_by"),
    ],
)
def test_a_missing_file_is_an_error_with_its_key(tmp_path: Path, before: str, after: str, key: str) -> None:
    file = tmp_path / "promises.toml"
    file.write_text(WHOLE)
    promises.check_files(promises.load(file).values())
    other = tmp_path / "other.toml"
    other.write_text(WHOLE.replace(before, after))
    with pytest.raises(InputError, match=rf"promises\.toml: X\.{key}: there is no file \S+; correct the path"):
        promises.check_files(promises.load(other).values())


@pytest.mark.parametrize(
    ("behaviour", "proof", "reason", "proven"),
    [
        (True, "proven_by.processes", "", True),
        (True, "proven_by.processes", "the rest is missing", False),
        (True, "proven_by.plan", "only the plan was checked", False),
        (False, "proven_by.plan", "", True),
        (False, "proven_by.plan", "half of it is missing", False),
    ],
)
def test_a_promise_without_not_proven_is_proven(
    tmp_path: Path, behaviour: bool, proof: str, reason: str, proven: bool
) -> None:
    text = WHOLE.replace("behaviour = true", f"behaviour = {str(behaviour).lower()}")
    text = text.replace("proven_by.processes", proof) + (f'not_proven = "{reason}"\n' if reason else "")
    (tmp_path / "promises.toml").write_text(text)
    assert promises.load(tmp_path / "promises.toml")["X"].proven is proven


def test_the_documents_list_the_promises_that_are_not_yet_proven() -> None:
    unproven = [promise for promise in ALL if not promise.proven]
    readme = (ROOT / "README.md").read_text()
    counted = f"{len(unproven)} of {len(ALL)} are"
    assert f"{counted} [not yet proven]" in readme
    assert f"{len(ALL) - len(unproven)} promises are proven" in readme
    assert f"{counted}\nnot yet proven: {', '.join(promise.id for promise in unproven)}." in readme
    document = (ROOT / "docs" / "policies.md").read_text()
    assert f"These are {len(unproven)} of the {len(ALL)} promises:" in document
    rows = re.findall(r"^\| ([A-Z]{3}-\d) \| (.+) \| (.+) \|$", document, re.MULTILINE)
    assert rows == [(one.id, ", ".join(one.proven_by.by_kind) or "none", one.not_proven) for one in unproven]


def test_a_figure_that_rules_use_must_be_a_number() -> None:
    assert promises.number("REC-4", "seconds") == 3600
    with pytest.raises(InputError, match=r"REC-4.figures.minutes: a number is expected"):
        promises.number("REC-4", "minutes")
