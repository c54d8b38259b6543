"""Redundancy: the network still works after the loss of any one zone."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from policies.controls import ACCESS, FAILOVER, REDUNDANCY
from policies.graph import Graph, Resource
from policies.rule import Severity, define
from policies.views.machines import CONSENSUS, COORDINATOR, GATEWAY, SUBNET, WORKER, machines, zone_of
from policies.views.reach import ENDPOINTS, IMAGE_BUILDER, Admitted, Guarded, acl_weakness, acls, reach
from policies.views.shared import stack

ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
TABLE = "aws:ec2/routeTable:RouteTable"
ROUTE = "aws:ec2/route:Route"
NAT = "aws:ec2/natGateway:NatGateway"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared"
TUNNEL_CONFIG = "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig"
HYPERDRIVE = "cloudflare:index/hyperdriveConfig:HyperdriveConfig"

EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
INTERNET = "aws:ec2/internetGateway:InternetGateway"
TCP_PROTOCOLS = {"tcp", "6", "-1"}  # values of ipProtocol that include TCP: by name, by number, all protocols
ANYWHERE = "198.51.100.1"  # stands for any address on the internet

# The traffic that quorum, replication and failover need: source role, target role, ports.
PATHS = (
    (CONSENSUS, CONSENSUS, (2379, 2380)),
    (COORDINATOR, CONSENSUS, (2379,)),
    (WORKER, CONSENSUS, (2379,)),
    (COORDINATOR, COORDINATOR, (5432, 5434, 8008)),  # 5434: a cluster that was restored beside the groups
    (COORDINATOR, WORKER, (5432, 5434, 8008)),
    (WORKER, COORDINATOR, (5432, 5434, 8008)),
    (WORKER, WORKER, (5432, 5434, 8008)),
    (GATEWAY, COORDINATOR, (5432, 8008)),
)

# The clients of each port: source, target, port. Machines and the image builder call AWS through the endpoints.
CLIENTS = {(source, target, port) for source, target, ports in PATHS for port in ports} | {
    (source, ENDPOINTS, 443) for source in (CONSENSUS, COORDINATOR, WORKER, GATEWAY, IMAGE_BUILDER)
}


def data_subnets(graph: Graph) -> list[Resource]:
    """Subnets with machines."""
    found = (graph.target(machine.instance, "subnetId", SUBNET) for machine in machines(graph))
    return list(dict.fromkeys(subnet for subnet in found if subnet is not None))


def tunnels(graph: Graph) -> list[Resource]:
    """Tunnels."""
    return graph.of(TUNNEL)


def hyperdrives(graph: Graph) -> list[Resource]:
    """Hyperdrive configurations."""
    return graph.of(HYPERDRIVE)


def interface_endpoints(graph: Graph) -> list[Resource]:
    """Interface endpoints."""
    return [one for one in graph.of(ENDPOINT) if one.text("vpcEndpointType") == "Interface"]


@define(
    "redundancy",
    "nat-in-each-zone",
    Severity.HIGH,
    "Machines reach the internet through a NAT gateway in their own zone",
    over=data_subnets,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="route each data subnet to the NAT gateway in its own zone (components/network.py)",
)
def nat_in_each_zone(graph: Graph, subnet: Resource) -> str | None:
    """If the gateway's zone fails, machines in other zones that use it can neither upload backups nor serve queries."""
    zone = subnet.text("availabilityZone")
    tables = [
        table
        for association in graph.referring(subnet, ASSOCIATION, "subnetId")
        if (table := graph.target(association, "routeTableId", TABLE)) is not None
    ]
    routes = [
        route
        for table in tables
        for route in graph.referring(table, ROUTE, "routeTableId")
        if route.text("destinationCidrBlock") == "0.0.0.0/0"
    ]
    gateways = [gateway for route in routes for gateway in graph.targets(route, "natGatewayId", NAT)]
    if not gateways:
        return f"its default route leads to no NAT gateway, so {zone} cannot reach the internet"
    for gateway in gateways:
        home = graph.target(gateway, "subnetId", SUBNET)
        where = home.text("availabilityZone") if home is not None else "an unknown zone"
        if where != zone:
            return f"it is in {zone} and uses {gateway.name} in {where}"
        if graph.target(gateway, "allocationId", "aws:ec2/eip:Eip") is None:
            return f"its NAT gateway {gateway.name} has no Elastic IP"
        if gateway.text("connectivityType") == "private":
            return f"its NAT gateway {gateway.name} is private"
        if home is not None and not _reaches_internet(graph, home):
            return f"its NAT gateway {gateway.name} is in {home.name}, which has no route to an internet gateway"
    return None


