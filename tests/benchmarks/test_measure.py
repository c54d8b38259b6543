"""The measurements of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure import create_project, preview
from benchmarks.preview import Measured


@pytest.mark.long
def test_a_preview_is_measured_with_its_resources(tmp_path: Path):
    (tmp_path / "platform").mkdir()
    run = preview(create_project(tmp_path / "platform", "staging"), "staging")
    assert run.resources > 250
    assert run.peak_mib > 50
    assert run.seconds > 0


def test_the_own_share_is_a_part_of_the_processor_time():
    assert Measured(seconds=9.0, own=1.0, others=3.0, resources=1).share == 0.25
