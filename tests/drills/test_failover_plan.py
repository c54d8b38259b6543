"""The plan of faults: repeated by its seed, complete, and always at a machine with the fault's role."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.failover.faults import KINDS, Fault, Kind, Situation, Target, group_of, is_database, judged, plan, resolve
from drills.failover.fleet import ONLY, SHELL

GROUPS = {
    "consensus": ["consensus-0", "consensus-1", "consensus-2"],
    "coordinator": ["coordinator-0", "coordinator-1"],
    "gateway": ["gateway-0", "gateway-1"],
    "worker-1": ["worker-1-0", "worker-1-1", "worker-1-2"],
}
ZONES = {name: f"zone-{index % 3}" for members in GROUPS.values() for index, name in enumerate(members)}
NOW = Situation(GROUPS, {"coordinator": "coordinator-1", "worker-1": "worker-1-0"}, ZONES)
KIND = {str(kind): kind for kind in KINDS}
CHOICES = st.floats(0, 1)


def test_every_action_has_an_implementation():
    assert {kind.action for kind in KINDS} == {*SHELL, *ONLY, "power loss", "reboot"}


@given(st.integers(), st.integers(0, 100))
def test_a_seed_repeats_its_plan(seed: int, count: int):
    faults = plan(seed, count)
    assert faults == plan(seed, count)
    assert len(faults) == count
    assert faults == plan(seed, count + 5)[:count]


@given(st.integers(), st.integers(1, 3))
def test_every_kind_occurs_before_any_occurs_again(seed: int, rounds: int):
    faults = plan(seed, rounds * len(KINDS))
    for begin in range(0, len(faults), len(KINDS)):
        assert {fault.kind for fault in faults[begin : begin + len(KINDS)]} == set(KINDS)


@given(st.integers())
def test_a_fault_is_held_for_less_or_for_more_than_a_lease(seed: int):
    for fault in plan(seed, len(KINDS)):
        assert 3 <= fault.hold <= 15 or 30 <= fault.hold <= 40


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("leader", {"coordinator-1", "worker-1-0"}),
        ("standby", {"coordinator-0", "worker-1-1", "worker-1-2"}),
        ("etcd voter", set(GROUPS["consensus"])),
        ("gateway", set(GROUPS["gateway"])),
    ],
)
def test_a_fault_hits_any_machine_that_has_its_role(role: str, expected: set[str]):
    faults = [Fault(Kind("power loss", role, 1), index / 100, 10) for index in range(101)]
    targets = [resolve(fault, NOW) for fault in faults]
    assert {target.name for target in targets} == expected
    for target in targets:
        assert target.machines == (target.name,)
        assert target.groups == ((group_of(target.name),) if is_database(group_of(target.name)) else ())


@given(CHOICES)
def test_a_zone_is_hit_with_all_its_machines_only(choice: float):
    target = resolve(Fault(KIND["partition: zone"], choice, 10), NOW)
    assert {ZONES[name] for name in target.machines} == {target.name}
    assert len(target.machines) == list(ZONES.values()).count(target.name)


def test_everything_is_everything():
    target = resolve(Fault(KIND["power loss: everything"], 0.5, 10), NOW)
    assert set(target.machines) == set(ZONES)
    assert target.groups == ("coordinator", "worker-1")


@pytest.mark.parametrize("name", ["coordinator-0", "worker-12-1", "gateway-0"])
def test_a_machines_group_is_its_name_without_the_index(name: str):
    assert f"{group_of(name)}-{name[-1]}" == name
    assert is_database(group_of(name)) is not name.startswith("gateway")


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("power loss: leader", Target("worker-1-0", ("worker-1-0",), ("worker-1",)), 5),
        ("partition: etcd voter", Target("consensus-0", ("consensus-0",), ()), 7),
        ("partition: gateway", Target("gateway-0", ("gateway-0",), ()), 4),  # a third of its own clients' 12 s
        ("partition: gateway", Target("gateway-1", ("gateway-1",), ()), 12),
    ],
)
def test_the_judged_stall_is_that_of_whom_the_fault_must_not_stop(name: str, target: Target, expected: float):
    writers, groups = {"gateway-0": 12, "gateway-1": 3}, {"coordinator": 7, "worker-1": 5}
    assert judged(KIND[name], target, writers, groups) == pytest.approx(expected)