def _reaches_internet(graph: Graph, subnet: Resource) -> bool:
    tables = [
        table
        for one in graph.referring(subnet, ASSOCIATION, "subnetId")
        for table in graph.targets(one, "routeTableId", TABLE)
    ]
    routes = [route for table in tables for route in graph.referring(table, ROUTE, "routeTableId")]
    return any(
        route.text("destinationCidrBlock") == "0.0.0.0/0" and graph.targets(route, "gatewayId", INTERNET)
        for route in routes
    )


@define(
    "redundancy",
    "endpoints-in-each-zone",
    Severity.HIGH,
    "AWS interface endpoints have an address in every zone with machines",
    over=interface_endpoints,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="give each interface endpoint a subnet in every zone (components/network.py)",
)
def endpoints_in_each_zone(graph: Graph, endpoint: Resource) -> str | None:
    """Machines use these endpoints to read secrets, decrypt data, send metrics and run health checks."""
    needed = {zone_of(graph, machine) for machine in machines(graph)}
    have = {subnet.text("availabilityZone") for subnet in graph.targets(endpoint, "subnetIds", SUBNET)}
    if missing := sorted(needed - have):
        return f"it has no address in {', '.join(missing)}"
    return None


def gateway_endpoints(graph: Graph) -> list[Resource]:
    """Gateway endpoints."""
    return [one for one in graph.of(ENDPOINT) if one.text("vpcEndpointType") == "Gateway"]


@define(
    "redundancy",
    "endpoints-in-each-route-table",
    Severity.HIGH,
    "AWS gateway endpoints are in the route table of every subnet with machines",
    over=gateway_endpoints,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="give each gateway endpoint the route tables of all data subnets (components/network.py)",
)
def endpoints_in_each_route_table(graph: Graph, endpoint: Resource) -> str | None:
    """Machines fetch their files only through the S3 endpoint. In a subnet without it, no machine could be replaced."""
    have = {table.urn for table in graph.targets(endpoint, "routeTableIds", TABLE)}
    for subnet in data_subnets(graph):
        for association in graph.referring(subnet, ASSOCIATION, "subnetId"):
            table = graph.target(association, "routeTableId", TABLE)
            if table is not None and table.urn not in have:
                return f"it is not in {table.label}, which {subnet.label} uses"
    return None


@define(
    "redundancy",
    "members-reach-each-other",
    Severity.CRITICAL,
    "Security groups admit the traffic of quorum, replication and failover",
    over=stack,
    promises=("RED-2", "RED-3"),
    controls=FAILOVER,
    remedy="restore the rule in INGRESS_RULES (model/topology.py)",
)
def members_reach_each_other(graph: Graph, _: Resource) -> str | None:
    """A standby that cannot reach the leader cannot replicate."""
    groups: dict[str, set[str]] = {}
    for machine in machines(graph):
        found = graph.targets(machine.instance, "vpcSecurityGroupIds", SECURITY_GROUP)
        groups.setdefault(machine.role, set()).update(group.urn for group in found)
    admitted: set[tuple[str, str, int]] = set()
    for rule in graph.of(INGRESS):
        target = graph.target(rule, "securityGroupId", SECURITY_GROUP)
        source = graph.target(rule, "referencedSecurityGroupId", SECURITY_GROUP)
        if rule.text("ipProtocol") not in TCP_PROTOCOLS:
            continue
        first, last = rule.number("fromPort"), rule.number("toPort")
        if target is not None and source is not None and first is not None and last is not None:
            ports = {port for _, _, needed in PATHS for port in needed if first <= port <= last}
            admitted.update((source.urn, target.urn, port) for port in ports)
    for source, target, ports in PATHS:
        for port in ports:
            if not any((a, b, port) in admitted for a in groups.get(source, ()) for b in groups.get(target, ())):
                return f"no ingress rule admits {source} machines to {target} machines on port {port}"
    return _blocked_egress(graph, groups)


def _blocked_egress(graph: Graph, groups: dict[str, set[str]]) -> str | None:
    """Return a message about the first role whose egress rules block a connection that it needs, None if there is none.

    Machines need the connections in `PATHS`, and HTTPS to the internet for backups and the tunnel.
    """
    addresses: dict[str, list[str]] = {}
    for machine in machines(graph):
        addresses.setdefault(machine.role, []).append(machine.address)
    rules = [(graph.target(rule, "securityGroupId", SECURITY_GROUP), rule) for rule in graph.of(EGRESS)]
    for source, target, ports in (*PATHS, *((role, "", (443,)) for role in groups)):
        own = [rule for group, rule in rules if group is not None and group.urn in groups.get(source, ())]
        for port in ports if source in groups else ():
            for address in addresses.get(target, ()) if target else (ANYWHERE,):
                if not any(_admits(rule, port, address) for rule in own):
                    return f"{source} machines have no egress rule to {target or 'the internet'} on port {port}"
    return None


