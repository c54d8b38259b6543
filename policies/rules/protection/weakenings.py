"""Weakenings of data on disks: unprotected, unencrypted, or not on the machine's own volume."""

from __future__ import annotations

from policies.graph import Graph, Resource
from policies.mutation.files import KEEPS_DATA, edit
from policies.mutation.operators import ABSENT, drop, named, put, relink, unprotect
from policies.mutation.weakening import Weakenings
from policies.rules.protection.rules import GENERATED, HOLDS_DATA, KEY, MOUNTING, STORED, STORED_VERSION, VOLUME_TAG
from policies.views.machines import ATTACHMENT, ETCD, INSTANCE, PATRONI, SUBNET, VOLUME
from policies.views.vault import R2, S3


def neighbours_volume(graph: Graph, machine: Resource) -> Resource | None:
    """Return the volume of the next machine of the same group."""
    group = [one for one in graph.of(INSTANCE) if one.text("tags.Group") == machine.text("tags.Group")]
    attachments = graph.referring(group[(group.index(machine) + 1) % len(group)], ATTACHMENT, "instanceId")
    return graph.target(attachments[0], "volumeId", VOLUME)


WEAKENINGS: Weakenings = {
    "data-is-protected": {
        **{f"a {type.rpartition(':')[2]} is not protected": unprotect(type) for type in HOLDS_DATA},
        "the off-site bucket is not protected": unprotect(S3, named("offsite")),
        "a bucket in R2 is not protected": unprotect(R2),
        "a pass phrase is not protected": unprotect(GENERATED, named("cipher", "manifest")),
        "a webhook key is not protected": unprotect(GENERATED, named("webhook-key", "report-token")),
    },
    "data-on-its-own-volume": {
        "a machine has no volume": drop(ATTACHMENT),
        "a volume is in another zone": put(VOLUME, "availabilityZone", "eu-central-1z"),
        "a subnet is in another zone than its volumes": put(SUBNET, "availabilityZone", "eu-central-1z", named("data")),
        "a machine's tag names no volume": put(INSTANCE, f"tags.{VOLUME_TAG}", ABSENT, KEEPS_DATA),
        "a machine's tag names another volume": relink(INSTANCE, f"tags.{VOLUME_TAG}", neighbours_volume, KEEPS_DATA),
        "a machine cannot read its tags": put(INSTANCE, "metadataOptions.instanceMetadataTags", "disabled", KEEPS_DATA),
        "the script takes any disk": edit(
            MOUNTING, r'readlink -e "\$BY_ID.*?"', "lsblk -dnpo NAME | tail -1", KEEPS_DATA
        ),
        "the script takes any EBS volume": edit(MOUNTING, r'"\$BY_ID\$\{id/-/\}"', '"$BY_ID"*', KEEPS_DATA),
        "the mount script formats the second disk": edit(
            MOUNTING, r"^    mkfs.ext4 .*", "    mkfs.ext4 -q /dev/nvme1n1", KEEPS_DATA
        ),
        "the mount script formats another disk after a text": edit(
            MOUNTING, r"^mkdir -p .*", r'echo "\n#"; mkfs.ext4 -q /dev/nvme1n1', KEEPS_DATA
        ),
        "the mount script formats another disk in a here-document": edit(
            MOUNTING, r"^mkdir -p .*", r"sh <<EOF\nmkfs.ext4 -q /dev/nvme1n1\nEOF", KEEPS_DATA
        ),
        "the command that mounts the volume is a comment": edit(MOUNTING, "^mount ", "# mount ", KEEPS_DATA),
        "a function finds another disk": edit(
            MOUNTING, r"^mkdir -p .*", r"readlink() { echo /dev/nvme1n1; }", KEEPS_DATA
        ),
        "etcd does not flush to disk": edit(ETCD, r"\Z", "ETCD_UNSAFE_NO_FSYNC=true\n"),
        "PostgreSQL's data is not on the volume": edit(PATRONI, "data_dir: .*", "data_dir: /var/tmp/postgresql"),
        "etcd's data is not on the volume": edit(ETCD, "ETCD_DATA_DIR=.*", 'ETCD_DATA_DIR="/tmp/etcd"'),
        "PostgreSQL's path leaves the volume": edit(
            PATRONI, "data_dir: .*", "data_dir: /var/lib/backbuild/../postgresql/17"
        ),
    },
    "volumes-are-encrypted": {
        "a volume is not encrypted": put(VOLUME, "encrypted", False),
        "a volume is encrypted with another key": put(VOLUME, "kmsKeyId", ABSENT),
    },
    "root-disks-are-encrypted": {
        "a root disk is not encrypted": put(INSTANCE, "rootBlockDevice.encrypted", False),
    },
    "keys-outlive-mistakes": {
        "a key can be deleted within a week": put(KEY, "deletionWindowInDays", 7),
        "a key does not rotate": put(KEY, "enableKeyRotation", False),
    },
    "secrets-outlive-mistakes": {
        "a secret is deleted at once": put(STORED, "recoveryWindowInDays", 0),
        "a secret has no value": drop(STORED_VERSION),
    },
}
