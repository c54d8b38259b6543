"""Machines by role, group and zone, and the allowed connections, from instances, subnets and security groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter

from sandbox.engine.state import Resource
from sandbox.picture.diagram import Edge, Group, Machines, Member, Role
from sandbox.picture.index import Index, name, natural, text

INSTANCE = "aws:ec2/instance:Instance"
ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
NAT = "aws:ec2/natGateway:NatGateway"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def read(index: Index) -> Machines:
    """Return all instances by the tags `Group` and `Role`."""
    instances = index.of(INSTANCE)
    roles = {role_of(one): "" for one in instances}
    return Machines(
        region=index.region(instances[0]) if instances else "",
        zones=tuple(sorted({zone_of(index, one) for one in instances})),
        notes={zone_of(index, one): "NAT" for one in index.of(NAT)},
        roles=tuple(Role(role, tuple(_groups(index, role))) for role in _in_order(index, roles)),
    )


def role_of(instance: Resource) -> str:
    """Return a machine's role; a machine without the tag is a separate role."""
    return text(instance, "tags", "Role") or name(instance)


def group_of(instance: Resource) -> str:
    """Return a machine's group; a machine without the tag is a separate group."""
    return text(instance, "tags", "Group") or name(instance)


def zone_of(index: Index, instance: Resource) -> str:
    """Return the zone of a machine or NAT gateway: its own, or else its subnet's, which a preview knows."""
    subnets = index.named(instance, "subnetId")
    return text(instance, "availabilityZone") or next((text(one, "availabilityZone") for one in subnets), "") or "?"


def calls(index: Index) -> Iterator[Edge]:
    """Yield the allowed connections between roles, with ports, from the ingress rules of their security groups."""
    roles = {group.urn: role_of(one) for one in index.of(INSTANCE) for group in index.named(one, "vpcSecurityGroupIds")}
    ports: dict[tuple[str, str], set[int]] = defaultdict(set)
    for rule in index.of(INGRESS):
        for caller in index.named(rule, "referencedSecurityGroupId"):
            for called in index.named(rule, "securityGroupId"):
                if caller.urn in roles and called.urn in roles and caller.urn != called.urn:
                    ports[roles[caller.urn], roles[called.urn]].add(int(text(rule, "fromPort") or 0))
    for (caller, called), open_ports in sorted(ports.items()):
        yield Edge(caller, called, ", ".join(map(str, sorted(open_ports))))


def _groups(index: Index, role: str) -> Iterator[Group]:
    members: dict[str, list[Resource]] = defaultdict(list)
    for one in index.of(INSTANCE):
        if role_of(one) == role:
            members[group_of(one)].append(one)
    for group, instances in sorted(members.items(), key=lambda item: natural(item[0])):
        zones: dict[str, list[Member]] = defaultdict(list)
        for one in instances:
            zones[zone_of(index, one)].append(Member(name(one), text(one, "privateIp")))
        yield Group(group, _detail(index, instances[0]), {zone: tuple(each) for zone, each in sorted(zones.items())})


def _detail(index: Index, instance: Resource) -> str:
    """Return the instance type and the size of the attached data volume."""
    volumes = [
        volume
        for attachment in index.of(ATTACHMENT)
        if instance in index.named(attachment, "instanceId")
        for volume in index.named(attachment, "volumeId")
    ]
    sizes = [f"{text(volume, 'size')} GiB" for volume in volumes if text(volume, "size")]
    return " · ".join(filter(None, [text(instance, "instanceType"), *sizes]))


def _in_order(index: Index, roles: Iterable[str]) -> list[str]:
    """Sort roles: first those that are created last, because they depend on the others; then by name."""
    needs = {one.urn: [need.urn for need in index.needs(one)] for one in index.resources}
    heights: dict[str, int] = {}
    for urn in TopologicalSorter(needs).static_order():
        heights[urn] = 1 + max((heights[need] for need in needs[urn]), default=0)
    first = {role: min(heights[one.urn] for one in index.of(INSTANCE) if role_of(one) == role) for role in roles}
    return sorted(first, key=lambda role: (-first[role], natural(role)))
