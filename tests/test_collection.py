"""What the tests are is decided by the code: not by the time, the process or the seed of its hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def collecting(file: Path, *before: str, seed: int) -> subprocess.Popen[str]:
    """Collect all tests in a process of its own; `before` are words before the command."""
    command = [*before, sys.executable, "-m", "pytest", "--collect-only", "-p", "tests.collected", "-p", "no:cacheprovider"]
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


def test_another_process_collects_the_same_tests_with_the_same_parameters_a_year_later(tmp_path: Path) -> None:
    now, later = tmp_path / "now.json", tmp_path / "later.json"
    # The date, the time of day and the second are all others.
    both = collecting(now, seed=1), collecting(later, "faketime", "+400 days 7 hours 31 minutes 17 seconds", seed=2)
    first, second = collected(now, both[0]), collected(later, both[1])
    assert len(first) > 2_000
    assert [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]] == []
    assert len(first) == len(second)
    ids = [name for name, _ in first]
    assert len(set(ids)) == len(ids)
