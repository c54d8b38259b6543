"""The database: replicated groups of machines, and health gates that let `pulumi up` change one member at a time."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from components.machine_access import MachineAccess
from components.machine_files import MachineFiles
from components.network import Network
from machines.archive import Archive, archive_of
from machines.files import files_for
from machines.user_data import render
from model.gates import GATE_COMMAND, GATE_SECONDS
from model.topology import Group, Member, Topology

ROOT_VOLUME_GIB = 16  # Debian, PostgreSQL and a journal of 1 GiB take 4; the rest is room for core dumps
DATA_DEVICE = "/dev/sdf"  # EC2's name; on the machine it is an NVMe disk, which is identified by the volume's id
VOLUME_TAG = "DataVolume"  # read by backbuild-data-volume


@dataclass(frozen=True)
class NodeGroupArgs:
    """A group, its network and access, and the resources that must exist (`after`) before its first member boots."""

    topology: Topology
    group: Group
    network: Network
    access: MachineAccess
    files: MachineFiles
    key_arn: Output[str]
    after: Sequence[pulumi.Resource]


class NodeGroup(ComponentResource):
    """`backbuild:index:NodeGroup`: the members of one group, each dependent on the health of the one before it.

    Makes, for each member: the archive of its files; an encrypted gp3 volume if the member keeps data (protected
    according to the settings); an instance with a fixed address, whose tag contains the volume's id; the volume's
    attachment; and a health gate, an SSM association that waits until the member reports healthy. The next member
    depends on the gate, so a change of all members is applied to one member at a time.
    """

    members: dict[str, aws.ec2.Instance]
    """Member name to instance."""
    gate: pulumi.Resource
    """The last member's gate. When it has passed, every member is healthy."""

    def __init__(self, name: str, args: NodeGroupArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:NodeGroup", name, {}, opts)
        self._args: NodeGroupArgs = args
        self._own: ResourceOptions = ResourceOptions(parent=self)
        self.members = {}
        ready = args.after
        for member in args.group.members:
            volume = self._data_volume(member)
            archive = archive_of(files_for(args.topology, member))
            instance = self._instance(member, volume, archive, [*ready, self._stored(member, archive)])
            attached = [] if volume is None else [self._attachment(member, volume, instance)]
            self.gate = self._gate(member, instance, [instance, *attached])
            self.members[member.name] = instance
            ready = [self.gate]
        self.register_outputs({"addresses": [member.address for member in args.group.members]})

    def _stored(self, member: Member, archive: Archive) -> aws.s3.BucketObjectv2:
        return aws.s3.BucketObjectv2(
            f"{member.name}-files",
            bucket=self._args.topology.machine_files_bucket,  # a string, not an Output: known in a first preview
            key=archive.key,
            content_base64=base64.b64encode(archive.content).decode(),
            content_type="application/gzip",
            opts=ResourceOptions(parent=self, depends_on=self._args.files.ready),
        )

    def _instance(
        self, member: Member, volume: aws.ebs.Volume | None, archive: Archive, ready: Sequence[pulumi.Resource]
    ) -> aws.ec2.Instance:
        network, access = self._args.network, self._args.access
        return aws.ec2.Instance(
            member.name,
            ami=self._args.topology.settings.database.image,
            instance_type=member.instance_type,
            subnet_id=network.subnet_ids[member.zone.name],
            private_ip=member.address,
            vpc_security_group_ids=[network.security_group_ids[member.role]],
            iam_instance_profile=access.profile_names[member.role],
            user_data=render(self._args.topology, member, archive),
            user_data_replace_on_change=True,
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,
                "instance_metadata_tags": "enabled",
            },
            maintenance_options={"auto_recovery": "default"},
            root_block_device={
                "volume_type": "gp3",
                "volume_size": ROOT_VOLUME_GIB,
                "encrypted": True,
                "kms_key_id": self._args.key_arn,
                "delete_on_termination": True,
            },
            monitoring=True,
            # Termination in the console is refused. `force_destroy` lets a planned replacement remove the protection.
            disable_api_termination=True,
            force_destroy=True,
            # The volume's id is a tag, not user data: so user data is known in previews, and a new volume does not
            # replace the machine.
            tags={**self._tags(member), **({} if volume is None else {VOLUME_TAG: volume.id})},
            opts=ResourceOptions(
                parent=self,
                depends_on=ready,
                # The provider would change the type in place, without the gate: all members could stop at once.
                replace_on_changes=["instanceType"],
                delete_before_replace=True,  # the old instance holds the address and the data volume
            ),
        )

    def _data_volume(self, member: Member) -> aws.ebs.Volume | None:
        if member.volume_gib is None:
            return None
        return aws.ebs.Volume(
            f"{member.name}-data",
            availability_zone=member.zone.name,
            type="gp3",
            size=member.volume_gib,
            encrypted=True,
            kms_key_id=self._args.key_arn,
            tags=self._tags(member),
            opts=ResourceOptions(parent=self, protect=self._args.topology.settings.protect),
        )

    def _attachment(
        self, member: Member, volume: aws.ebs.Volume, instance: aws.ec2.Instance
    ) -> aws.ec2.VolumeAttachment:
        return aws.ec2.VolumeAttachment(
            f"{member.name}-data",
            device_name=DATA_DEVICE,
            instance_id=instance.id,
            volume_id=volume.id,
            stop_instance_before_detaching=True,
            opts=ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _gate(
        self, member: Member, instance: aws.ec2.Instance, machine: Sequence[pulumi.Resource]
    ) -> aws.ssm.Association:
        return aws.ssm.Association(
            f"{member.name}-healthy",
            name="AWS-RunShellScript",
            association_name=f"{self._args.topology.prefix}-{member.name}-healthy",
            targets=[{"key": "InstanceIds", "values": [instance.id]}],
            parameters={"commands": GATE_COMMAND, "executionTimeout": str(GATE_SECONDS)},
            wait_for_success_timeout_seconds=GATE_SECONDS,
            compliance_severity="CRITICAL",
            # A new instance needs a new association, because the provider waits for success only on creation.
            opts=ResourceOptions(
                parent=self, depends_on=machine, replace_on_changes=["targets"], delete_before_replace=True
            ),
        )

    def _tags(self, member: Member) -> dict[str, str]:
        prefix = self._args.topology.prefix
        return {"Name": f"{prefix}-{member.name}", "Platform": prefix, "Group": member.group, "Role": member.role.value}


@dataclass(frozen=True)
class CitusClusterArgs:
    """The topology, and the network, profiles and key that the machines use."""

    topology: Topology
    network: Network
    access: MachineAccess
    files: MachineFiles
    key_arn: Output[str]


class CitusCluster(ComponentResource):
    """`backbuild:index:CitusCluster`: the consensus members, the coordinator group, the worker groups, the gateways.

    Makes one `NodeGroup` for each. Database groups wait for the consensus members and are created in parallel. Gateways
    wait for the coordinator group, so that they route no connection before it has a leader.
    """

    groups: dict[str, NodeGroup]
    """Group name to group."""
    instance_ids: Output[dict[str, str]]
    """Member name to instance id."""

    def __init__(self, name: str, args: CitusClusterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:CitusCluster", name, {}, opts)
        topology = args.topology
        self.groups = {}

        def add(group: Group, after: Sequence[pulumi.Resource]) -> NodeGroup:
            self.groups[group.name] = NodeGroup(
                group.name,
                NodeGroupArgs(
                    topology=topology,
                    group=group,
                    network=args.network,
                    access=args.access,
                    files=args.files,
                    key_arn=args.key_arn,
                    after=after,
                ),
                ResourceOptions(parent=self),
            )
            return self.groups[group.name]

        consensus = add(topology.consensus, args.network.ready)
        databases = [add(group, [consensus.gate]) for group in topology.database_groups]
        add(topology.gateways, [databases[0].gate])
        instances = {name: one for group in self.groups.values() for name, one in group.members.items()}
        self.instance_ids = Output.all(**{name: instance.id for name, instance in instances.items()})
        self.register_outputs({"instanceIds": self.instance_ids})
