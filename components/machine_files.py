"""The bucket that machines fetch their files from at their first boot."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

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

    bucket: Output[str]
    """The bucket's name, known once the bucket is closed."""

    def __init__(self, name: str, args: MachineFilesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:MachineFiles", name, {}, opts)
        own = ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.topology.machine_files_bucket,
            force_destroy=True,  # each `pulumi up` can store every archive again
            opts=own,
        )
        closed = close(name, bucket, own)
        self.bucket = Output.all(bucket.id, closed.id).apply(lambda ids: ids[0])
        self.register_outputs({"bucket": self.bucket})
