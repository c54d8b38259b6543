"""Weakenings of groups of machines: members that are missing, in one zone, or not known to each other."""

from __future__ import annotations

from collections.abc import Iterator

from policies.graph import Graph, Resource
from policies.mutation.files import CONSENSUS, DATABASE, GATEWAY, edit
from policies.mutation.operators import Mutant, Operator, Where, drop, ending, put, relink, without
from policies.mutation.weakening import Weakenings
from policies.views.machines import ETCD, INSTANCE, PATRONI, SUBNET


def next_member(graph: Graph, machine: Resource) -> Resource:
    """Return the next machine of the same group; after the last, the first."""
    group = [one for one in graph.of(INSTANCE) if one.text("tags.Group") == machine.text("tags.Group")]
    return group[(group.index(machine) + 1) % len(group)]


def into_one_zone(where: Where) -> Operator:
    """Move a machine into the subnet of the next member."""
    return relink(
        INSTANCE, "subnetId", lambda graph, one: graph.target(next_member(graph, one), "subnetId", SUBNET), where
    )


def only(count: int, where: Where) -> Operator:
    """Declare only so many members of a group; each mutant changes one group."""

    def make(graph: Graph) -> Iterator[Mutant]:
        groups: dict[str, list[Resource]] = {}
        for machine in filter(where, graph.of(INSTANCE)):
            groups.setdefault(machine.text("tags.Group"), []).append(machine)
        for name, members in groups.items():
            yield Mutant(f"group {name}", without(graph, *members[count:]))

    return make


WEAKENINGS: Weakenings = {
    "members-over-zones": {"two database members are in one zone, and a zone has none": into_one_zone(DATABASE)},
    "quorum-survives-a-node": {
        "a consensus member is not declared": drop(INSTANCE, CONSENSUS),
        "etcd counts a fourth member, which does not exist": edit(
            ETCD, r'^(ETCD_INITIAL_CLUSTER="[^"]+)"', r'\1,consensus-3=http://10.20.0.99:2380"'
        ),
    },
    "quorum-survives-a-zone": {"two consensus members are in one zone": into_one_zone(CONSENSUS)},
    "consensus-knows-its-voters": {
        "a consensus member does not know another": edit(ETCD, r'^(ETCD_INITIAL_CLUSTER="[^,]+),[^,]+', r"\1"),
        "a consensus member's address changes": put(INSTANCE, "privateIp", "10.20.9.9", CONSENSUS),
    },
    "database-asks-every-voter": {
        "a database member does not know a consensus member": edit(PATRONI, r"hosts: \['[^']+', ", "hosts: ["),
    },
    "group-survives-a-node": {
        "a database group has one member": only(1, DATABASE),
        "a strict database group has two members": only(2, DATABASE),
        "commits wait for two standbys, except on the first member": edit(
            PATRONI, r"^    ttl: 20", "    synchronous_node_count: 2\n    ttl: 20", ending("-1", "-2"), all=True
        ),
        "one member is not strict": edit(
            PATRONI, "synchronous_mode_strict: true", "synchronous_mode_strict: false", ending("-2")
        ),
    },
    "group-survives-a-zone": {"two database members are in one zone": into_one_zone(DATABASE)},
    "gateways-survive-a-zone": {
        "both gateways are in one zone": into_one_zone(GATEWAY),
        "there is one gateway": only(1, GATEWAY),
    },
    "tags-tell-the-truth": {
        "a machine has another group's tag": put(INSTANCE, "tags.Group", "other"),
        "a machine has another role's tag": put(INSTANCE, "tags.Role", "other"),
        "a machine has another platform's tag": put(INSTANCE, "tags.Platform", "other"),
    },
}
