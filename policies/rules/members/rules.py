"""Redundancy: members are in different zones, and groups still work after the loss of one machine or one zone."""

from __future__ import annotations

import re

from policies.controls import REDUNDANCY
from policies.graph import Graph, Undetermined
from policies.rule import Severity, define
from policies.views.machines import (
    ENVIRONMENT,
    ETCD,
    PATRONI,
    Group,
    Machine,
    by_zone,
    consensus,
    database_groups,
    gateways,
    groups,
    machines,
    zone_of,
)

PEER = re.compile(r"(?P<name>[^=,]+)=https?://(?P<address>[0-9.]+):\d+")


@define(
    "redundancy",
    "members-over-zones",
    Severity.CRITICAL,
    "The members of a group are in as many zones as possible",
    over=groups,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="give each member a subnet of another zone (model/topology.py places consecutive members apart)",
)
def members_over_zones(graph: Graph, group: Group) -> str | None:
    """A zone fails as a whole: power, cooling, network. Members in one zone fail together."""
    available = {zone_of(graph, machine) for machine in machines(graph)}
    taken = by_zone(graph, group.members)
    possible = min(len(group.members), max(len(available), 2))
    if len(taken) < possible:
        stands = "; ".join(f"{zone}: {', '.join(sorted(names))}" for zone, names in sorted(taken.items()))
        return f"{len(group.members)} members are in {len(taken)} zones; {possible} are possible ({stands})"
    return None


@define(
    "redundancy",
    "quorum-survives-a-node",
    Severity.CRITICAL,
    "The consensus group (etcd) keeps its majority after the loss of any one member",
    over=consensus,
    promises=("RED-2", "RED-3"),
    controls=REDUNDANCY,
    remedy="declare an odd number of consensus members, at least three (database.consensus.members)",
)
def quorum_survives_node(_: Graph, group: Group) -> str | None:
    """A majority is more than half of the members in etcd's configuration, including members that do not run."""
    voters, running = _voters(group), len(group.members)
    majority = voters // 2 + 1
    if running - 1 < majority:
        return f"{running} of {voters} members run; without one, {running - 1} are left, and a majority is {majority}"
    if voters % 2 == 0:
        return f"{voters} members survive no more failures than {voters - 1}, and may split into two equal halves"
    return None


@define(
    "redundancy",
    "quorum-survives-a-zone",
    Severity.CRITICAL,
    "The consensus group (etcd) keeps its majority after the loss of any one zone",
    over=consensus,
    promises=("RED-2", "RED-3"),
    controls=REDUNDANCY,
    remedy="place the consensus members so that no zone holds more of them than the majority can lose",
)
def quorum_survives_zone(graph: Graph, group: Group) -> str | None:
    """All members in a zone can fail at once."""
    majority = _voters(group) // 2 + 1
    for zone, names in by_zone(graph, group.members).items():
        left = len(group.members) - len(names)
        if left < majority:
            return f"without {zone} ({', '.join(sorted(names))}) {left} members are left, and a majority is {majority}"
    return None


@define(
    "redundancy",
    "consensus-knows-its-voters",
    Severity.CRITICAL,
    "Every consensus member's configuration lists exactly the members that exist",
    over=consensus,
    promises=("RED-3",),
    controls=REDUNDANCY,
    remedy="render ETCD_INITIAL_CLUSTER from the group's own members (machines/templates/consensus)",
)
def consensus_knows_voters(_: Graph, group: Group) -> str | None:
    """A listed member that does not exist counts against the majority; an unlisted one never votes."""
    there = {machine.name: machine.address for machine in group.members}
    for machine in group.members:
        told = _told(machine)
        if told != there:
            differing = ", ".join(f"{name}={where}" for name, where in sorted({*told.items()} ^ {*there.items()}))
            return f"{machine.name} is configured with other members: {differing}"
    return None


@define(
    "redundancy",
    "database-asks-every-voter",
    Severity.HIGH,
    "Every database member can renew its lease through any consensus member",
    over=database_groups,
    promises=("RED-2", "RED-3"),
    controls=REDUNDANCY,
    remedy="render etcd3.hosts from all consensus members (machines/templates/database/etc/backbuild/patroni.yml)",
)
def database_asks_every_voter(graph: Graph, group: Group) -> str | None:
    """A leader that knows only one consensus member loses its lease when that member fails."""
    there = {machine.address for voters in consensus(graph) for machine in voters.members}
    for machine in group.members:
        hosts = {host.rpartition(":")[0] for host in machine.patroni.words("etcd3.hosts")}
        if hosts != there:
            return f"{machine.name}: {PATRONI}: etcd3.hosts differs in {', '.join(sorted(hosts ^ there))}"
    return None


