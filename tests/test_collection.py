"""The collected tests depend only on the code, not on the time, the process or the hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.collected import COLLECTED

ROOT = Path(__file__).parents[1]
FILES = list((ROOT / "tests").rglob("test_*.py"))


def collecting(file: Path, *before: str, seed: int) -> subprocess.Popen[str]:
    """Start a process that collects all tests. `before` is a prefix of its command, such as faketime."""
    command = [
        *before,
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-p",
        "tests.collected",
        "-p",
        "no:cacheprovider",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | {"COLLECTED": str(file), "PYTHONHASHSEED": str(seed)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def collected(file: Path, process: subprocess.Popen[str]) -> list[Any]:
    printed, _ = process.communicate()
    assert process.returncode == 0, printed[-2_000:]
    return json.loads(file.read_text())


@pytest.mark.long
def test_another_process_collects_the_same_tests_with_the_same_parameters_a_year_later(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Another date, hour, minute and second.
    another = collecting(tmp_path / "later.json", "faketime", "+400 days 7 hours 31 minutes 17 seconds", seed=2)
    first = request.session.stash[COLLECTED]
    if {name.partition("::")[0] for name, _ in first} < {str(file.relative_to(ROOT)) for file in FILES}:
        # This session has only some of the tests.
        first = collected(tmp_path / "now.json", collecting(tmp_path / "now.json", seed=1))
    second = collected(tmp_path / "later.json", another)
    assert len(first) > 2_000
    assert [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]] == []
    assert len(first) == len(second)
    ids = [name for name, _ in first]
    assert len(set(ids)) == len(ids)
