"""Redundancy and retention: data, keys and secrets are encrypted, protected from deletion, and outlive machines."""

from __future__ import annotations

import re
from posixpath import normpath

from policies.controls import AT_REST, KEYS, REDUNDANCY
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import Severity, define
from policies.views.edge import VERSION
from policies.views.machines import (
    ATTACHMENT,
    CONSENSUS,
    ENVIRONMENT,
    ETCD,
    VOLUME,
    Machine,
    data_machines,
    machines,
    zone_of,
)
from policies.views.shell import lines_of, replaced
from policies.views.vault import copies

VOLUME_TAG = "DataVolume"
MOUNTING = "/usr/local/sbin/backbuild-data-volume"
BY_ID = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"  # and the volume's id without its dash, by udev's rules
ON_THE_VOLUME = (
    'mkfs.ext4 -q -m 1 -L "$LABEL" "$device"',
    'mount -o noatime "$device" "$DATA"',
)
STORED = "aws:secretsmanager/secret:Secret"
STORED_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
GENERATED = "random:index/randomPassword:RandomPassword"
KEY = "aws:kms/key:Key"
TOPIC = "aws:sns/topic:Topic"
LOGINS = ("-application", "-patroni", "-consensus")  # passwords that operators replace; nothing is encrypted with them
HOLDS_DATA = (
    VOLUME,
    "cloudflare:index/d1Database:D1Database",
    "cloudflare:index/zone:Zone",
    KEY,
)


def precious(graph: Graph) -> list[Resource]:
    """Resources that hold data."""
    kept = [
        password
        for version in graph.of(STORED_VERSION)
        for password in graph.targets(version, "secretString", GENERATED)
        if not password.name.endswith(LOGINS)
    ]
    # Keys of which customers or other programs have a copy. An operator's token can be replaced instead.
    shared = [
        password
        for version in graph.of(VERSION)
        for password in graph.targets(version, "bindings", GENERATED)
        if "-operator-" not in password.name
    ]
    buckets = [copy.bucket for copy in copies(graph)]
    return [*graph.of(*HOLDS_DATA), *buckets, *dict.fromkeys([*kept, *shared])]


@define(
    "redundancy",
    "data-is-protected",
    Severity.HIGH,
    "An update cannot delete or replace resources that hold data or keys",
    over=precious,
    promises=("RED-4", "BAK-3", "RED-5"),
    controls=REDUNDANCY,
    remedy="set `protect: true` for the stack; the component passes it on (protect=True)",
)
def data_protected(_: Graph, resource: Resource) -> str | None:
    """If the program renames a resource, Pulumi deletes it and creates a new one, unless it is protected."""
    return None if resource.protect else "it is not protected"


@define(
    "redundancy",
    "data-on-its-own-volume",
    Severity.HIGH,
    "Data is on a volume that outlives its machine, in the machine's zone",
    over=data_machines,
    promises=("RED-2", "MNT-1"),
    controls=REDUNDANCY,
    remedy="restore the member's volume and attachment (NodeGroup in components/citus.py)",
)
def data_on_own_volume(graph: Graph, machine: Machine) -> str | None:
    """A member that loses its data with its instance must copy the whole database at each replacement."""
    attachments = graph.referring(machine.instance, ATTACHMENT, "instanceId")
    if not attachments:
        return "no volume is attached to it"
    volume = graph.target(attachments[0], "volumeId", VOLUME)
    if volume is None:
        return f"{attachments[0].name} attaches no volume of this stack"
    zone = zone_of(graph, machine)
    if volume.text("availabilityZone") != zone:
        return f"{volume.name} is in {volume.text('availabilityZone')}, and the machine is in {zone}"
    return _finds(graph, machine, volume) or _mounts(machine) or _keeps_data(machine)


def _keeps_data(machine: Machine) -> str | None:
    """Return what is wrong with the data directory of a machine's program."""
    data, mounted = _data_of(machine), machine.figure(ENVIRONMENT, "DATA")
    if not normpath(data).startswith(f"{mounted}/"):
        return f"its data directory is {data}, which is not on the volume at {mounted}"
    if machine.role == CONSENSUS and machine.assignments(ETCD).get("ETCD_UNSAFE_NO_FSYNC", "false") != "false":
        return f"{ETCD}: ETCD_UNSAFE_NO_FSYNC keeps data in memory only"
    return None


