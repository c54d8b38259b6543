"""Facts of VPCs, subnets, gateways, routes, endpoints and security groups.

Limits: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html and the EC2 API reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.clouds import rules
from sandbox.clouds.facts import Cidr, Computed, EvaluationContext, Facts
from sandbox.provider import CheckFailure
from sandbox.values import UNKNOWN, Properties

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
GATEWAY = "aws:ec2/internetGateway:InternetGateway"
EIP = "aws:ec2/eip:Eip"
NAT = "aws:ec2/natGateway:NatGateway"
ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"
ROUTE = "aws:ec2/route:Route"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
INSTANCE = "aws:ec2/instance:Instance"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"

# -1 means "all" for ICMP types and for protocols.
PORT = rules.between(-1, 65535)
PROTOCOLS = ("tcp", "udp", "icmp", "icmpv6", "-1")


def arn(service: str, resource: str) -> str:
    """Return the template of a regional ARN."""
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{resource}"


def ec2(prefix: str, noun: str, computed: dict[str, Computed] | None = None, **others: Any) -> Facts:
    """Return the facts of an EC2 object: an id with `prefix`, an ARN with `noun`, and an owner."""
    usual: dict[str, Computed] = {"arn": arn("ec2", f"{noun}/{{id}}"), "ownerId": "{account}"}
    return Facts(id=f"{prefix}-{{hex17}}", computed={**usual, **(computed or {})}, **others)


def protocol(value: str) -> str | None:
    """Accept a security group rule's protocol: a name, or an IANA number."""
    if value in PROTOCOLS or (value.isdigit() and int(value) <= 255):
        return None
    return f"{value!r} is not a protocol; allowed are {', '.join(PROTOCOLS)} (all) and numbers from 0 to 255"


def _one_peer(inputs: Properties) -> Iterator[CheckFailure]:
    peers = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
    given = [name for name in peers if inputs.get(name) is not None]
    if len(given) != 1:
        yield CheckFailure(given[1] if given else peers[0], f"set exactly one of {', '.join(peers)}")


def _ports(inputs: Properties) -> Iterator[CheckFailure]:
    first, last = inputs.get("fromPort"), inputs.get("toPort")
    if inputs.get("ipProtocol") in {"tcp", "udp"} and (first is None or last is None):
        missing = "fromPort" if first is None else "toPort"
        yield CheckFailure(missing, "is required for tcp and udp; set a port from 0 to 65535")
    if inputs.get("ipProtocol") == "-1" and first not in {None, -1, UNKNOWN}:
        yield CheckFailure("fromPort", "is not allowed if ipProtocol is -1, which means all ports; remove it")
    if isinstance(first, int) and isinstance(last, int) and first > last:
        yield CheckFailure("toPort", f"{last} is below fromPort {first}; swap them")


