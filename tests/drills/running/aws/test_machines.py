"""What is sent to machines, and what their answers mean."""

from __future__ import annotations

import json
import shlex

import pytest

from drills.running.aws import machines
from harness.stacks import topology_of
from model.topology import INGRESS_RULES, Port

STAGING, PROD = topology_of("staging"), topology_of("prod")


@pytest.mark.parametrize("topology", [STAGING, PROD], ids=["staging", "prod"])
def test_every_group_has_clients_in_another_group_that_may_connect_to_it(topology):
    roles = {member.name: member.role for group in topology.groups for member in group.members}
    clients = machines.clients_of(topology)
    for group in topology.database_groups:
        own = [machine for machine, groups in clients.items() if group.name in groups]
        assert len(own) >= 2, "one may lose power"
        assert not set(own) & {member.name for member in group.members}
        assert all((roles[machine], group.role, Port.POSTGRES) in INGRESS_RULES for machine in own)


def test_a_machines_clients_get_their_settings_without_a_secret():
    words = shlex.split(machines.start(STAGING, "worker-1-0", "it's a run"))
    settings = json.loads(words[-1])
    assert (settings["run"], settings["machine"], list(settings["targets"])) == (
        "it's a run",
        "worker-1-0",
        ["coordinator"],
    )
    addresses = ",".join(member.address for member in STAGING.coordinator.members)
    assert f"host={addresses} user=application" in settings["targets"]["coordinator"]
    assert "password" not in settings["targets"]["coordinator"]
    assert "--uid=postgres" in words


def test_rows_are_numbers_in_a_row():
    assert machines.numbers_of("a|1|3\na|7|7\nb|2|2") == {("a", 1), ("a", 2), ("a", 3), ("a", 7), ("b", 2)}
    assert machines.numbers_of("") == set()


@pytest.mark.parametrize(("clock", "error"), [(10.5, 0), (9, 1), (13, 2)])
def test_a_clock_is_certainly_wrong_only_outside_of_the_question(clock: float, error: float):
    assert machines.clock_error(10, clock, 11) == error


@pytest.mark.parametrize(("clock", "bound"), [(10.5, 0.5), (10, 1), (11, 1), (9, 2), (13, 3)])
def test_a_clock_differs_at_most_by_its_farther_end_of_the_question(clock: float, bound: float):
    assert machines.clock_bound(10, clock, 11) == bound


def test_a_machine_that_has_no_lines_yet_is_known_until_its_clock():
    found = machines.reading_of("1700000000.25\n")
    assert (found.clock, found.until, found.commits, found.size) == (1700000000.25, 1700000000.25, [], 0)
