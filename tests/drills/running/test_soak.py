"""The soak's verdicts: downtime on the page beside the clients', and memory that grows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.running.memory import AGE, age_of, memory_of
from drills.running.soak import SHIFT, compared, ends, grown, judged, outages, overlooked, skipped, tolerance


def test_short_pauses_are_no_outages():
    assert outages([0, 1, 2.5, 6, 7, 100]) == [(2.5, 6), (7, 100)]


@pytest.mark.parametrize(
    ("pause", "minutes", "agrees"),
    [((130, 155), [], True), ((130, 155), [3], True), ((130, 155), [3, 4], False), ((125, 300), [], False)],
)
def test_an_outage_is_compared_with_the_minutes_on_the_page(
    pause: tuple[float, float], minutes: list[int], agrees: bool
):
    one, two = compared([("first", 0), ("second", 120)], 600, [pause], minutes)
    assert (one.outage, one.minutes, one.agrees) == (0, 0, True)
    assert two.outage == pause[1] - pause[0]
    assert (two.minutes, two.agrees) == (len(minutes), agrees)


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=8, unique=True).map(sorted),
    st.lists(st.integers(0, 60_000), max_size=12, unique=True).map(sorted),
)
def test_no_outage_is_lost_or_counted_twice(begins: list[int], edges: list[int]):
    pauses = list(zip(edges[::2], edges[1::2], strict=False))
    faults = [(str(begin), float(begin * 60)) for begin in begins]
    found = compared(faults, 61_000, pauses, range(1100))
    first = begins[0] * 60
    assert sum(one.outage for one in found) == sum(max(0, after - max(before, first)) for before, after in pauses)
    assert sum(one.minutes for one in found) == len([one for one in range(1100) if first <= one * 60 < 61_000])


def test_a_minute_that_the_page_counts_as_up_during_an_outage_is_named():
    long, short = (100.0, 200.0), (1000.0, 1030.0)
    assert overlooked([long, short], range(20)) == [2, 3]
    assert overlooked([long, short], [1, 4, 17]) == [], "their samples may have been taken before or after the outage"


def test_minutes_without_a_sample_are_counted():
    assert skipped(50, 310, [1, 2, 4]) == (1, 4)
    assert skipped(60, 300, []) == (4, 4)
    assert skipped(60, 300, range(10)) == (0, 4)


def test_too_few_samples_are_not_judged():
    assert judged({"long": [1] * 9, "short": [1] * 8}) == ["long"]
    assert judged({}) == []


def test_a_process_that_grows_is_named():
    steady, leaking = [50_000, 49_000, 51_000] * 5, [50_000 + 10_000 * number for number in range(15)]
    restarted = [60_000] * 15 + [10_000 + 10_000 * number for number in range(5)] + [60_000] * 25
    assert grown({"restarted": restarted}) == {}
    assert list(grown({"steady": steady, "leaking": leaking, "short": leaking[:8]})) == ["leaking"]


def test_the_memory_of_a_program_is_counted(tmp_path: Path):
    code = "held = bytearray(64 << 20); held[::4096] = b'1' * (len(held) // 4096); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (tmp_path / "inner").mkdir()
        (tmp_path / "inner/cgroup.procs").write_text(f"{process.pid}\n999999999\n")
        group = cast(Any, SimpleNamespace(path=tmp_path))
        sizes = memory_of(group, least_age=0)
        assert memory_of(group) == {}, "it has just begun; a command that ends soon cannot grow"
        assert age_of(process.pid) < AGE <= age_of(1)
        process.communicate(b"\n")
    (size,) = sizes.values()
    assert 64 << 10 < size < 128 << 10


def test_a_control_group_that_ends_meanwhile_does_not_end_the_sampling(tmp_path: Path):
    assert memory_of(cast(Any, SimpleNamespace(path=tmp_path / "gone"))) == {}
    (tmp_path / "one").mkdir()
    (tmp_path / "one/cgroup.procs").write_text("999999999\n")
    with pytest.MonkeyPatch.context() as patch:
        real = os.scandir

        def scandir(path: str) -> Any:
            if str(path).endswith("one"):
                raise FileNotFoundError(path)
            return real(path)

        patch.setattr(os, "scandir", scandir)
        assert memory_of(cast(Any, SimpleNamespace(path=tmp_path))) == {}


def test_the_faults_of_an_hour_fall_on_different_seconds_of_the_minute():
    found = ends(1, 30, 120)
    assert found == sorted(found)
    assert found[-1] == 3600
    assert len({int(one % 60) // 10 for one in found}) >= 3
    assert all(abs(one - number * 120) <= SHIFT * 120 for number, one in enumerate(found, 1))
    assert found == ends(1, 30, 120)


def test_many_outages_that_the_page_never_shows_are_more_than_chance():
    short = [43.0] * 30
    assert sum(short) / 60 > tolerance(short)
    assert tolerance([60.0, 120.0]) == 1  # whole minutes are counted exactly, but for one at the edge