def _one_target(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that a route has exactly one target."""
    targets = tuple(
        name for name in inputs if name.endswith(("GatewayId", "InterfaceId", "EndpointId", "ConnectionId"))
    )
    given = [name for name in (*targets, "gatewayId") if inputs.get(name) is not None]
    if len(set(given)) != 1:
        yield CheckFailure("gatewayId", "set exactly one target: gatewayId, natGatewayId, networkInterfaceId, …")


def _endpoint(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that an interface endpoint has no route tables, and a gateway endpoint no subnets or security groups."""
    interface = inputs.get("vpcEndpointType", "Gateway") == "Interface"
    wrong = ("routeTableIds",) if interface else ("subnetIds", "securityGroupIds", "privateDnsEnabled")
    for name in wrong:
        if inputs.get(name) not in (None, [], False):
            kind = "an Interface" if interface else "a Gateway"
            yield CheckFailure(name, f"is not valid for {kind} endpoint; remove it, or correct vpcEndpointType")


def _nat(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("connectivityType", "public") == "public" and inputs.get("allocationId") is None:
        yield CheckFailure("allocationId", "is required for a public NAT gateway; set it to the id of an Eip")


def _public_ip(context: EvaluationContext) -> str:
    # 203.0.113.0/24 is reserved for documentation (RFC 5737), so simulated addresses belong to no real host.
    return f"203.0.113.{int(context['hex2'], 16)}"


_VPC_CONTENTS = (SUBNET, GROUP, GATEWAY, ROUTE_TABLE, ENDPOINT)
_RULE = Facts(
    id="sgr-{hex17}",
    computed={"arn": arn("ec2", "security-group-rule/{id}"), "securityGroupRuleId": "{id}"},
    replaces=("securityGroupId",),
    rules={
        "ipProtocol": protocol,
        "fromPort": PORT,
        "toPort": PORT,
        "cidrIpv4": rules.cidr4(),
        "cidrIpv6": rules.cidr6,
        "description": rules.at_most_characters(255),
    },
    inputs_rules=(_one_peer, _ports),
    references={"securityGroupId": GROUP, "referencedSecurityGroupId": GROUP},
    unique=(
        ("securityGroupId", "ipProtocol", "fromPort", "toPort", "cidrIpv4"),
        ("securityGroupId", "ipProtocol", "fromPort", "toPort", "referencedSecurityGroupId"),
    ),
)

TYPES = {
    VPC: ec2(
        "vpc",
        "vpc",
        {
            "defaultNetworkAclId": "acl-{hex17}",
            "defaultRouteTableId": "rtb-{hex17}",
            "defaultSecurityGroupId": "sg-{hex17}",
            "mainRouteTableId": "rtb-{hex17}",
            "dhcpOptionsId": "dopt-{hex17}",
            "ipv6AssociationId": None,
            "ipv6CidrBlock": None,
        },
        defaults={"enableDnsSupport": True, "instanceTenancy": "default"},
        replaces=("cidrBlock", "instanceTenancy", "ipv4IpamPoolId"),
        rules={"cidrBlock": rules.cidr4(16, 28), "instanceTenancy": rules.one_of("default", "dedicated")},
        deletion_blocked_by=_VPC_CONTENTS,
    ),
    SUBNET: ec2(
        "subnet",
        "subnet",
        {"availabilityZone": "{region}a", "availabilityZoneId": "{region}-az1", "ipv6CidrBlock": None},
        replaces=("vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId"),
        rules={
            "cidrBlock": rules.cidr4(16, 28),
            "availabilityZone": rules.text(r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "a zone such as eu-central-1a"),
        },
        references={"vpcId": VPC},
        cidr=Cidr("cidrBlock", owner="vpcId", kind=VPC),
        unique=(("vpcId", "cidrBlock"),),
        deletion_blocked_by=(INSTANCE, NAT, INTERFACE, ENDPOINT),
    ),
    GATEWAY: ec2("igw", "internet-gateway", references={"vpcId": VPC}, unique=(("vpcId",),)),
    EIP: Facts(
        id="eipalloc-{hex17}",
        computed={
            "arn": arn("ec2", "elastic-ip/{id}"),
            "allocationId": "{id}",
            "publicIp": _public_ip,
            "publicDns": "ec2-{hex8}.compute.sandbox.example",
            "associationId": None,
            "instance": None,
            "networkInterface": None,
        },
        defaults={"domain": "vpc"},
        replaces=("domain", "publicIpv4Pool", "address"),
        rules={"domain": rules.one_of("vpc", "standard")},
        deletion_blocked_by=(NAT,),
    ),
    NAT: Facts(
        id="nat-{hex17}",
        computed={
            "networkInterfaceId": "eni-{hex17}",
            "associationId": "eipassoc-{hex17}",
            "publicIp": lambda context: (context.objects.look(EIP, context.get("allocationId")) or {}).get("publicIp"),
            "privateIp": None,
        },
        defaults={"connectivityType": "public"},
        replaces=("subnetId", "allocationId", "connectivityType", "privateIp"),
        rules={"connectivityType": rules.one_of("public", "private"), "privateIp": rules.ipv4},
        inputs_rules=(_nat,),
        references={"subnetId": SUBNET, "allocationId": EIP},
        unique=(("allocationId",),),
    ),
    ROUTE_TABLE: ec2(
        "rtb", "route-table", replaces=("vpcId",), references={"vpcId": VPC}, deletion_blocked_by=(ASSOCIATION,)
    ),
    ROUTE: Facts(
        id="r-{routeTableId}{hex10}",
        computed={"origin": "CreateRoute", "state": "active"},
        replaces=("routeTableId", "destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId"),
        rules={"destinationCidrBlock": rules.cidr4(), "destinationIpv6CidrBlock": rules.cidr6},
        inputs_rules=(_one_target,),
        references={
            "routeTableId": ROUTE_TABLE,
            "natGatewayId": NAT,
            "gatewayId": GATEWAY,
            "networkInterfaceId": INTERFACE,
        },
        unique=(("routeTableId", "destinationCidrBlock"), ("routeTableId", "destinationIpv6CidrBlock")),
    ),
    ASSOCIATION: Facts(
        id="rtbassoc-{hex17}",
        replaces=("subnetId", "gatewayId"),
        references={"subnetId": SUBNET, "routeTableId": ROUTE_TABLE, "gatewayId": GATEWAY},
        unique=(("subnetId",), ("gatewayId",)),
    ),
    ENDPOINT: ec2(
        "vpce",
        "vpc-endpoint",
        {
            "state": "available",
            "prefixListId": "pl-{hex8}",
            "networkInterfaceIds": [],
            "dnsEntries": [],
            "cidrBlocks": [],
            "requesterManaged": False,
            "ipAddressType": "ipv4",
        },
        defaults={"vpcEndpointType": "Gateway", "privateDnsEnabled": False},
        replaces=("vpcId", "serviceName", "vpcEndpointType"),
        rules={
            "vpcEndpointType": rules.one_of(
                "Gateway", "Interface", "GatewayLoadBalancer", "Resource", "ServiceNetwork"
            ),
            "serviceName": rules.text(
                r"((cn\.)?com\.amazonaws|aws)\..+", "a service name such as com.amazonaws.REGION.s3"
            ),
            "policy": rules.iam_policy,
        },
        inputs_rules=(_endpoint,),
        references={
            "vpcId": VPC,
            "subnetIds[]": SUBNET,
            "securityGroupIds[]": GROUP,
            "routeTableIds[]": ROUTE_TABLE,
        },
    ),
    FLOW_LOG: Facts(
        id="fl-{hex17}",
        computed={
            "arn": arn("ec2", "vpc-flow-log/{id}"),
            "logFormat": "${{version}} ${{account-id}} ${{interface-id}}",
        },
        defaults={"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600},
        # A flow log cannot be updated in place.
        replaces=(
            "iamRoleArn",
            "logDestination",
            "logDestinationType",
            "logFormat",
            "maxAggregationInterval",
            "subnetId",
            "trafficType",
            "vpcId",
        ),
        rules={
            "trafficType": rules.one_of("ACCEPT", "REJECT", "ALL"),
            "maxAggregationInterval": rules.one_of(60, 600),
            "logDestinationType": rules.one_of("cloud-watch-logs", "s3", "kinesis-data-firehose"),
        },
        references={"vpcId": VPC, "subnetId": SUBNET},
    ),
    GROUP: ec2(
        "sg",
        "security-group",
        defaults={"description": "Managed by Pulumi"},
        replaces=("name", "namePrefix", "description", "vpcId"),
        rules={
            "name": rules.text(r"(?!sg-).{1,255}", "1 to 255 characters, not starting with sg-"),
            "description": rules.at_most_characters(255),
            "ingress[].fromPort": PORT,
            "ingress[].toPort": PORT,
            "ingress[].protocol": protocol,
            "egress[].fromPort": PORT,
            "egress[].toPort": PORT,
            "egress[].protocol": protocol,
        },
        references={"vpcId": VPC},
        unique=(("vpcId", "name"),),
        deletion_blocked_by=(INSTANCE, ENDPOINT, INTERFACE, LAUNCH_TEMPLATE, INGRESS, EGRESS),
        autoname="name",
    ),
    INGRESS: _RULE,
    EGRESS: _RULE,
}