def _finds(graph: Graph, machine: Machine, volume: Resource) -> str | None:
    """Return why a machine does not know the id of its volume."""
    named = graph.target(machine.instance, f"tags.{VOLUME_TAG}", VOLUME)
    if named is not volume:
        told = "no volume" if named is None else named.name
        return f"its tag {VOLUME_TAG} names {told}, and {volume.name} is attached to it"
    if machine.instance.text("metadataOptions.instanceMetadataTags") != "enabled":
        return "metadataOptions.instanceMetadataTags is not enabled: it cannot read the id of its volume"
    return None


def _mounts(machine: Machine) -> str | None:
    """Return what is wrong with how a machine finds its volume; the volume's id is the only safe way."""
    script = machine.file(MOUNTING)
    lines = lines_of(script)
    # A script that cannot be read with certainty is judged with its comments.
    code = [line.strip() for line in script.splitlines()] if lines is None else [line.text for line in lines]
    known = [found for line in code for found in re.findall(r"\bdevice=(.*?)(?:; do)?$", line)]
    if known != ['$(readlink -e "$BY_ID${id/-/}")'] or f"BY_ID={BY_ID}" not in code:
        return f"{MOUNTING} does not find the disk by the volume's id only"
    if {line for line in code if re.search(r"\b(?:mkfs|mke2fs|mount )", line)} != set(ON_THE_VOLUME):
        return f"{MOUNTING} has commands that format or mount another disk than the data volume"
    return replaced(machine, "readlink", "mkfs.ext4", "mount", "blkid", "cmp")


def _data_of(machine: Machine) -> str:
    """Return the data directory of a machine's program."""
    if machine.role == CONSENSUS:
        return machine.figure(ETCD, "ETCD_DATA_DIR")
    return machine.patroni.text("postgresql.data_dir")


def volumes(graph: Graph) -> list[Resource]:
    """Volumes."""
    return graph.of(VOLUME)


@define(
    "retention",
    "volumes-are-encrypted",
    Severity.HIGH,
    "Data volumes are encrypted with the platform's own key",
    over=volumes,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="set encrypted and kms_key_id of the volume (components/citus.py)",
)
def volumes_encrypted(graph: Graph, volume: Resource) -> str | None:
    """Encrypted backups protect nothing if the same data is readable on the database's own disk."""
    if not volume.flag("encrypted"):
        return "encrypted is not true"
    return None if graph.targets(volume, "kmsKeyId", KEY) else "it is not encrypted with a key of this stack"


@define(
    "retention",
    "root-disks-are-encrypted",
    Severity.MEDIUM,
    "The root disks of machines are encrypted",
    over=machines,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="set root_block_device.encrypted (components/citus.py)",
)
def root_encrypted(_: Graph, machine: Machine) -> str | None:
    """Core dumps and journals on root disks may contain data."""
    return None if machine.instance.flag("rootBlockDevice.encrypted") else "rootBlockDevice.encrypted is not true"


def keys(graph: Graph) -> list[Resource]:
    """Encryption keys."""
    return graph.of(KEY)


@define(
    "retention",
    "keys-outlive-mistakes",
    Severity.CRITICAL,
    "A deleted key can be restored for as long as AWS allows, and keys rotate",
    over=keys,
    promises=("BAK-3", "REC-3"),
    controls=KEYS,
    remedy="set deletion_window_in_days to 30 and enable_key_rotation",
)
def keys_outlive(_: Graph, key: Resource) -> str | None:
    """Without its key, encrypted data is lost in every copy."""
    days, least = key.number("deletionWindowInDays") or 0, number("BAK-3", "key_window_days")
    if days < least:
        return f"deletionWindowInDays is {days:g}; {least:g} are expected"
    if key.read("isEnabled") is False:
        return "it is disabled"
    return None if key.flag("enableKeyRotation") else "enableKeyRotation is not true"


def secrets(graph: Graph) -> list[Resource]:
    """Secrets that machines fetch."""
    return graph.of(STORED)


@define(
    "retention",
    "secrets-outlive-mistakes",
    Severity.HIGH,
    "A deleted secret can be restored within its recovery window",
    over=secrets,
    promises=("BAK-3", "REC-3"),
    controls=KEYS,
    remedy="set recovery_window_in_days to 7 at least (components/machine_access.py)",
)
def secrets_outlive(graph: Graph, secret: Resource) -> str | None:
    """Without the cipher's pass phrase no backup can be read; without the other secrets no machine starts."""
    days, least = secret.number("recoveryWindowInDays"), number("BAK-3", "secret_window_days")
    if days is not None and days < least:
        return f"recoveryWindowInDays is {days:g}; {least:g} at least are expected"
    if not graph.referring(secret, STORED_VERSION, "secretId"):
        return "it has no value"
    return None