def _admits(rule: Resource, port: int, address: str) -> bool:
    first, last, network = rule.number("fromPort"), rule.number("toPort"), rule.text("cidrIpv4")
    everything = rule.text("ipProtocol") == "-1"
    within = everything or (first is not None and last is not None and first <= port <= last)
    admits = within and bool(network) and rule.text("ipProtocol") in TCP_PROTOCOLS
    return admits and ip_address(address) in ip_network(network)


def guards(graph: Graph) -> list[Guarded | Resource]:
    """Security groups and network ACLs."""
    found = reach(graph)
    foreign = dict.fromkeys(one for one, _ in found.foreign)
    return [*(one for one in found.groups if one.in_use), *foreign, *acls(graph)]


@define(
    "redundancy",
    "only-known-clients-reach-a-port",
    Severity.CRITICAL,
    "Each port of machines and endpoints admits the roles that need it, and no other client",
    over=guards,
    promises=("RED-2", "BAK-3"),
    controls=ACCESS,
    remedy="remove the ingress rule, or add the client to INGRESS_RULES (model/topology.py) and to CLIENTS "
    "(policies/rules/network/rules.py)",
)
def only_known_clients(graph: Graph, guard: Guarded | Resource) -> str | None:
    """Ingress rules of all kinds add up: one that admits everybody defeats the others. A network ACL must allow all."""
    found = reach(graph)
    if not isinstance(guard, Guarded):
        parts = ", ".join(text for one, text in found.foreign if one is guard)
        return f"it has {parts}, which this stack does not declare" if parts else acl_weakness(graph, guard)
    for one in guard.admitted:
        if wrong := next((role for role in sorted(guard.roles or {guard.label}) if not _known(one, role)), None):
            return f"{one.rule} admits {one.source} to {wrong} on {one.ports}, which nothing needs"
    for unknown in (*found.unclear, *guard.unclear):
        raise unknown
    if ENDPOINTS in guard.roles:
        present = {role for one in found.groups for role in one.roles}
        needed = {source for source, target, _ in CLIENTS if target == ENDPOINTS} & present
        if missing := sorted(needed - {one.source for one in guard.admitted}):
            return f"no ingress rule admits {', '.join(missing)}"
    return None


def _known(admitted: Admitted, role: str) -> bool:
    return (admitted.source, role, admitted.port) in CLIENTS


@define(
    "redundancy",
    "tunnel-leads-to-the-gateways",
    Severity.HIGH,
    "Cloudflare reaches the database through any gateway",
    over=tunnels,
    promises=("RED-2", "RED-3"),
    controls=FAILOVER,
    remedy="keep the tunnel's ingress at tcp://localhost:5432, each gateway's own HAProxy (components/tunnel.py)",
)
def tunnel_leads_to_gateways(graph: Graph, tunnel: Resource) -> str | None:
    """An ingress that names one machine fails with it; `localhost` is the gateway that received the connection."""
    if tunnel.text("configSrc") == "local":
        return "configSrc is local: the declared configuration is ignored"
    configs = graph.referring(tunnel, TUNNEL_CONFIG, "tunnelId")
    for hyperdrive in graph.of(HYPERDRIVE):
        host = hyperdrive.text("origin.host")
        ingresses = [one for config in configs for one in config.items("config.ingresses")]
        first = next((one for one in ingresses if one.text("hostname") in {host, ""}), None)
        if first is None or first.text("service") != "tcp://localhost:5432":
            leads = "has no ingress rule" if first is None else f"leads to {first.text('service')}"
            return f"{host}, the host of {hyperdrive.label}, {leads}; tcp://localhost:5432 is expected"
    services = [one.text("service") for config in configs for one in config.items("config.ingresses")]
    if "tcp://localhost:5432" not in services:
        return f"no ingress leads to tcp://localhost:5432 (there are: {', '.join(services) or 'none'})"
    return None


@define(
    "redundancy",
    "nothing-stale-after-failover",
    Severity.HIGH,
    "Hyperdrive caches no query results",
    over=hyperdrives,
    promises=("RED-3",),
    controls=FAILOVER,
    remedy="set caching.disabled of the Hyperdrive configuration (components/connection.py)",
)
def nothing_stale(_: Graph, hyperdrive: Resource) -> str | None:
    """A cached result may be outdated after a failover."""
    return None if hyperdrive.flag("caching.disabled") else "caching.disabled is not true"
