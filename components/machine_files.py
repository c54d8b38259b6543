"""The bucket that machines fetch their files from at their first boot."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from components.closed_bucket import close
from model.topology import Topology


@dataclass(frozen=True)
class MachineFilesArgs:
    """The topology, which names the bucket."""

    topology: Topology


class MachineFiles(ComponentResource):
    """`backbuild:index:MachineFiles`: a private S3 bucket for the machines' archives.

    Makes: the bucket, closed to the public and to requests without TLS. Each member's archive is an object that its
    `NodeGroup` makes. An object's key is its SHA-256, so a change of a machine's files is a new object and never a
    changed one.
    """

    ready: list[pulumi.Resource]
    """The bucket and its settings, which must exist before an object does."""

    def __init__(self, name: str, args: MachineFilesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:MachineFiles", name, {}, opts)
        own = ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.topology.machine_files_bucket,
            force_destroy=True,  # each `pulumi up` can store every archive again
            opts=own,
        )
        self.ready = [bucket, close(name, bucket, own)]
        self.register_outputs({"bucket": bucket.id})
