"""Reach: who may connect to which port, computed from ingress rules of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from policies.graph import Graph, Resource, Unknown
from policies.packs import all_rules
from policies.rule import Outcome
from policies.views.machines import INSTANCE, SUBNET
from policies.views.reach import (
    ACL,
    ACL_ASSOCIATION,
    ACL_RULE,
    BUILDER,
    DEFAULT_ACL,
    DEFAULT_GROUP,
    GROUP,
    INGRESS_RULE,
    INTERFACE,
    INTERFACE_ATTACHMENT,
    OLD_RULE,
    VPC,
    VPC_ENDPOINT,
    acl_weakness,
    acls,
    reach,
)

from .graphs import PREFIX, graph, resource

WORKERS = resource(GROUP, "workers", {"id": "sg-w"})
GATEWAYS = resource(GROUP, "gateways", {"id": "sg-g"})


def machine(role: str, *groups: Any, **properties: Any) -> Resource:
    tags = {"Role": role, "Group": role}
    return resource(INSTANCE, f"{role}-0", {"tags": tags, "vpcSecurityGroupIds": list(groups), **properties})


WORKER, GATEWAY = machine("worker", "sg-w"), machine("gateway", "sg-g")
PORT = {"fromPort": 5432, "toPort": 5432}
NEW = {"securityGroupId": "sg-w", "ipProtocol": "tcp", **PORT}
OLD = {"type": "ingress", "securityGroupId": "sg-w", "protocol": "tcp", **PORT}
INSIDE = {"protocol": "tcp", **PORT}


def admitted(*resources: Resource, group: str = "SecurityGroup workers") -> list[tuple[str, str]]:
    """Return the sources and ports that a group admits."""
    found = reach(graph(*resources, *(one for one in (WORKERS, GATEWAYS) if one.name not in _names(resources))))
    assert not found.unclear
    return [(one.source, one.ports) for guarded in found.groups if guarded.label == group for one in guarded.admitted]


def _names(resources: tuple[Resource, ...]) -> set[str]:
    return {one.name for one in resources if one.type == GROUP}


@pytest.mark.parametrize(
    ("type", "properties", "source"),
    [
        (INGRESS_RULE, {**NEW, "cidrIpv4": "10.0.0.0/8"}, "10.0.0.0/8"),
        (INGRESS_RULE, {**NEW, "cidrIpv6": "::/0"}, "::/0"),
        (INGRESS_RULE, {**NEW, "prefixListId": "pl-1"}, "anybody in the prefix list pl-1"),
        (INGRESS_RULE, {**NEW, "referencedSecurityGroupId": "sg-g"}, "gateway"),
        (INGRESS_RULE, {**NEW, "referencedSecurityGroupId": "sg-w"}, "worker"),
        (INGRESS_RULE, {**NEW, "referencedSecurityGroupId": "1/sg-x"}, "the security group 1/sg-x"),
        (OLD_RULE, {**OLD, "cidrBlocks": ["10.0.0.0/8"]}, "10.0.0.0/8"),
        (OLD_RULE, {**OLD, "ipv6CidrBlocks": ["::/0"]}, "::/0"),
        (OLD_RULE, {**OLD, "prefixListIds": ["pl-1"]}, "anybody in the prefix list pl-1"),
        (OLD_RULE, {**OLD, "self": True}, "worker"),
        (OLD_RULE, {**OLD, "sourceSecurityGroupId": "sg-g"}, "gateway"),
        (GROUP, {"id": "sg-w", "ingress": [{**INSIDE, "cidrBlocks": ["10.0.0.0/8"]}]}, "10.0.0.0/8"),
        (GROUP, {"id": "sg-w", "ingress": [{**INSIDE, "ipv6CidrBlocks": ["::/0"]}]}, "::/0"),
        (GROUP, {"id": "sg-w", "ingress": [{**INSIDE, "prefixListIds": ["pl-1"]}]}, "anybody in the prefix list pl-1"),
        (GROUP, {"id": "sg-w", "ingress": [{**INSIDE, "self": True}]}, "worker"),
        (GROUP, {"id": "sg-w", "ingress": [{**INSIDE, "securityGroups": ["sg-g"]}]}, "gateway"),
        (GROUP, {"id": "sg-w", "ingress": [{**INSIDE, "securityGroups": ["sg-x"]}]}, "the security group sg-x"),
    ],
)
def test_each_kind_of_rule_admits_its_source(type: str, properties: dict[str, Any], source: str) -> None:
    assert admitted(WORKER, GATEWAY, resource(type, "workers", properties)) == [(source, "tcp 5432")]


def test_egress_rules_and_rules_of_foreign_groups_admit_nothing() -> None:
    egress = resource(OLD_RULE, "e", {**OLD, "type": "egress", "cidrBlocks": ["0.0.0.0/0"]})
    foreign = resource(INGRESS_RULE, "f", {**NEW, "securityGroupId": "sg-x", "cidrIpv4": "0.0.0.0/0"})
    assert admitted(WORKER, egress, foreign) == []


@pytest.mark.parametrize(
    ("protocol", "first", "last", "ports", "port"),
    [
        ("tcp", 22, 22, "tcp 22", 22),
        ("6", 22, 22, "6 22", 22),
        ("tcp", 22, 23, "tcp 22 to 23", None),
        ("udp", 22, 22, "udp 22", None),
        ("-1", None, None, "every port", None),
        ("-1", 22, 22, "every port", None),
    ],
)
def test_ports(protocol: str, first: int | None, last: int | None, ports: str, port: int | None) -> None:
    rule = resource(
        INGRESS_RULE,
        "r",
        {"securityGroupId": "sg-w", "ipProtocol": protocol, "fromPort": first, "toPort": last, "cidrIpv4": "0.0.0.0/0"},
    )
    (found,) = reach(graph(WORKERS, rule)).groups[0].admitted
    assert (found.ports, found.port) == (ports, port)


def test_the_default_group_is_also_named_by_its_vpc() -> None:
    vpc = resource(VPC, "v", {"id": "vpc-1", "defaultSecurityGroupId": "sg-d"})
    default = resource(DEFAULT_GROUP, "d", {"vpcId": "vpc-1"})
    rule = resource(INGRESS_RULE, "r", {**NEW, "securityGroupId": "sg-d", "cidrIpv4": "0.0.0.0/0"})
    label = "DefaultSecurityGroup d"
    assert admitted(vpc, default, rule, group=label) == [("0.0.0.0/0", "tcp 5432")]
    later = resource(
        INGRESS_RULE,
        "r",
        {**NEW, "securityGroupId": Unknown.LATER, "cidrIpv4": "0.0.0.0/0"},
        property_dependencies={"securityGroupId": (vpc.urn,)},
    )
    assert admitted(vpc, default, later, group=label) == [("0.0.0.0/0", "tcp 5432")]


def test_unknown_groups_are_resolved_by_dependency() -> None:
    group = resource(GROUP, "workers", {"id": Unknown.LATER, "ingress": Unknown.LATER}, inputs={})
    needs = {"securityGroupId": (group.urn,), "referencedSecurityGroupId": (group.urn,)}
    later = {"securityGroupId": Unknown.LATER, "referencedSecurityGroupId": Unknown.LATER}
    rule = resource(INGRESS_RULE, "r", {**NEW, **later}, property_dependencies=needs)
    in_it = resource(
        INSTANCE,
        "w",
        {"tags": {"Role": "worker"}, "vpcSecurityGroupIds": [Unknown.LATER]},
        property_dependencies={"vpcSecurityGroupIds": (group.urn,)},
    )
    assert admitted(group, rule, in_it) == [("worker", "tcp 5432")]
    without = resource(INGRESS_RULE, "r", {**NEW, **later})
    assert len(reach(graph(group, without)).unclear) == 1
    unreadable = resource(INGRESS_RULE, "r", {**NEW, "cidrIpv4": Unknown.LATER})
    (found,) = reach(graph(WORKERS, unreadable)).groups
    assert len(found.unclear) == 1
    lists = resource(INGRESS_RULE, "r", {**NEW, "prefixListId": Unknown.LATER})
    assert admitted(lists) == [("anybody in a prefix list", "tcp 5432")]


def roles(*resources: Resource) -> tuple[set[str], bool]:
    """Return the roles in the gateways' group, and whether something of the platform is in it."""
    (found,) = (one for one in reach(graph(GATEWAYS, *resources)).groups if one.group is GATEWAYS)
    return found.roles, found.in_use


