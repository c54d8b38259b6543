"""The clients of a stack at AWS, as this computer reads them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from drills.running.aws import machines, traffic
from drills.running.aws.traffic import RemoteTraffic
from drills.sites.site import SiteError
from tests.drills.restore.fakes import TOPOLOGY


class Site:
    """Machines whose clients have recorded lines."""

    poll_seconds = 0.0

    def __init__(self) -> None:
        self.lines = dict.fromkeys(machines.clients_of(TOPOLOGY), b"")
        self.lost: set[str] = set()

    def commit(self, machine: str, group: str, number: int, moment: float) -> None:
        line = [group, f"{group} from {machine}", number, moment - 0.01, moment, "10.0.0.1", "1"]
        self.lines[machine] += json.dumps(line).encode() + b"\n"

    def run(self, member: str, command: str, _seconds: float) -> str:
        if member in self.lost:
            raise SiteError(f"{member}: Undeliverable")
        if "tail -c" not in command:
            return ""
        offset = int(command.split("tail -c +")[1].split(maxsplit=1)[0]) - 1
        return f"{time.time()}\n{self.lines[member][offset:].decode()}"


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def clients(site: Site) -> RemoteTraffic:
    made: Any = site
    begun = RemoteTraffic(TOPOLOGY, lambda: made, "run", lambda _group, _statement: "coordinator from worker-1-0|1|2")
    begun.begin_on_machines()
    return begun


def test_commits_are_read_once_and_have_times_of_this_computer(site: Site, clients: RemoteTraffic):
    site.commit("worker-1-0", "coordinator", 1, time.time())
    assert [clients.read("worker-1-0"), clients.read("worker-1-0")] == [1, 0]
    site.commit("worker-1-0", "coordinator", 2, time.time())
    assert clients.read("worker-1-0") == 1
    found = clients.commits("coordinator")
    assert [one.number for one in found] == [1, 2]
    assert all(abs(time.monotonic() - one.acknowledged) < 5 for one in found)


def test_a_group_serves_as_long_as_commits_are_fresh_when_they_are_read(site: Site, clients: RemoteTraffic):
    for machine in ("worker-1-0", "worker-1-1"):
        site.commit(machine, "coordinator", 1, time.time() - 0.5)
        clients.read(machine)
    assert clients.serves("coordinator")
    site.lines = dict.fromkeys(site.lines, b"")
    assert not clients.serves("worker-1")


def test_a_group_is_known_until_its_slowest_machine_was_read_unless_that_is_lost(
    clients: RemoteTraffic, monkeypatch: pytest.MonkeyPatch
):
    before = clients.known_until("coordinator")
    time.sleep(0.05)
    clients.read("worker-1-0")
    assert clients.known_until("coordinator") == before or clients.known_until("coordinator") < before + 0.05
    monkeypatch.setattr(traffic, "STALE_SECONDS", 0.05)
    clients.read("worker-1-0")
    assert clients.known_until("coordinator") > before + 0.04
    time.sleep(0.06)
    assert clients.known_until("coordinator") == pytest.approx(time.monotonic(), abs=0.02)


def test_an_outage_counts_what_was_recorded_until_now(site: Site, clients: RemoteTraffic):
    now = time.time()
    for number, moment in enumerate((now - 5, now - 4, now - 1, now), 1):
        site.commit("worker-1-0", "coordinator", number, moment)
    since = time.monotonic() - 6
    assert clients.outage("coordinator", since, time.monotonic()) == pytest.approx(3, abs=0.1)


def test_lost_commits_are_those_that_the_database_does_not_have(site: Site, clients: RemoteTraffic):
    for number in (1, 2, 3):
        site.commit("worker-1-0", "coordinator", number, time.time())
    clients.read("worker-1-0")
    assert [one.number for one in clients.lost()] == [3]


def test_the_end_reads_the_rest_and_bears_a_machine_without_power(site: Site, clients: RemoteTraffic):
    site.commit("worker-1-0", "coordinator", 1, time.time())
    site.lost = {"coordinator-0"}
    clients.end()
    assert len(clients.commits()) == 1


def test_a_machine_without_power_at_the_beginning_is_an_error(site: Site, clients: RemoteTraffic):
    site.lost = {"coordinator-0"}
    with pytest.raises(SiteError, match="coordinator-0: Undeliverable"):
        clients.begin()
