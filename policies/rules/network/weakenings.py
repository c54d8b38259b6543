"""Weakenings of the network: NAT gateways, endpoints, security groups, and the tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from policies.graph import Graph, Resource, Value
from policies.mutation.operators import (
    Mutant,
    Operator,
    Where,
    add,
    anything,
    assigned,
    declared,
    drop,
    each,
    having,
    named,
    put,
    relink,
    replaced,
    revised,
)
from policies.mutation.weakening import Weakenings
from policies.rules.network.rules import (
    ASSOCIATION,
    EGRESS,
    ENDPOINT,
    HYPERDRIVE,
    INGRESS,
    INTERNET,
    NAT,
    ROUTE,
    TUNNEL,
    TUNNEL_CONFIG,
)
from policies.views.machines import INSTANCE, SUBNET
from policies.views.reach import (
    ACL,
    ACL_ASSOCIATION,
    ACL_RULE,
    ASSOCIATIONS,
    BUILDER,
    DEFAULT_ACL,
    DEFAULT_GROUP,
    GROUP,
    INTERFACE,
    OLD_RULE,
    VPC,
)

MACHINE = "10.20.0.5"


def other_nat(graph: Graph, route: Resource) -> Resource | None:
    """Return a NAT gateway that a route does not lead to, or None if it leads to none."""
    own = graph.target(route, "natGatewayId", NAT)
    return next((one for one in graph.of(NAT) if one is not own), None) if own is not None else None


def between_members(rule: Resource) -> bool:
    """Accept ingress rules between members."""
    return "endpoints" not in rule.name


def of_machines_for_https(rule: Resource) -> bool:
    """Accept the rules by which machines reach HTTPS; the image builder has one of its own."""
    return rule.name.startswith("network-") and rule.name.endswith("-https")


def _with_one_table(graph: Graph, endpoint: Resource) -> Resource | None:
    """Return a gateway endpoint in the first of its route tables only."""
    if endpoint.properties.get("vpcEndpointType") != "Gateway":
        return None
    first, *_ = endpoint.property_dependencies["routeTableIds"]
    table = graph.get(first)
    only = assigned(endpoint, "routeTableIds", [table.properties.get("id") if table is not None else None])
    if only is None:
        return None
    return revised(only, property_dependencies={**only.property_dependencies, "routeTableIds": (first,)})


def group_of(graph: Graph, name: str) -> str:
    """Return the id of a security group."""
    return next(str(one.properties["id"]) for one in graph.of(GROUP) if one.name == name)


def admitting(type: str, /, **properties: Any) -> Operator:
    """Add an ingress rule; values that begin with `group ` are the ids of security groups."""

    def make(graph: Graph) -> Resource:
        given = {key: _id(graph, value) for key, value in properties.items()}
        return declared(graph, type, "more", {"id": "more", **given})

    return add(make)


def _id(graph: Graph, value: Any) -> Any:
    if isinstance(value, list):
        return [_id(graph, one) for one in cast("list[Any]", value)]
    named_group = isinstance(value, str) and value.startswith("group ")
    return group_of(graph, value.removeprefix("group ")) if named_group else value


def rule(**properties: Any) -> Operator:
    """Add an ingress rule that admits to workers on PostgreSQL's port."""
    defaults = {"securityGroupId": "group network-worker", "ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432}
    return admitting(INGRESS, **{**defaults, **properties})


def old_rule(**properties: Any) -> Operator:
    """Add an old-style ingress rule that admits to workers on PostgreSQL's port."""
    defaults = {"securityGroupId": "group network-worker", "protocol": "tcp", "fromPort": 5432, "toPort": 5432}
    return admitting(OLD_RULE, type="ingress", **{**defaults, **properties})


def inside(type: str, where: Where = anything, **properties: Any) -> Operator:
    """Add an ingress rule inside a group."""
    defaults = {"protocol": "tcp", "fromPort": 22, "toPort": 22}
    return put(type, "ingress", [{**defaults, **properties}], where)


def in_group_of(name: str, where: Where) -> Operator:
    """Put one machine into another group, too."""

    def change(graph: Graph, machine: Resource) -> Resource | None:
        return assigned(machine, "vpcSecurityGroupIds", lambda ids: [*ids, group_of(graph, name)])

    return each(INSTANCE, where, change)


def in_a_group_of_its_own(type: str, path: str, where: Where = anything) -> Operator:
    """Put one resource into a new group that admits everybody, beside its own groups."""

    def make(graph: Graph) -> Iterator[Mutant]:
        admits: list[Value] = [{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}]
        group = declared(graph, GROUP, "more", {"id": "sg-more", "ingress": admits})
        for one in filter(where, graph.of(type)):
            changed = assigned(one, path, lambda ids: [*ids, "sg-more"])
            if changed is not None:
                yield Mutant(one.label, Graph([*replaced(graph, changed).resources, group]))

    return make


def acl(**properties: Any) -> Operator:
    """Add a network ACL to the platform's VPC."""

    def make(graph: Graph) -> Resource:
        vpc = graph.of(VPC)[0]
        type = ACL if "subnetIds" in properties else DEFAULT_ACL
        named_by = "vpcId" if type == ACL else "defaultNetworkAclId"
        return declared(graph, type, "more", {"id": "more", **properties}, {named_by: (vpc.urn,)})

    return add(make)


ALL = {"action": "allow", "ruleNo": 100, "protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlock": "0.0.0.0/0"}
NO_POSTGRES = {**ALL, "action": "deny", "ruleNo": 50, "protocol": "tcp", "fromPort": 5432, "toPort": 5432}

WEAKENINGS: Weakenings = {
    "nat-in-each-zone": {
        "a zone uses another zone's NAT gateway": relink(ROUTE, "natGatewayId", other_nat),
        "a NAT gateway is not declared": drop(NAT),
        "a NAT gateway's subnet is in another zone": put(SUBNET, "availabilityZone", "eu-central-1z", named("public")),
        "a zone's default route is not declared": drop(ROUTE, named("-data-")),
        "a subnet has no route table": drop(ASSOCIATION, named("-data")),
        "a NAT gateway has no address": drop("aws:ec2/eip:Eip"),
        "a NAT gateway is private": put(NAT, "connectivityType", "private"),
        "the public subnets have no default route": drop(ROUTE, named("public")),
        "the internet gateway is not declared": drop(INTERNET),
    },
    "endpoints-in-each-route-table": {
        "the S3 endpoint is in one route table only": each(ENDPOINT, anything, _with_one_table),
    },
    "endpoints-in-each-zone": {
        "an endpoint has no address in a zone": put(
            ENDPOINT, "subnetIds", lambda ids: ids[:-1], having("vpcEndpointType", "Interface")
        ),
    },
    "members-reach-each-other": {
        "an ingress rule between members is not declared": drop(INGRESS, between_members),
        "an ingress rule is for another port": put(INGRESS, "toPort", 1, between_members),
        "an ingress rule is for UDP": put(INGRESS, "ipProtocol", "udp", between_members),
        "the egress rule to members is not declared": drop(EGRESS, named("-inside")),
        "the egress rule is for another network": put(EGRESS, "cidrIpv4", "192.0.2.0/24", named("-inside")),
        "the egress rule for HTTPS is not declared": drop(EGRESS, of_machines_for_https),
    },
    "tunnel-leads-to-the-gateways": {
        "the tunnel leads to one machine": put(TUNNEL_CONFIG, "config.ingresses[0].service", "tcp://10.20.16.24:5432"),
        "the tunnel has no ingress": drop(TUNNEL_CONFIG),
        "Hyperdrive's host has no ingress": put(HYPERDRIVE, "origin.host", MACHINE),
        "the tunnel's first ingress leads to one machine": put(
            TUNNEL_CONFIG, "config.ingresses", lambda told: [{"service": f"tcp://{MACHINE}:5432"}, *told]
        ),
        "the tunnel's configuration is local": put(TUNNEL, "configSrc", "local"),
    },
    "nothing-stale-after-failover": {"Hyperdrive caches query results": put(HYPERDRIVE, "caching.disabled", False)},
    "only-known-clients-reach-a-port": {
        "a rule admits every address": rule(cidrIpv4="0.0.0.0/0"),
        "a rule admits the VPC's addresses": rule(cidrIpv4="10.20.0.0/16"),
        "a rule admits every IPv6 address": rule(cidrIpv6="::/0"),
        "a rule admits a prefix list": rule(prefixListId="pl-1"),
        "a rule admits a group of another stack": rule(referencedSecurityGroupId="sg-1"),
        "a rule admits gateways to workers": rule(referencedSecurityGroupId="group network-gateway"),
        "a rule admits the image builder to workers": rule(referencedSecurityGroupId="group image-builder"),
        "a rule admits endpoints to workers": rule(referencedSecurityGroupId="group network-endpoints"),
        "a rule admits SSH": rule(referencedSecurityGroupId="group network-worker", fromPort=22, toPort=22),
        "a rule admits all protocols": rule(referencedSecurityGroupId="group network-worker", ipProtocol="-1"),
        "a rule admits to the image builder": rule(
            securityGroupId="group image-builder", referencedSecurityGroupId="group network-worker"
        ),
        "a rule admits the internet to the endpoints": rule(
            securityGroupId="group network-endpoints", cidrIpv4="0.0.0.0/0", fromPort=443, toPort=443
        ),
        "a rule has more ports": put(INGRESS, "toPort", lambda port: port + 1),
        "a rule has fewer bounds": put(INGRESS, "fromPort", 0),
        "a rule is for UDP": put(INGRESS, "ipProtocol", "udp"),
        "a rule of the endpoints is not declared": drop(INGRESS, named("to-endpoints")),
        "an old rule admits every address": old_rule(cidrBlocks=["192.0.2.0/24", "0.0.0.0/0"]),
        "an old rule admits every IPv6 address": old_rule(ipv6CidrBlocks=["::/0"]),
        "an old rule admits a prefix list": old_rule(prefixListIds=["pl-1"]),
        "an old rule admits gateways to workers": old_rule(sourceSecurityGroupId="group network-gateway"),
        "an old rule admits workers to each other on SSH": old_rule(self=True, fromPort=22, toPort=22),
        "a group admits every address": inside(GROUP, cidrBlocks=["0.0.0.0/0"]),
        "a group admits every IPv6 address": inside(GROUP, ipv6CidrBlocks=["::/0"]),
        "a group admits a prefix list": inside(GROUP, prefixListIds=["pl-1"]),
        "a group admits itself": inside(GROUP, self=True),
        "a group admits a group of another stack": inside(GROUP, securityGroups=["sg-1"]),
        "the default group admits itself": inside(DEFAULT_GROUP, self=True, protocol="-1"),
        "the default group admits every address": inside(DEFAULT_GROUP, cidrBlocks=["0.0.0.0/0"]),
        "a gateway is in the workers' group": in_group_of("network-worker", named("gateway")),
        "a gateway is in the endpoints' group": in_group_of("network-endpoints", named("gateway")),
        "a machine is in a group that admits everybody": in_a_group_of_its_own(INSTANCE, "vpcSecurityGroupIds"),
        "an endpoint is in a group that admits everybody": in_a_group_of_its_own(
            ENDPOINT, "securityGroupIds", having("vpcEndpointType", "Interface")
        ),
        "the image builder is in a group that admits everybody": in_a_group_of_its_own(BUILDER, "securityGroupIds"),
        "a machine is in a group of another stack": put(INSTANCE, "vpcSecurityGroupIds", lambda ids: [*ids, "sg-1"]),
        "an endpoint is in a group of another stack": put(
            ENDPOINT, "securityGroupIds", ["sg-1"], having("vpcEndpointType", "Interface")
        ),
        "another machine is in the workers' group": admitting(
            INSTANCE, vpcSecurityGroupIds=["group network-worker"], tags={"Name": "bastion"}
        ),
        "a function is in the workers' group": admitting(
            "aws:lambda/function:Function", vpcConfig=["group network-worker"]
        ),
        "a machine has a network interface of another stack": put(
            INSTANCE, "networkInterfaces", [{"networkInterfaceId": "eni-1", "deviceIndex": 1}]
        ),
        "a network interface is in the gateways' group": admitting(INTERFACE, securityGroups=["group network-gateway"]),
        "a network interface gets the workers' group": admitting(
            ASSOCIATIONS[0], networkInterfaceId="eni-1", securityGroupId="group network-worker"
        ),
        "the default network ACL denies all": acl(),
        "the default network ACL denies PostgreSQL": acl(ingress=[ALL, NO_POSTGRES], egress=[ALL]),
        "a network ACL denies all": acl(subnetIds=["subnet-1"]),
        "a network ACL allows HTTPS only": acl(
            subnetIds=["subnet-1"], ingress=[{**ALL, "protocol": "tcp", "fromPort": 443, "toPort": 443}], egress=[ALL]
        ),
        "a network ACL allows no egress": acl(subnetIds=["subnet-1"], ingress=[ALL]),
        "a network ACL of another stack has another rule": admitting(
            ACL_RULE, networkAclId="acl-1", ruleNumber=1, ruleAction="deny", protocol="-1", cidrBlock="0.0.0.0/0"
        ),
        "a subnet uses a network ACL of another stack": admitting(
            ACL_ASSOCIATION, networkAclId="acl-1", subnetId="subnet-1"
        ),
    },
}
