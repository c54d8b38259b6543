"""What the benchmarks compare is comparable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import PROJECT, empty, platform, preview

IMPORTED = re.compile(r"^import time:.*\|\s+((?:pulumi|components|machines)\S*)$", re.MULTILINE)


def modules_loaded(project: Path, home: Path) -> set[str]:
    command = [sys.executable, "-m", "sandbox", "preview", "--stack", "staging", "--json", "--cwd", str(project)]
    environment = {**os.environ, "SANDBOX_HOME": str(home), "PYTHONPATH": str(PROJECT), "PYTHONPROFILEIMPORTTIME": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return set(IMPORTED.findall(ended.stderr))


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "platform").mkdir()
    (tmp_path / "empty").mkdir()
    return platform(tmp_path / "platform", "staging"), empty(tmp_path / "empty", "staging")


def test_the_empty_program_loads_what_the_platform_loads(projects: tuple[Path, Path], tmp_path: Path):
    whole, nothing = (modules_loaded(project, tmp_path / "home") for project in projects)
    assert "pulumi_aws.ec2.vpc" in whole
    assert whole - nothing == set()


def test_a_run_counts_what_was_planned(projects: tuple[Path, Path]):
    whole, nothing = (preview(project, "staging") for project in projects)
    assert nothing.resources == 1  # the stack itself
    assert whole.resources > 250
    assert whole.peak_mib > 50
    assert whole.seconds > 0
