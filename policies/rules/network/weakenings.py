"""Weakenings of the network: NAT gateways, endpoints, security groups, and the tunnel."""

from __future__ import annotations

from policies.graph import Graph, Resource
from policies.mutation.operators import anything, assigned, drop, each, having, named, put, relink, revised
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
from policies.views.machines import SUBNET

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
}
