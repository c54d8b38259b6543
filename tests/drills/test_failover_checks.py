"""The judgement of recorded commits, also compared with a plain definition on random histories."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.failover.checks import Commit, Stall, acknowledged_by_deposed, longest_stall, lost

TIMES = st.lists(st.integers(0, 100).map(float), unique=True).map(sorted)
PERIOD = st.tuples(st.integers(0, 100), st.integers(1, 50)).map(lambda pair: (float(pair[0]), float(sum(pair))))


def commit(number: int, begun: float, acknowledged: float, timeline: str = "00000001", **fields: str) -> Commit:
    whole = {"group": "coordinator", "writer": "gateway-0", "server": "10.0.0.1"} | fields
    return Commit(number=number, begun=begun, acknowledged=acknowledged, timeline=timeline, **whole)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([9.0, 10.0, 13.0, 14.0, 21.0], Stall(14, 21)),  # one that ends after the period counts in full
        ([1.0, 12.0, 19.0], Stall(1, 12)),  # as does one that began before it
        ([1.0, 2.0], Stall(2, 20)),  # until now, if there was no further commit
        ([30.0], Stall(10, 30)),
        ([], Stall(10, 20)),
    ],
)
def test_the_longest_stall_of_a_period(times: list[float], expected: Stall):
    assert longest_stall(times, 10, 20) == expected


@given(TIMES, PERIOD)
def test_a_stall_has_no_commit_inside_and_none_is_longer(times: list[float], period: tuple[float, float]):
    begin, end = period
    stall = longest_stall(times, begin, end)
    assert stall.begin <= stall.end
    assert not any(stall.begin < time < stall.end for time in times)
    for earlier, later in itertools.pairwise(times):
        if earlier < end and later > begin:
            assert later - earlier <= stall.seconds


@given(TIMES, PERIOD, st.integers(0, 100))
def test_a_further_commit_never_lengthens_the_stall(times: list[float], period: tuple[float, float], moment: int):
    more = sorted({*times, float(moment)})
    if any(time <= period[0] for time in times) and any(time >= period[1] for time in times):
        assert longest_stall(more, *period).seconds <= longest_stall(times, *period).seconds


@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_a_commit_is_lost_if_the_database_does_not_have_it(acknowledged: set[int], stored: set[int]):
    commits = [commit(number, number, number) for number in sorted(acknowledged)]
    found = {("gateway-0", number) for number in stored} | {("gateway-1", number) for number in acknowledged}
    assert {one.number for one in lost(commits, found)} == acknowledged - stored


def test_a_leader_that_acknowledges_after_its_successor_is_reported():
    history = [
        commit(1, 1, 2),
        commit(2, 3, 9),  # begun before the successor's first acknowledgement, so it may be honest
        commit(3, 5, 6, "00000002"),
        commit(4, 7, 8),
        commit(5, 7, 8, group="worker-1"),  # another group
        commit(6, 9, 10, "00000003"),
        commit(7, 11, 12, "00000002"),
    ]
    assert [one.number for one in acknowledged_by_deposed(history)] == [4, 7]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=30))
def test_leaders_one_after_another_are_never_reported(steps: list[tuple[int, int]]):
    moment, timeline, history = 0, 1, list[Commit]()
    for promotions, duration in steps:
        timeline += promotions
        history.append(commit(len(history), moment, moment + duration, f"{timeline:08X}"))
        moment += duration
    assert acknowledged_by_deposed(history) == []
    assert acknowledged_by_deposed(reversed(history)) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(1, 3)).map(
            lambda drawn: commit(0, drawn[0], drawn[0] + drawn[1], f"{drawn[2]:08X}")
        )
    )
)
def test_exactly_the_commits_that_began_under_a_later_leader_are_reported(history: list[Commit]):
    numbered = [replace(one, number=index) for index, one in enumerate(history)]
    expected = {
        one.number
        for one in numbered
        if any(other.timeline > one.timeline and other.acknowledged < one.begun for other in numbered)
    }
    assert {one.number for one in acknowledged_by_deposed(numbered)} == expected