@define(
    "redundancy",
    "group-survives-a-node",
    Severity.CRITICAL,
    "After the loss of any one member, a database group accepts writes and has every confirmed commit",
    over=database_groups,
    promises=("RED-2", "RED-3"),
    controls=REDUNDANCY,
    remedy="add a member to the group (database.coordinator.members, database.workers.members)",
)
def group_survives_node(_: Graph, group: Group) -> str | None:
    """The leader and at least one standby have each confirmed commit; in strict mode a commit waits for the standby."""
    return _loss(group, "any one member", 1)


@define(
    "redundancy",
    "group-survives-a-zone",
    Severity.CRITICAL,
    "After the loss of any one zone, a database group accepts writes and has every confirmed commit",
    over=database_groups,
    promises=("RED-2", "RED-3"),
    controls=REDUNDANCY,
    remedy="place no more members in one zone than the number of standbys that confirm a commit",
)
def group_survives_zone(graph: Graph, group: Group) -> str | None:
    """If the leader and the only standby that confirmed a commit are in one zone, the commit is lost with the zone."""
    for zone, names in by_zone(graph, group.members).items():
        wrong = _loss(group, f"{zone} ({', '.join(sorted(names))})", len(names))
        if wrong:
            return wrong
    return None


@define(
    "redundancy",
    "gateways-survive-a-zone",
    Severity.CRITICAL,
    "After the loss of any one zone, a gateway with its tunnel connector is left",
    over=gateways,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="declare at least two gateways, in two zones (database.gateways.members)",
)
def gateways_survive_zone(graph: Graph, group: Group) -> str | None:
    """Every query goes through a gateway."""
    zones = by_zone(graph, group.members)
    if len(zones) < 2:
        return f"{len(group.members)} gateways are in {', '.join(zones)} only"
    return None


@define(
    "redundancy",
    "tags-tell-the-truth",
    Severity.HIGH,
    "A machine's tags match its files",
    over=machines,
    promises=("RED-2", "MNT-1"),
    controls=REDUNDANCY,
    remedy="tag an instance with the Group and Role that its user data is rendered for",
)
def tags_tell_the_truth(_: Graph, machine: Machine) -> str | None:
    """Maintenance and these rules find machines by their tags; a wrong tag hides a machine from both."""
    for tag, name, tagged in (("Group", "GROUP", machine.group), ("Role", "ROLE", machine.role)):
        own = machine.figure(ENVIRONMENT, name)
        if own != tagged:
            return f"the tag {tag} is {tagged!r}, and {ENVIRONMENT} says {own!r}"
    platform, stack = machine.instance.text("tags.Platform"), machine.figure(ENVIRONMENT, "STACK")
    if platform != stack:
        return f"the tag Platform is {platform!r}, and {ENVIRONMENT} says {stack!r}"
    return None


def _loss(group: Group, lost: str, count: int) -> str | None:
    """Return what is wrong if `count` members of a group fail at once; `lost` names them."""
    terms = {_terms(member) for member in group.members}
    if len(terms) > 1:
        return "synchronous_node_count or synchronous_mode_strict differ between its members"
    confirming, strict = terms.pop()
    if count > confirming:
        return f"without {lost} a commit may be lost: {count} members fail at once, {confirming} standbys confirm it"
    needed = 1 + (confirming if strict else 0)
    left = len(group.members) - count
    if left < needed:
        return f"without {lost} {left} of {len(group.members)} members are left, and a commit needs {needed}"
    return None


def _terms(member: Machine) -> tuple[int, bool]:
    """Return how many standbys confirm a commit, and whether it waits for them (strict mode)."""
    return int(member.dcs.number("synchronous_node_count") or 1), member.dcs.flag("synchronous_mode_strict")


def _voters(group: Group) -> int:
    return max(len(_told(machine)) for machine in group.members)


def _told(machine: Machine) -> dict[str, str]:
    """Return name to address of the voters in a consensus member's configuration."""
    cluster = machine.figure(ETCD, "ETCD_INITIAL_CLUSTER")
    found = {match["name"]: match["address"] for match in PEER.finditer(cluster)}
    if not found:
        raise Undetermined(machine.urn, f"{ETCD}: ETCD_INITIAL_CLUSTER", "lists no member")
    return found
