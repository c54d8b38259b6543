"""The commands for machines, where no machine can run or none exists."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.cli import main
from sandbox.machines import prerequisites

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    return tmp_path


def run(*words: str) -> int:
    command, *rest = words
    return main([command, "--stack", "staging", "--cwd", str(ROOT), *rest])


def test_up_live_without_root_says_so_in_one_line_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("up", "--live") == 2
    assert capsys.readouterr().err == f"error: {prerequisites.missing()}\n"
    assert list(home.iterdir()) == []


def test_machines_follow_the_sandboxs_engine_only(capsys: pytest.CaptureFixture[str]):
    assert run("up", "--live", "--engine", "pulumi") == 2
    assert "leave out --engine pulumi" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("logs", "gateway-0"),
        ("ssh", "gateway-0"),
        ("kill", "gateway-0"),
        ("cut", "gateway-0"),
        ("heal",),
        ("watch",),
    ],
)
def test_commands_for_machines_need_a_live_stack(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(prerequisites, "missing", lambda: None)
    assert run(*words) == 2
    assert capsys.readouterr().err == ("error: staging has no machines; start them with `up --stack staging --live`\n")


def test_an_unknown_machine_is_named_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(prerequisites, "missing", lambda: None)
    (home / "staging/live").mkdir(parents=True)
    assert run("kill", "coordinator-9") == 2
    assert capsys.readouterr().err == "error: staging has no machine coordinator-9; it has none\n"
    for command in ("cut", "heal"):
        assert run(command, "zone-9") == 2
        assert capsys.readouterr().err == "error: there is no zone or machine zone-9; zones: none; machines: none\n"


@pytest.mark.parametrize(
    ("words", "code", "message"), [(("destroy",), 0, ""), (("up", "--live"), 2, "error: --live needs ")]
)
def test_the_installation_without_test_packages_suffices(words: tuple[str, ...], code: int, message: str):
    absent = dict.fromkeys(("boto3", "botocore", "moto", "werkzeug"))
    program = (
        f"import sys; sys.modules.update({absent}); from sandbox.cli import main; "
        f"sys.exit(main([*{words}, '--stack', 'staging']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.startswith(message)) == (code, True), done.stderr
