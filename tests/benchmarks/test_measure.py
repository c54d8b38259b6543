"""What the benchmarks measure is what they say."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import platform, preview
from benchmarks.preview import Measured


def test_a_run_counts_what_was_planned(tmp_path: Path):
    (tmp_path / "platform").mkdir()
    whole = preview(platform(tmp_path / "platform", "staging"), "staging")
    assert whole.resources > 250
    assert whole.peak_mib > 50
    assert whole.seconds > 0


def test_the_own_share_is_of_the_processor_time():
    assert Measured(seconds=9.0, own=1.0, others=3.0, resources=1).share == 0.25