def test_who_is_in_a_group() -> None:
    endpoint = resource(VPC_ENDPOINT, "e", {"vpcEndpointType": "Interface", "securityGroupIds": ["sg-g"]})
    builder = resource(BUILDER, "b", {"securityGroupIds": ["sg-g"]})
    assert roles(GATEWAY, endpoint, builder) == ({"gateway", "endpoints", "builder"}, True)
    function = resource("aws:lambda/function:Function", "f", {"vpcConfig": {"securityGroupIds": ["sg-g"]}})
    assert roles(function) == ({"Function f"}, False)
    assert roles(resource(INSTANCE, "bastion", {"vpcSecurityGroupIds": ["sg-g"]})) == ({"Instance bastion"}, False)
    interface = resource(INTERFACE, "i", {"id": "eni-1", "securityGroups": ["sg-g"]})
    assert roles(interface) == ({"NetworkInterface i"}, False)
    attachment = resource(INTERFACE_ATTACHMENT, "a", {"networkInterfaceId": "eni-1", "instanceId": "i-1"})
    assert roles(interface, attachment) == ({"NetworkInterface i"}, True)
    beside = Graph([GATEWAYS, GATEWAY], [machine("worker", "sg-g")])
    assert reach(beside).groups[0].roles == {"gateway", "Instance worker-0"}


