"""Network partitions: which packets the rules drop, and tests with real packets if namespaces can be created."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.engine.errors import InputError
from sandbox.machines import network, partitions, prerequisites
from sandbox.machines.inventory import Instance, Subnet
from sandbox.machines.place import Place

MISSING = prerequisites.missing()


def instance(name: str, zone: str, address: str) -> Instance:
    subnet = Subnet(f"subnet-{zone}", ipaddress.IPv4Network(f"{address}/20", strict=False))
    return Instance(f"i-{name:a>12}", name, address, subnet, zone, "r", "", (), b"", {})


A0, A1 = instance("a-0", "zone-a", "10.0.0.16"), instance("a-1", "zone-a", "10.0.0.17")
B0, B1 = instance("b-0", "zone-b", "10.0.16.16"), instance("b-1", "zone-b", "10.0.16.17")
ALL = [B1, A0, B0, A1]


def test_a_name_is_a_zone_or_a_machine():
    assert partitions.addresses_of("zone-a", ALL) == ["10.0.0.16", "10.0.0.17"]
    assert partitions.addresses_of("b-1", ALL) == ["10.0.16.17"]
    with pytest.raises(InputError, match=r"no zone or machine c; zones: zone-a, zone-b; machines: a-0, a-1, b-0, b-1$"):
        partitions.addresses_of("c", ALL)


@pytest.mark.parametrize(("only", "outgoing", "incoming"), [(None, 2, 2), ("incoming", 0, 2), ("outgoing", 2, 0)])
def test_a_cut_drops_what_leaves_or_enters_but_nothing_within(
    only: partitions.Only | None, outgoing: int, incoming: int
):
    rules = partitions.ruleset("zone-a", ["10.0.0.16", "10.0.0.17"], only)
    near = "{ 10.0.0.16, 10.0.0.17, 169.254.0.0/16 }"
    assert rules.count(f"ip saddr {{ 10.0.0.16, 10.0.0.17 }} ip daddr != {near} drop") == outgoing
    assert rules.count(f"ip daddr {{ 10.0.0.16, 10.0.0.17 }} ip saddr != {near} drop") == incoming


@dataclass(frozen=True)
class Net:
    """Four machines' namespaces in two zones, without machines."""

    place: Place

    def reaches(self, source: Instance, target: str) -> bool:
        """Whether the target refuses the connection, so that packets pass in both directions."""
        return self.connect(source, target, seconds=20) == 1

    def misses(self, source: Instance, target: str) -> bool:
        """Whether there is no answer for a second."""
        return self.connect(source, target, seconds=1) == 124

    def connect(self, source: Instance, target: str, seconds: int) -> int:
        """Connect to a port on which nothing listens, and return the status of the shell, or 124."""
        namespace = network.inside(self.place.namespace(source.id))
        words = ["timeout", str(seconds), "bash", "-c", f"</dev/tcp/{target}/9"]
        return subprocess.run([*namespace, *words], capture_output=True, check=False).returncode


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    if MISSING:
        pytest.skip(MISSING)
    place = Place(tmp_path / "live", tmp_path / "store", tmp_path)
    try:
        network.make_cloud(place)
        for one in ALL:
            network.connect(place, one)
        yield Net(place)
    finally:
        for name in network.names(place):
            network.remove(name)


def test_packets_between_zones_stop_at_a_cut_until_it_is_healed(net: Net):
    partitions.cut(net.place, "zone-a", partitions.addresses_of("zone-a", ALL))
    assert partitions.cuts(net.place) == ["zone-a"]
    assert net.reaches(A0, A1.address)
    assert net.reaches(B0, B1.address)
    assert net.reaches(A0, network.METADATA)
    assert net.misses(A0, B0.address)
    assert net.misses(B0, A0.address)
    assert net.misses(A0, network.INTERNET)
    assert partitions.heal(net.place) == ["zone-a"]
    assert net.reaches(A0, B0.address)
    assert partitions.heal(net.place) == []


def test_a_cut_machine_reaches_no_other_machine_even_after_a_reboot(net: Net):
    partitions.cut(net.place, "a-0", partitions.addresses_of("a-0", ALL))
    network.connect(net.place, A0)
    assert net.misses(A0, A1.address)
    assert net.misses(A1, A0.address)
    assert net.reaches(A1, B0.address)
    partitions.cut(net.place, "b-0", [B0.address])
    assert partitions.heal(net.place, "a-0") == ["a-0"]
    assert partitions.cuts(net.place) == ["b-0"]
    assert net.reaches(A0, A1.address)


def test_a_machine_without_power_is_unplugged_until_it_boots(net: Net):
    network.unplug(net.place, A0.id)
    network.unplug(net.place, "i-that-never-booted")
    assert net.misses(A0, A1.address)
    network.connect(net.place, A0)
    assert net.reaches(A0, A1.address)


def test_one_direction_can_be_cut_alone(net: Net):
    """A request arrives, but its answer does not. A rule on the receiver counts the packets that arrive."""

    def received(receiver: Instance, source: Instance) -> bool:
        namespace = net.place.namespace(receiver.id)
        network.nft(
            namespace,
            "add table ip count\ndelete table ip count\ntable ip count {\n chain in {\n"
            f"  type filter hook input priority 0;\n  ip saddr {source.address} tcp dport 9 counter\n }}\n}}\n",
        )
        assert net.misses(source, receiver.address)
        words = network.nft(namespace, "list table ip count\n").split()
        return words[words.index("packets") + 1] != "0"

    partitions.cut(net.place, "a-0", [A0.address], "outgoing")
    assert received(A0, B0)
    assert not received(B0, A0)
    partitions.cut(net.place, "a-0", [A0.address], "incoming")
    assert not received(A0, B0)
    assert received(B0, A0)
