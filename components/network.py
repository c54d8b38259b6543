"""The network: a VPC over three availability zones, and security groups with the rules of `topology.INGRESS_RULES`."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from components.policy_documents import assumed_by, policy
from model.topology import INGRESS_RULES, Role, Topology, Zone

# AWS services that machines call through private endpoints: SSM with its channels, KMS, Secrets Manager, logs, metrics.
# The SSM agent of Debian's image still falls back to ec2messages.
INTERFACE_ENDPOINTS = ("ssm", "ssmmessages", "ec2messages", "kms", "secretsmanager", "logs", "monitoring")
FLOW_LOG_DAYS = 90
# cloudflared connects to port 7844 over QUIC (UDP) or, if that is blocked, over HTTP/2 (TCP).
TUNNEL_PORT = 7844


@dataclass(frozen=True)
class NetworkArgs:
    """The topology."""

    topology: Topology


class Network(ComponentResource):
    """`backbuild:index:Network`: a VPC over three zones.

    Makes: the VPC, its default security group without rules; an internet gateway; for each zone a public subnet with a
    NAT gateway and a data subnet with its own route table; a gateway endpoint for S3 and interface endpoints for the
    AWS services that machines call; flow logs; and a security group for each role with the rules of
    `topology.INGRESS_RULES`.
    """

    vpc_id: Output[str]
    """The VPC."""
    subnet_ids: dict[str, Output[str]]
    """Zone name to data subnet."""
    security_group_ids: dict[Role, Output[str]]
    """Role to security group."""
    endpoint_group_id: Output[str]
    """The security group of the interface endpoints."""
    storage_endpoint_id: Output[str]
    """The gateway endpoint through which machines reach S3."""
    ready: list[pulumi.Resource]
    """The resources that a machine needs at boot: the routes to the internet and the endpoints."""

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Network", name, {}, opts)
        topology = args.topology
        self._name: str = name
        self._topology: Topology = topology
        self._own: ResourceOptions = ResourceOptions(parent=self)

        vpc = aws.ec2.Vpc(
            name,
            cidr_block=topology.settings.database.network,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": topology.prefix},
            opts=self._own,
        )
        self.vpc_id = vpc.id
        # AWS's default group lets its members connect to each other; without rules, a machine in it by mistake cannot.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, opts=self._own)

        gateway = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, opts=self._own)
        public_table = aws.ec2.RouteTable(f"{name}-public", vpc_id=vpc.id, opts=self._own)
        internet_route = aws.ec2.Route(
            f"{name}-public-internet",
            route_table_id=public_table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._own,
        )
        self.subnet_ids = {}
        self.ready = []
        data_tables: list[aws.ec2.RouteTable] = []
        for zone in topology.zones:
            subnet, table, route = self._zone(zone, public_table, internet_route)
            self.subnet_ids[zone.name] = subnet.id
            data_tables.append(table)
            self.ready.append(route)

        self.security_group_ids = self._security_groups()
        self.ready += self._endpoints(data_tables)
        self._flow_logs()
        self.register_outputs({"vpcId": self.vpc_id})

    def _zone(
        self, zone: Zone, public_table: aws.ec2.RouteTable, internet_route: aws.ec2.Route
    ) -> tuple[aws.ec2.Subnet, aws.ec2.RouteTable, aws.ec2.Route]:
        """Declare a zone's two subnets and its own NAT gateway, so that no zone depends on another."""
        prefix = f"{self._name}-{zone.letter}"
        public = aws.ec2.Subnet(
            f"{prefix}-public",
            vpc_id=self.vpc_id,
            availability_zone=zone.name,
            cidr_block=zone.public_cidr,
            tags={"Name": f"{self._topology.prefix}-{zone.letter}-public"},
            opts=self._own,
        )
        aws.ec2.RouteTableAssociation(
            f"{prefix}-public", subnet_id=public.id, route_table_id=public_table.id, opts=self._own
        )
        address = aws.ec2.Eip(f"{prefix}-nat", domain="vpc", opts=self._own)
        nat = aws.ec2.NatGateway(
            f"{prefix}-nat",
            subnet_id=public.id,
            allocation_id=address.id,
            tags={"Name": f"{self._topology.prefix}-{zone.letter}"},
            opts=ResourceOptions(parent=self, depends_on=[internet_route]),
        )
        data = aws.ec2.Subnet(
            f"{prefix}-data",
            vpc_id=self.vpc_id,
            availability_zone=zone.name,
            cidr_block=zone.data_cidr,
            map_public_ip_on_launch=False,
            tags={"Name": f"{self._topology.prefix}-{zone.letter}-data"},
            opts=self._own,
        )
        table = aws.ec2.RouteTable(f"{prefix}-data", vpc_id=self.vpc_id, opts=self._own)
        aws.ec2.RouteTableAssociation(f"{prefix}-data", subnet_id=data.id, route_table_id=table.id, opts=self._own)
        route = aws.ec2.Route(
            f"{prefix}-data-nat",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=nat.id,
            opts=self._own,
        )
        return data, table, route

    def _security_groups(self) -> dict[Role, Output[str]]:
        groups = {
            role: aws.ec2.SecurityGroup(
                f"{self._name}-{role}",
                vpc_id=self.vpc_id,
                description=f"What a {role} machine admits",
                tags={"Name": f"{self._topology.prefix}-{role}"},
                opts=self._own,
            )
            for role in Role
        }
        for source, target, port in INGRESS_RULES:
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-{source}-to-{target}-{port}",
                security_group_id=groups[target].id,
                referenced_security_group_id=groups[source].id,
                ip_protocol="tcp",
                from_port=port.number,
                to_port=port.number,
                description=f"{source} to {target}: {port}",
                opts=self._own,
            )
        for role, group in groups.items():
            self._egress(f"{self._name}-{role}", role, group)
        return {role: group.id for role, group in groups.items()}

    def _egress(self, prefix: str, role: Role, group: aws.ec2.SecurityGroup) -> None:
        """Allow all traffic inside the VPC (ingress rules restrict it), and HTTPS, Debian mirrors and the tunnel."""
        rules = {
            "inside": (self._topology.settings.database.network, "tcp", 0, 65535),
            "https": ("0.0.0.0/0", "tcp", 443, 443),
            "debian": ("0.0.0.0/0", "tcp", 80, 80),  # Debian mirrors use plain HTTP: packages are signed
        }
        if role is Role.GATEWAY:
            rules |= {f"tunnel-{over}": ("0.0.0.0/0", over, TUNNEL_PORT, TUNNEL_PORT) for over in ("tcp", "udp")}
        for rule, (cidr, protocol, first, last) in rules.items():
            aws.vpc.SecurityGroupEgressRule(
                f"{prefix}-{rule}",
                security_group_id=group.id,
                cidr_ipv4=cidr,
                ip_protocol=protocol,
                from_port=first,
                to_port=last,
                description=f"{role} to {rule}",
                opts=self._own,
            )

    def _endpoints(self, tables: list[aws.ec2.RouteTable]) -> list[pulumi.Resource]:
        region = self._topology.settings.database.region
        storage = aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self.vpc_id,
            service_name=f"com.amazonaws.{region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            opts=self._own,
        )
        endpoint_group = aws.ec2.SecurityGroup(
            f"{self._name}-endpoints",
            vpc_id=self.vpc_id,
            description="What the interface endpoints admit",
            opts=self._own,
        )
        for role, group in self.security_group_ids.items():
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-{role}-to-endpoints",
                security_group_id=endpoint_group.id,
                referenced_security_group_id=group,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description=f"{role} to the interface endpoints",
                opts=self._own,
            )
        interfaces = [
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=list(self.subnet_ids.values()),
                security_group_ids=[endpoint_group.id],
                private_dns_enabled=True,
                opts=self._own,
            )
            for service in INTERFACE_ENDPOINTS
        ]
        self.endpoint_group_id = endpoint_group.id
        self.storage_endpoint_id = storage.id
        return [storage, *interfaces]

    def _flow_logs(self) -> None:
        group = aws.cloudwatch.LogGroup(
            f"{self._name}-flow",
            name=f"/{self._topology.prefix}/flow",
            retention_in_days=FLOW_LOG_DAYS,
            opts=self._own,
        )
        role = aws.iam.Role(
            f"{self._name}-flow",
            name=f"{self._topology.prefix}-flow",
            assume_role_policy=assumed_by("vpc-flow-logs.amazonaws.com"),
            opts=self._own,
        )
        aws.iam.RolePolicy(
            f"{self._name}-flow",
            role=role.name,
            policy=group.arn.apply(
                lambda arn: policy(
                    {
                        "Effect": "Allow",
                        "Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                        "Resource": [arn, f"{arn}:*"],
                    }
                )
            ),
            opts=self._own,
        )
        aws.ec2.FlowLog(
            f"{self._name}-flow",
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=60,
            opts=self._own,
        )