def test_groups_that_the_stack_does_not_declare_are_foreign() -> None:
    listed = [
        machine("worker", "sg-w", "sg-x"),
        machine("gateway", securityGroups=["default"]),
        resource(VPC_ENDPOINT, "e", {"vpcEndpointType": "Interface"}),
        resource(VPC_ENDPOINT, "s3", {"vpcEndpointType": "Gateway"}),
        machine("consensus", "sg-w", networkInterfaces=[{"networkInterfaceId": "eni-1", "deviceIndex": 1}]),
        resource(INTERFACE_ATTACHMENT, "a", {"networkInterfaceId": "eni-2", "instanceId": "i-1"}),
    ]
    found = [(one.name, text) for one, text in reach(graph(WORKERS, *listed)).foreign]
    assert found == [
        ("worker-0", "the group sg-x"),
        ("gateway-0", "the default group of its VPC"),
        ("gateway-0", "groups by name (securityGroups)"),
        ("e", "the default group of its VPC"),
        ("consensus-0", "the network interface eni-1"),
        ("a", "the network interface eni-2"),
    ]


# -- network ACLs

ALL = {"action": "allow", "ruleNo": 100, "protocol": "-1", "cidrBlock": "0.0.0.0/0"}


@pytest.mark.parametrize(
    ("ingress", "wrong"),
    [
        ([ALL], None),
        ([ALL, {**ALL, "ruleNo": 200, "action": "deny"}], None),
        ([{"action": "deny", "ruleNo": 1, "protocol": "-1", "ipv6CidrBlock": "::/0"}, ALL], None),
        ([ALL, {**ALL, "ruleNo": 1, "action": "deny"}], "its first ingress rule does not allow all traffic"),
        ([{**ALL, "protocol": "tcp"}], "its first ingress rule does not allow all traffic"),
        ([{**ALL, "cidrBlock": "10.0.0.0/8"}], "its first ingress rule does not allow all traffic"),
        ([], "it has no ingress rule, so it denies all traffic"),
    ],
)
def test_a_network_acl_allows_all_or_fails(ingress: list[dict[str, Any]], wrong: str | None) -> None:
    acl = resource(ACL, "a", {"id": "acl-1", "ingress": ingress, "egress": [ALL]})
    assert acl_weakness(graph(acl), acl) == wrong


def test_rules_of_a_network_acl_count() -> None:
    acl = resource(ACL, "a", {"id": "acl-1", "ingress": [ALL], "egress": [ALL]})
    number = {"networkAclId": "acl-1", "ruleNumber": 1, "protocol": "-1", "cidrBlock": "0.0.0.0/0", "egress": True}
    rule = resource(ACL_RULE, "r", {**number, "ruleAction": "deny"})
    assert acl_weakness(graph(acl, rule), acl) == "its first egress rule does not allow all traffic"
    assert acls(graph(acl, rule)) == [acl]
    for part in (rule, resource(ACL_ASSOCIATION, "s", {"networkAclId": "acl-2"})):
        assert acls(graph(part)) == [part]
        assert acl_weakness(graph(part), part) == "it belongs to a network ACL that this stack does not declare"


def test_network_acls_of_other_vpcs_do_not_matter() -> None:
    ours, theirs = (resource(VPC, name, {"id": name}) for name in ("ours", "theirs"))
    subnet = resource(SUBNET, "s", {"id": "s", "vpcId": "ours"})
    here = resource(DEFAULT_ACL, "here", {}, property_dependencies={"defaultNetworkAclId": (ours.urn,)})
    there = resource(ACL, "there", {}, property_dependencies={"vpcId": (theirs.urn,)})
    unclear = resource(ACL, "unclear")
    found = acls(graph(ours, theirs, subnet, machine("worker", subnetId="s"), here, there, unclear))
    assert [one.name for one in found] == ["unclear", "here"]


# -- the rule


def verdict(*resources: Resource) -> list[str]:
    rule = next(one for one in all_rules() if one.id == "only-known-clients-reach-a-port")
    found = rule.verdicts(graph(WORKERS, *resources))
    return [f"{one.label}: {one.message}" for one in found if one.outcome is Outcome.FAIL]


def test_only_listed_clients_pass() -> None:
    allowed = resource(INGRESS_RULE, "r", {**NEW, "referencedSecurityGroupId": "sg-w"})
    assert verdict(WORKER, allowed) == []
    denied = resource(OLD_RULE, "open", {**OLD, "cidrBlocks": ["0.0.0.0/0"]})
    assert verdict(WORKER, allowed, denied) == [
        "SecurityGroup workers: SecurityGroupRule open admits 0.0.0.0/0 to worker on tcp 5432, which nothing needs"
    ]


def test_endpoints_admit_every_client_that_is_there() -> None:
    group = resource(GROUP, "endpoints", {"id": "sg-e"})
    endpoint = resource(VPC_ENDPOINT, "e", {"vpcEndpointType": "Interface", "securityGroupIds": ["sg-e"]})
    assert verdict(WORKER, group, endpoint) == ["SecurityGroup endpoints: no ingress rule admits worker"]


def test_labels_are_those_of_the_stack() -> None:
    (found,) = reach(graph(WORKERS)).groups
    assert (found.urn, found.label) == (f"{PREFIX}{GROUP}::workers", "SecurityGroup workers")
