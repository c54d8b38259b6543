"""The bucket that machines fetch their files from at their first boot."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from components.private_bucket import make_private
from model.topology import Topology


@dataclass(frozen=True)
class MachineFilesArgs:
    """The topology, which names the bucket."""

    topology: Topology


class MachineFiles(ComponentResource):
    """`backbuild:index:MachineFiles`: a private S3 bucket for the machines' archives.

    Makes: the bucket, without public access and for TLS only. Each member's `NodeGroup` stores the member's archive
    there. An object's key is its SHA-256, so changed files of a machine become a new object; no object is overwritten.
    """

    ready: list[pulumi.Resource]
    """The bucket and its policy. Objects depend on them."""

    def __init__(self, name: str, args: MachineFilesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:MachineFiles", name, {}, opts)
        own = ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.topology.machine_files_bucket,
            force_destroy=True,  # each `pulumi up` can store every archive again
            opts=own,
        )
        self.ready = [bucket, make_private(name, bucket, own)]
        self.register_outputs({"bucket": bucket.id})
