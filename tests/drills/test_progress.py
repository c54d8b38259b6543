"""Long drills that are killed continue from their last complete step, with the same result."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drills.progress import Progress
from harness.stacks import ROOT
from harness.waiting import until

DRILLS = {"injections": "--count", "rotations": "--days"}
STEPS = 4


def started(drill: str, home: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"drills.{drill}", DRILLS[drill], str(STEPS), "--seed", "7", *options]
    environment = {**os.environ, "SANDBOX_HOME": str(home)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)


def result(process: subprocess.Popen[str]) -> str:
    """Return a drill's output without its duration."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return re.sub(r"\d+ s$", "", output, flags=re.MULTILINE)


@pytest.mark.long
@pytest.mark.parametrize("drill", DRILLS)
def test_killed_drill_continues_with_the_same_result(drill: str, tmp_path: Path) -> None:
    whole = result(started(drill, tmp_path / "whole"))
    home = tmp_path / "interrupted"
    folder = home / "drills"
    process = started(drill, home)
    until(lambda: list(folder.glob("*.progress")), "the first step is complete")
    (saved,) = folder.glob("*.progress")
    first = saved.read_bytes()
    until(lambda: saved.read_bytes() != first, "the second step is complete")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert saved.exists()
    assert result(started(drill, home)) == whole
    assert list(folder.iterdir()) == []


def test_state_is_kept_by_drill_and_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    Progress("injections", count=3, seed=1).save([1, 2])
    assert Progress("injections", count=3, seed=1).load() == [1, 2]
    assert Progress("injections", count=4, seed=1).load() is None
    assert Progress("rotations", count=3, seed=1).load() is None
    assert Progress("injections", count=3, seed=1, anew=True).load() is None
    assert Progress("injections", count=3, seed=1).load() is None


def test_state_of_other_code_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    progress = Progress("injections", count=3, seed=1)
    progress.save([1, 2])
    saved = progress.path.read_bytes()
    progress.path.write_bytes(b"0" * 64 + saved[64:])
    assert progress.load() is None
