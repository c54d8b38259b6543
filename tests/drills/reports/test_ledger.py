"""Filed reports: an edited, removed or inserted one is noticed."""

from __future__ import annotations

import json
import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from console.errors import InputError
from drills.__main__ import main
from drills.reports import keys, ledger
from drills.reports.keys import Signer
from drills.reports.page import page
from drills.running.report import Check, Report
from drills.running.timeline import Event
from model.drill_reports import newest, read

EVENTS = [
    Event(0.0, "2026-11-29T20:00:00.000+00:00", "begin", "clients begin"),
    Event(3.2, "2026-11-29T20:00:03.200+00:00", "fault", "coordinator-0: power lost <at once>"),
    Event(25.5, "2026-11-29T20:00:25.500+00:00", "failover", "clients of coordinator are served"),
    Event(60.0, "2026-11-29T20:01:00.000+00:00", "end", "the clients have stopped"),
]


def report(scenario: str = "coordinator-leader-lost", verdict: str = "kept") -> dict[str, Any]:
    made = Report(
        scenario=scenario,
        title="Coordinator's leader lost",
        stack="staging",
        on="live",
        begun="2026-11-29T20:00:00+00:00",
        ended="2026-11-29T20:01:00+00:00",
        commit="a" * 40,
        topology="b" * 64,
        promises=("REC-2",),
        limits={"recovery": 30.0, "loss": 0.0},
        measured={"recovery": 22.3, "loss": 0.0, "commits": 1234.0, "lost": 0.0},
        checks=[Check("no acknowledged commit is lost", True, "0 of 1234 lost")],
        events=EVENTS,
        verdict=verdict,  # type: ignore[arg-type]
    )
    return json.loads(json.dumps(made.as_json()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder of reports, with three of them, beside the page that lists them."""
    root = tmp_path / "docs/drills"
    root.mkdir(parents=True)
    (tmp_path / "docs/drills.md").write_text((Path(__file__).parents[3] / "docs/drills.md").read_text())
    signer = Signer("ann", Ed25519PrivateKey.generate())
    (root / keys.SIGNERS).write_text(f'"ann" = "{signer.public}"\n')
    for scenario in ("one", "two", "three"):
        ledger.file_report(root, report(scenario), signer)
    return root


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def test_untouched_reports_are_intact(folder: Path) -> None:
    filed, problems = read(folder)
    assert problems == []
    assert [one.report["scenario"] for one in filed] == ["one", "two", "three"]
    assert newest(filed)["two"].number == 2


def test_an_edited_report_is_noticed(folder: Path) -> None:
    edited = files(folder)[1]
    edited.write_text(edited.read_text().replace("22.3", "2.3"))
    _, problems = read(folder)
    assert any(edited.name in problem and "edited" in problem for problem in problems)


def test_a_report_that_its_signer_signed_again_is_noticed_by_the_next_one(folder: Path) -> None:
    signer = Signer("ann", Ed25519PrivateKey.generate())
    (folder / keys.SIGNERS).write_text(f'"ann" = "{signer.public}"\n')
    document = json.loads(files(folder)[1].read_text())
    document["signature"] = signer.sign(document["signed"].encode())
    files(folder)[1].write_text(json.dumps(document))
    _, problems = read(folder)
    assert any(problem.startswith(files(folder)[2].name) and "does not follow" in problem for problem in problems)


@pytest.mark.parametrize("removed", [0, 1])
def test_a_removed_report_is_noticed(folder: Path, removed: int) -> None:
    files(folder)[removed].unlink()
    assert any("does not follow" in problem for problem in read(folder)[1])


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("{\n", '{\n "verdict": "missed",\n', 1),
        lambda text: text.replace("{\n", '{\n "signed": "{}",\n', 1),
        lambda text: re.sub(r'("signature": ")', r"\1!!", text),
        lambda text: text.replace("\n ", "\n  "),
    ],
    ids=["a line more", "other line ends", "a key more", "a key twice", "a signature with other letters", "indented"],
)
def test_every_byte_of_the_newest_report_counts(folder: Path, edited: Callable[[str], str]) -> None:
    newest_file = files(folder)[-1]
    with newest_file.open("r+", newline="") as file:
        text = edited(file.read())
        file.seek(0)
        file.write(text)
    _, problems = read(folder)
    assert any(newest_file.name in problem for problem in problems)


def test_a_page_that_does_not_show_its_report_is_noticed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder.parents[1]
    arguments = ["report", "--cwd", str(root)]
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    shown = files(folder)[2].with_suffix(".html")
    text = shown.read_text()
    for change, message in (
        (lambda: shown.write_text(text.replace("22.3 s", "2.3 s")), "was edited"),
        (shown.unlink, "is missing"),
        (lambda: shown.with_name("0004-2026-11-29-four.html").write_text(text), "is not the page of a report"),
        (lambda: shown.with_name("forged.html").write_text(text), "forged.html is no report and no page"),
        (lambda: (root / "docs/drills.md").write_text((root / "docs/drills.md").read_text() + "\n- "), ""),
    ):
        change()
        code = main([*arguments, "--check"])
        assert code == (1 if message else 0)
        assert message in capsys.readouterr().err
        for stranger in ("0004-2026-11-29-four.html", "forged.html"):
            shown.with_name(stranger).unlink(missing_ok=True)
        assert main(arguments) == 0


def test_a_folder_without_reports_is_not_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--check", "--cwd", str(tmp_path)]) == 2
    assert "give the project's folder with --cwd" in capsys.readouterr().err


def test_reports_that_are_filed_at_the_same_time_follow_each_other(folder: Path) -> None:
    key = Ed25519PrivateKey.generate()
    signer = Signer("bob", key)
    with (folder / keys.SIGNERS).open("a") as file:
        file.write(f'"bob" = "{signer.public}"\n')
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ledger.file_report(folder, report(f"more-{number}"), signer), range(8)))
    filed, problems = read(folder)
    assert problems == []
    assert [one.number for one in filed] == list(range(1, 12))


@pytest.mark.parametrize("content", ["not base64!", "YQ=="], ids=["no base64", "too short"])
def test_a_private_key_that_is_not_valid_is_refused(folder: Path, content: str) -> None:
    (folder.parents[1] / keys.PRIVATE).write_text(content)
    with pytest.raises(InputError, match="is not a key in base64"):
        keys.signer_of(folder.parents[1], folder)


def test_the_line_of_a_key_is_toml_for_every_name(tmp_path: Path) -> None:
    name = 'Ann "x" B\\'
    assert list(tomllib.loads(keys.create(tmp_path, name))) == [name]
    with pytest.raises(InputError, match="is not a folder"):
        keys.create(tmp_path / "none", name)


def test_a_renamed_report_is_noticed(folder: Path) -> None:
    files(folder)[1].rename(folder / "0002-2027-11-29-<b>three.json")
    (problem,) = read(folder)[1]
    assert problem == "0002-2027-11-29-<b>three.json was renamed: give it its name 0002-2026-11-29-two.json again"


def test_an_unreadable_report_is_noticed(folder: Path) -> None:
    files(folder)[0].write_text("{}")
    assert any("is not a report" in problem for problem in read(folder)[1])


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[" * 200_000,
        rb'{"signed": "\ud800", "signer": "ann", "signature": ""}',
        json.dumps({"signed": "[" * 200_000, "signer": "ann", "signature": ""}).encode(),
        None,
    ],
    ids=["not UTF-8", "deep", "half a character", "deep inside", "a folder"],
)
def test_a_file_that_is_no_report_is_noticed_and_no_traceback(folder: Path, content: bytes | None) -> None:
    last = folder / "0004-2026-11-29-four.json"
    if content is None:
        last.mkdir()
    else:
        last.write_bytes(content)
    filed, problems = read(folder)
    assert len(filed) == 3
    assert [problem.partition(":")[0] for problem in problems] == [f"{last.name} is not a report"]


@pytest.mark.parametrize("content", [b"\xff", b"ann =", b"ann = 1"], ids=["not UTF-8", "not TOML", "a number"])
def test_a_list_of_signers_that_is_not_valid_is_a_problem(folder: Path, content: bytes) -> None:
    (folder / keys.SIGNERS).write_bytes(content)
    filed, (problem,) = read(folder)
    assert filed == []
    assert problem.startswith("signers.toml is not valid: ")


@pytest.mark.parametrize("key", ["", "not base64", "AAAA"])
def test_a_signer_without_a_key_signs_nothing(folder: Path, key: str) -> None:
    (folder / keys.SIGNERS).write_text(f'"ann" = "{key}"\n')
    assert len([one for one in read(folder)[1] if "is not signed by ann" in one]) == 3


def test_nothing_is_filed_after_an_edited_report(folder: Path) -> None:
    edited = files(folder)[0]
    edited.write_text(edited.read_text().replace("22.3", "2.3"))
    with pytest.raises(InputError, match=edited.name):
        ledger.file_report(folder, report(), Signer("ann", Ed25519PrivateKey.generate()))


def test_the_command_refuses_edited_reports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder.parents[1]
    assert main(["report", "--cwd", str(root)]) == 0
    assert main(["report", "--check", "--cwd", str(root)]) == 0
    files(folder)[2].write_text(files(folder)[2].read_text().replace("kept", "KEPT"))
    assert main(["report", "--check", "--cwd", str(root)]) == 1
    assert files(folder)[2].name in capsys.readouterr().err


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    line = keys.create(tmp_path, "ann")
    file = tmp_path / keys.PRIVATE
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="exists"):
        keys.create(tmp_path, "ann")
    reports = tmp_path / "reports"
    reports.mkdir()
    with pytest.raises(InputError, match=r"is not in .*signers\.toml"):
        keys.signer_of(tmp_path, reports)
    (reports / keys.SIGNERS).write_text(line)
    assert keys.signer_of(tmp_path, reports).name == "ann"


def test_a_page_shows_the_longest_wait_and_the_fault_that_counts(folder: Path) -> None:
    old, *_ = read(folder)[0]
    measured = {**old.report["measured"], "stall": 41.5, "fault": 30.0}
    new = replace(old, report={**old.report, "measured": measured})
    assert "longest wait of clients" not in page(old)
    assert "<td>41.5 s</td>" in page(new)
    band = re.compile(r'<rect class="outage" x="([0-9.]+)"')
    (before,), (after,) = (map(float, band.findall(page(one))) for one in (old, new))
    assert after > before


def test_a_page_shows_the_timeline_and_the_promises(folder: Path) -> None:
    text = page(read(folder)[0][0])
    (picture,) = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    shown = ET.fromstring(picture)
    assert len([one for one in shown.iter() if one.tag == "circle"]) == len(EVENTS)
    assert "power lost &lt;at once&gt;" in picture
    assert "22.3 s" in text
    assert "REC-2: 4 h" in text
    assert "Not exercised" in text
