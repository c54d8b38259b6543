"""Properties of every valid topology: addresses, zones, quorums, retention."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stacks import configured, settings_of, topology_of
from model.copies import AwsCopy, address_of
from model.topology import FIRST_HOST, INGRESS_RULES, SLOTS_PER_GROUP, Group, Port, Role, Topology
from tests.model.rotations import rotation_changes

ZONES = st.permutations([f"eu-central-1{letter}" for letter in "abcdef"]).map(lambda zones: zones[:3])
NETWORKS = st.integers(16, 18).flatmap(
    lambda size: st.sampled_from(list(IPv4Network("10.0.0.0/8").subnets(new_prefix=size))[:512]).map(str)
)
DATABASES = st.fixed_dictionaries(
    {
        "database.zones": ZONES,
        "database.network": NETWORKS,
        "database.consensus.members": st.sampled_from([3, 5, 7]),
        "database.coordinator.members": st.integers(2, 3),
        "database.workers.groups": st.integers(1, 64),
        "database.workers.members": st.integers(2, 3),
        "database.gateways.members": st.integers(2, 3),
    }
)


def staging(changes: dict[str, Any]) -> Topology:
    """Return a topology of staging, because production does not allow groups of two."""
    return topology_of("staging", changes)


TOPOLOGIES = DATABASES.map(staging)


def machines(topology: Topology) -> list[tuple[str, str, str, str]]:
    """Return name, zone, address and data subnet of every member."""
    return [
        (member.name, member.zone.name, member.address, member.zone.data_cidr)
        for group in topology.groups
        for member in group.members
    ]


@given(TOPOLOGIES)
@settings(max_examples=60)
def test_addresses_are_unique_and_in_their_zones_subnet(topology: Topology):
    found = machines(topology)
    assert len({address for _, _, address, _ in found}) == len(found)
    assert len({name for name, *_ in found}) == len(found)
    subnets = {zone.name: zone.data_cidr for zone in topology.zones}
    for _, zone, address, subnet in found:
        assert subnets[zone] == subnet
        hosts = IPv4Network(subnet)
        assert IPv4Address(address) in hosts
        # AWS keeps the first four addresses of a subnet and the last.
        assert 4 <= int(IPv4Address(address)) - int(hosts.network_address) < hosts.num_addresses - 1


@given(TOPOLOGIES)
@settings(max_examples=60)
def test_subnets_are_disjoint_and_inside_the_network(topology: Topology):
    network = IPv4Network(topology.settings.database.network)
    subnets = [IPv4Network(cidr) for zone in topology.zones for cidr in (zone.data_cidr, zone.public_cidr)]
    assert len(subnets) == 6
    assert all(subnet.subnet_of(network) for subnet in subnets)
    assert not [pair for pair in combinations(subnets, 2) if pair[0].overlaps(pair[1])]
    assert [zone.name for zone in topology.zones] == list(topology.settings.database.zones)
    assert len({zone.letter for zone in topology.zones}) == 3


@given(TOPOLOGIES)
@settings(max_examples=60)
def test_every_group_tolerates_the_loss_of_any_zone(topology: Topology):
    for lost in topology.zones:
        for group in topology.groups:
            gone = sum(member.zone.name == lost.name for member in group.members)
            left = len(group.members) - gone
            assert gone <= group.loss_tolerated
            if group.role is Role.CONSENSUS:
                assert left > len(group.members) / 2
            else:
                assert left >= len(group.members) - 1 >= 1


@given(TOPOLOGIES)
@settings(max_examples=60)
def test_members_of_a_group_are_spread_as_evenly_as_zones_allow(topology: Topology):
    for group in topology.groups:
        in_zone = [sum(member.zone.name == zone.name for member in group.members) for zone in topology.zones]
        assert max(in_zone) - min(in_zone) <= 1


@given(TOPOLOGIES)
@settings(max_examples=40)
def test_groups_and_their_sizes_follow_the_settings(topology: Topology):
    chosen = topology.settings.database
    names = [group.name for group in topology.groups]
    assert len(set(names)) == len(names) == 3 + chosen.workers.groups
    assert [group.citus_group for group in topology.database_groups] == list(range(chosen.workers.groups + 1))
    assert topology.consensus.citus_group is topology.gateways.citus_group is None
    assert all(group.members[0].name == f"{group.name}-0" for group in topology.groups)
    assert {member.volume_gib for member in topology.gateways.members} == {None}
    assert all(member.volume_gib for group in topology.groups[:-1] for member in group.members)


@given(DATABASES, st.integers(1, 64))
@settings(max_examples=40)
def test_adding_worker_groups_changes_no_existing_address(changes: dict[str, Any], groups: int):
    before = staging(changes)
    more = max(groups, changes["database.workers.groups"])
    after = staging(changes | {"database.workers.groups": more})
    assert set(machines(before)) <= set(machines(after))


@given(DATABASES)
@settings(max_examples=20)
def test_a_third_member_changes_no_existing_address(changes: dict[str, Any]):
    twos = {"database.coordinator.members": 2, "database.workers.members": 2, "database.gateways.members": 2}
    before = staging(changes | twos)
    after = staging(changes | dict.fromkeys(twos, 3))
    assert set(machines(before)) < set(machines(after))


def test_the_largest_group_fits_into_its_address_slots():
    largest = topology_of("prod", {"database.consensus.members": 7, "database.workers.groups": 64})
    assert max(len(group.members) for group in largest.groups) < SLOTS_PER_GROUP
    last = max(int(IPv4Address(address)) % 4096 for _, _, address, _ in machines(largest))
    assert FIRST_HOST <= last <= FIRST_HOST + 67 * SLOTS_PER_GROUP


@given(rotation_changes())
@settings(max_examples=100)
def test_retention_grows_and_locks_end_before_expiry(changes: dict[str, int]):
    topology = staging(changes | {"database.workers.groups": 11})
    kept, chosen = topology.retention, topology.settings.backups
    assert [one.name for one in kept] == ["hourly", "daily", "monthly", "yearly", "manifests"]
    assert all(shorter.keep_days <= longer.keep_days for shorter, longer in pairwise(kept))
    assert all(1 <= one.lock_days <= one.keep_days < one.expire_days for one in kept)
    prefixes = [prefix for one in kept for prefix in one.expiring]
    assert not [
        pair for pair in combinations(prefixes, 2) if pair[0].startswith(pair[1]) or pair[1].startswith(pair[0])
    ]
    assert all(set(one.locked) <= set(one.expiring) for one in kept)
    # The oldest point in time needs a full backup from before it, up to a day older.
    assert kept[0].keep_days > chosen.point_in_time_days
    assert kept[0].keep_days > chosen.rotation.hourly_days


@given(rotation_changes())
@settings(max_examples=60)
def test_no_lifecycle_rule_deletes_an_object_that_a_kept_backup_needs(changes: dict[str, int]):
    """A full backup a day, the next one due in an hour, an increment every hour; 29 days in a row had no full one."""
    topology = staging(changes)
    hourly, *_, yearly, manifests = topology.retention
    kept, window = 24 * hourly.keep_days, 24 * topology.settings.backups.point_in_time_days + 1
    minimum = topology.settings.backups.rotation.minimum_fulls
    for since in range(max(hourly.keep_days, minimum) + 1):
        fulls = [24 * day + 23 for day in range(160) if not since <= day < since + 29]  # ages in hours
        rests_on = [min(full for full in fulls if full >= age) for age in (kept, window)]
        assert max(*rests_on, fulls[minimum - 1]) < 24 * hourly.expire_days
    # A manifest lists what may be kept longest of all, and goes a day after it.
    assert yearly.keep_days + 1 < manifests.expire_days


@given(rotation_changes())
@settings(max_examples=50)
def test_the_workers_binding_and_the_bucket_rules_have_the_same_days(changes: dict[str, int]):
    topology = staging(changes)
    binding = topology.rotation
    assert binding["keepDays"] == {one.name: one.keep_days for one in topology.retention if one.name != "manifests"}
    assert binding["pointInTimeDays"] == changes["backups.pointInTimeDays"]
    assert binding["minimumFulls"] == changes["backups.rotation.minimumFulls"]


@pytest.mark.parametrize(
    ("role", "members", "strict", "lost"),
    [
        (Role.CONSENSUS, 3, True, 1),
        (Role.CONSENSUS, 5, True, 2),
        (Role.CONSENSUS, 7, True, 3),
        (Role.WORKER, 2, False, 1),
        (Role.WORKER, 3, True, 2),
    ],
)
def test_strict_mode_and_tolerated_failures_by_size(role: Role, members: int, strict: bool, lost: int):
    group = topology_of("staging", {"database.consensus.members": 7}).consensus
    group = Group("any", role, group.members[:members])
    assert (group.strict, group.loss_tolerated) == (strict, lost)


def test_only_databases_and_gateways_reach_databases_and_none_reaches_gateways():
    targets = {(source, target) for source, target, _ in INGRESS_RULES}
    assert not [pair for pair in targets if pair[1] is Role.GATEWAY]
    assert (Role.GATEWAY, Role.WORKER) not in targets
    assert (Role.GATEWAY, Role.CONSENSUS) not in targets
    assert {source for source, _, port in INGRESS_RULES if port is Port.ETCD_PEER} == {Role.CONSENSUS}
    assert len(set(INGRESS_RULES)) == len(INGRESS_RULES)


def test_images_are_built_when_the_settings_say():
    key = "database.imagePipeline.schedule"
    built = {when: topology_of("prod", {key: when}).schedules.image for when in ("manual", "weekly", "monthly")}
    assert built == {"manual": None, "weekly": "cron(0 7 ? * MON *)", "monthly": "cron(0 7 1 * ? *)"}


def test_the_backup_workers_run_often_enough_for_the_promises():
    schedules = topology_of("prod").schedules
    # A copy may be 15 minutes behind; a new run is verified at once; what has had its time goes within the hour.
    assert (schedules.reconcile, schedules.watch) == ("*/5 * * * *", "*/5 * * * *")
    assert (schedules.verify, schedules.age_out) == ("*/2 * * * *", "15 * * * *")


def test_resource_names_of_two_stacks_are_disjoint():
    prod, staging = topology_of("prod"), topology_of("staging")
    mine, theirs = (set(vars(one.secrets).values()) | {copy.bucket for copy in one.copies} for one in (prod, staging))
    assert not mine & theirs
    assert len(mine) == 12 + 3


def test_the_primary_is_the_first_copy_in_any_order_of_the_settings():
    shipped = topology_of("prod")
    turned = topology_of("prod", {"backups.copies": configured("prod")["backbuild:backups"]["copies"][::-1]})
    assert [copy.name for copy in shipped.copies] == ["primary", "replica", "offsite"]
    assert [copy.name for copy in turned.copies] == ["primary", "offsite", "replica"]
    assert turned.primary == shipped.primary


def test_every_copy_has_unique_names_that_are_valid_in_its_cloud():
    stack = "s" * 33  # the longest
    names = ("offsite", "a", "b" * 11)
    others = [
        {"name": name, "kind": "s3", "region": region}
        for name, region in zip(names, ("eu-north-1", "us-east-1", "us-west-2"), strict=True)
    ]
    copies = [{"name": "primary", "kind": "r2", "jurisdiction": "eu"}, *others]
    topology = Topology(stack, settings_of("prod", {"backups.copies": copies}))
    writers = [copy.writer for copy in topology.copies if isinstance(copy, AwsCopy)]
    assert writers == [
        f"backbuild-{stack}-backup-writer",
        f"backbuild-{stack}-a-writer",
        f"backbuild-{stack}-{'b' * 11}-writer",
    ]
    readers = [copy.reader for copy in topology.copies if isinstance(copy, AwsCopy)]
    assert all(len(one) <= 64 for one in (*writers, *readers))  # of an IAM user
    assert len({*writers, *readers}) == 6
    assert all(len(copy.bucket) <= 63 for copy in topology.copies)
    assert len({copy.bucket for copy in topology.copies}) == 4


CHINESE = AwsCopy("offsite", "b", "cn-north-1", None, "COMPLIANCE", "writer", "reader")


def test_s3_clients_find_every_copy_at_a_host_name():
    archive = {
        "name": "archive",
        "kind": "s3",
        "region": "nord-1",
        "bucket": "store",
        "endpoint": "https://s3.example.net:8443",
    }
    keys = {"accessKeyId": "id", "secretAccessKey": "key"}
    copies = topology_of("prod", {"backups.copies.3": archive | keys}).copies
    account = "0123456789abcdef0123456789abcdef"
    assert {copy.name: address_of(copy) for copy in copies} == {
        "primary": {
            "endpoint": f"{account}.eu.r2.cloudflarestorage.com",
            "region": "auto",
            "bucket": "backbuild-prod-backups",
        },
        "replica": {
            "endpoint": f"{account}.us.r2.cloudflarestorage.com",
            "region": "auto",
            "bucket": "backbuild-prod-backups-replica",
        },
        "offsite": {
            "endpoint": "s3.eu-north-1.amazonaws.com",
            "region": "eu-north-1",
            "bucket": "backbuild-prod-backups-offsite",
        },
        "archive": {"endpoint": "s3.example.net:8443", "region": "nord-1", "bucket": "store"},
    }
    assert address_of(CHINESE)["endpoint"] == "s3.cn-north-1.amazonaws.com.cn"
