"""What the simulated cloud knows about its instances, in the form that machines and their services need."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from sandbox.clouds.store import CloudObject, decode, encode, object_of
from sandbox.ledger import Ledger

INSTANCE = "aws:ec2/instance:Instance"
SUBNET = "aws:ec2/subnet:Subnet"
VOLUME = "aws:ebs/volume:Volume"
ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
ASSOCIATION = "aws:ssm/association:Association"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"


@dataclass(frozen=True)
class Subnet:
    """A subnet: its id and its addresses. The first address is its router, as in a VPC."""

    id: str
    network: ipaddress.IPv4Network

    @property
    def router(self) -> str:
        """The router's address with the length of the prefix."""
        return f"{self.network.network_address + 1}/{self.network.prefixlen}"


@dataclass(frozen=True)
class Instance:
    """An EC2 instance. Its name is its resource's name in the program."""

    id: str
    name: str
    address: str
    subnet: Subnet
    zone: str
    region: str
    profile: str
    security_groups: tuple[str, ...]
    user_data: bytes
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Attachment:
    """A volume of an instance."""

    volume: str
    instance: str


@dataclass(frozen=True)
class Association:
    """A command that the SSM agent runs on an instance, and the limit for its success in seconds."""

    name: str
    instance: str
    command: str
    seconds: int


@dataclass(frozen=True)
class Ingress:
    """An ingress rule of a security group: the source is another group or an address range."""

    group: str
    source_group: str
    source_range: str
    protocol: str
    ports: tuple[int, int]


class Inventory:
    """A view of the cloud's objects at one moment."""

    def __init__(self, objects: Iterable[CloudObject]) -> None:
        self._by_type: dict[str, list[CloudObject]] = {}
        for thing in objects:
            self._by_type.setdefault(thing.type, []).append(thing)

    def of_type(self, type: str) -> list[CloudObject]:
        """Return the objects of a type."""
        return self._by_type.get(type, [])

    @cached_property
    def subnets(self) -> dict[str, Subnet]:
        """Every subnet, by id."""
        return {
            thing.id: Subnet(thing.id, ipaddress.IPv4Network(str(thing.outputs["cidrBlock"])))
            for thing in self.of_type(SUBNET)
        }

    @cached_property
    def instances(self) -> dict[str, Instance]:
        """Every instance, by id."""
        return {thing.id: self._instance(thing) for thing in self.of_type(INSTANCE)}

    def at(self, address: str) -> Instance | None:
        """Return the instance that has an address."""
        return next((one for one in self.instances.values() if one.address == address), None)

    @cached_property
    def volumes(self) -> dict[str, int]:
        """The size of every volume in GiB, by id."""
        return {thing.id: int(cast(int, thing.outputs["size"])) for thing in self.of_type(VOLUME)}

    @cached_property
    def attachments(self) -> list[Attachment]:
        """Every attachment of a volume."""
        return [attachment_of(thing.outputs) for thing in self.of_type(ATTACHMENT)]

    @cached_property
    def associations(self) -> list[Association]:
        """Every association that runs a command."""
        return [one for thing in self.of_type(ASSOCIATION) for one in associations_of(thing.outputs)]

    @cached_property
    def ingress(self) -> list[Ingress]:
        """Every ingress rule."""
        return [_ingress(thing.outputs) for thing in self.of_type(INGRESS)]

    def policies_of(self, instance: Instance) -> list[str]:
        """Return the policy documents of the instance's role."""
        roles = {str(one.outputs["role"]) for one in self.of_type(PROFILE) if one.id == instance.profile}
        return [str(one.outputs["policy"]) for one in self.of_type(ROLE_POLICY) if str(one.outputs["role"]) in roles]

    def role_of(self, instance: Instance) -> str | None:
        """Return the name of the instance's role."""
        return next((str(one.outputs["role"]) for one in self.of_type(PROFILE) if one.id == instance.profile), None)

    def _instance(self, thing: CloudObject) -> Instance:
        fields: Any = thing.outputs
        encoded = fields.get("userDataBase64")
        return Instance(
            id=thing.id,
            name=thing.urn.rpartition("::")[2],
            address=fields["privateIp"],
            subnet=self.subnets[fields["subnetId"]],
            zone=fields["availabilityZone"],
            region=fields["region"],
            profile=fields.get("iamInstanceProfile") or "",
            security_groups=tuple(fields.get("vpcSecurityGroupIds") or ()),
            user_data=base64.b64decode(encoded) if encoded else (fields.get("userData") or "").encode(),
            tags=fields.get("tagsAll") or fields.get("tags") or {},
        )


def attachment_of(fields: Mapping[str, Any]) -> Attachment:
    """Return an attachment from its properties."""
    return Attachment(fields["volumeId"], fields["instanceId"])


def associations_of(fields: Mapping[str, Any]) -> Iterator[Association]:
    """Yield an association for each instance that it targets, if it runs a command."""
    if fields["name"] != "AWS-RunShellScript":
        return
    for target in fields.get("targets") or ():
        if target["key"] == "InstanceIds":
            for instance in target["values"]:
                limit = fields.get("waitForSuccessTimeoutSeconds") or fields["parameters"].get("executionTimeout", 3600)
                name = fields.get("associationName") or fields["name"]
                yield Association(name, instance, fields["parameters"]["commands"], int(limit))


def _ingress(fields: Mapping[str, Any]) -> Ingress:
    return Ingress(
        group=fields["securityGroupId"],
        source_group=fields.get("referencedSecurityGroupId") or "",
        source_range=fields.get("cidrIpv4") or "",
        protocol=fields["ipProtocol"],
        ports=(int(fields.get("fromPort") or 0), int(fields.get("toPort") or 65535)),
    )


def read(store: Path) -> Inventory:
    """Read the objects of a store that another process may be writing."""
    ledger = Ledger(store, decode=decode, encode=encode, readonly=True)
    return Inventory(object_of(entry) for _, entry in ledger.items() if "urn" in entry)
