"""Facts of EC2 instances, their volumes and network interfaces.

Limits: https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html (gp3) and the EC2 API reference.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from sandbox.clouds import rules
from sandbox.clouds.aws.identity import KEY, PROFILE
from sandbox.clouds.aws.network import GROUP, INSTANCE, INTERFACE, LAUNCH_TEMPLATE, SUBNET, arn, ec2
from sandbox.clouds.facts import EvaluationContext, Facts, Rule
from sandbox.provider import CheckFailure
from sandbox.values import Properties, Value

VOLUME = "aws:ebs/volume:Volume"
ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"

# EC2's limit for user data is 16 KB before base64 encoding.
USER_DATA_BYTES = 16 * 1024
_VOLUME_TYPES = ("gp3", "gp2", "io1", "io2", "st1", "sc1", "standard")
_SIZES = {"gp3": (1, 16384), "gp2": (1, 16384), "io1": (4, 16384), "io2": (4, 65536), "st1": (125, 16384)}


def volume(properties: Properties, prefix: str, kind: str, size: str) -> Iterator[CheckFailure]:
    """Check a volume's size, IOPS and throughput against the limits of its type."""
    given = properties.get(kind, "gp2")
    gib, iops, throughput = (properties.get(name) for name in (size, "iops", "throughput"))
    if not isinstance(given, str):
        return
    low, high = _SIZES.get(given, (1, 16384))
    if isinstance(gib, int) and not low <= gib <= high:
        yield CheckFailure(prefix + size, f"{gib} is out of range; a {given} volume has from {low} to {high} GiB")
    if given != "gp3":
        if throughput is not None:
            yield CheckFailure(f"{prefix}throughput", f"is only valid for gp3, not for {given}; remove it")
        return
    yield from _gp3(prefix, gib, 3000 if iops is None else iops, throughput, size)


def _gp3(prefix: str, gib: Value, iops: Value, throughput: Value, size: str) -> Iterator[CheckFailure]:
    if isinstance(iops, int) and not 3000 <= iops <= 16000:
        yield CheckFailure(f"{prefix}iops", f"{iops} is out of range; gp3 has from 3000 to 16000 IOPS")
    elif isinstance(iops, int) and isinstance(gib, int) and iops > max(3000, 500 * gib):
        yield CheckFailure(
            f"{prefix}iops", f"{iops} is too much for {gib} GiB; gp3 allows 500 IOPS per GiB: increase {size}"
        )
    if isinstance(throughput, int) and not 125 <= throughput <= 1000:
        yield CheckFailure(f"{prefix}throughput", f"{throughput} is out of range; gp3 has from 125 to 1000 MiB/s")
    elif isinstance(throughput, int) and isinstance(iops, int) and throughput > iops * 0.25:
        yield CheckFailure(
            f"{prefix}throughput", f"{throughput} is too much; gp3 allows 0.25 MiB/s per IOPS: increase iops"
        )


def _volume(inputs: Properties) -> Iterator[CheckFailure]:
    yield from volume(inputs, "", "type", "size")


def _devices(inputs: Properties) -> Iterator[CheckFailure]:
    root = inputs.get("rootBlockDevice")
    if isinstance(root, dict):
        yield from volume(root, "rootBlockDevice.", "volumeType", "volumeSize")
    devices = inputs.get("ebsBlockDevices")
    for index, device in enumerate(devices if isinstance(devices, list) else ()):
        if isinstance(device, dict):
            yield from volume(device, f"ebsBlockDevices[{index}].", "volumeType", "volumeSize")


def _user_data(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("userData") is not None and inputs.get("userDataBase64") is not None:
        yield CheckFailure("userDataBase64", "cannot be combined with userData; set one of them")


def _metadata_tags(inputs: Properties) -> Iterator[CheckFailure]:
    options, tags = inputs.get("metadataOptions"), inputs.get("tags")
    if not isinstance(options, dict) or options.get("instanceMetadataTags") != "enabled" or not isinstance(tags, dict):
        return
    for key in tags:
        if not re.fullmatch(r"[A-Za-z0-9+=.,_:@-]+", key) or key in {".", "..", "_index"}:
            why = "may only contain letters a to z, digits and + - = . , _ : @ while instanceMetadataTags is enabled"
            yield CheckFailure("tags", f"the key {key!r} {why}")


def _image(inputs: Properties) -> Iterator[CheckFailure]:
    for name in ("ami", "instanceType"):
        if inputs.get(name) is None and inputs.get("launchTemplate") is None:
            yield CheckFailure(name, "is required unless launchTemplate is set; set one of them")


def _invalid_private_ip(context: EvaluationContext) -> str | None:
    """Return the reason why the private address is not valid in the subnet, or None."""
    subnet, address = context.objects.look(SUBNET, context.get("subnetId")), context.get("privateIp")
    block = subnet.get("cidrBlock") if subnet else None
    if address is None or not isinstance(block, str):
        return None
    network = ipaddress.IPv4Network(block, strict=False)
    place = int(ipaddress.IPv4Address(address)) - int(network.network_address)
    if 4 <= place < network.num_addresses - 1:
        return None
    return (
        f"privateIp {address} is not usable in {block} of {context['subnetId']}; "
        "choose an address inside it, except the first four and the last, which AWS reserves"
    )


def _zone(context: EvaluationContext) -> Value:
    subnet = context.objects.look(SUBNET, context.get("subnetId"))
    return subnet.get("availabilityZone") if subnet else f"{context['region']}a"


def _private_ip(context: EvaluationContext) -> str:
    """Return an address in the subnet, the same in every run for the same URN."""
    subnet = context.objects.look(SUBNET, context.get("subnetId"))
    network = ipaddress.IPv4Network(str(subnet["cidrBlock"]) if subnet and "cidrBlock" in subnet else "172.31.0.0/16")
    return str(network[4 + int(context["hex4"], 16) % (network.num_addresses - 5)])


def _termination_protection(outputs: Properties) -> str | None:
    if outputs.get("disableApiTermination") and not outputs.get("forceDestroy"):
        return "disableApiTermination is true; set it to false first, or forceDestroy to true, and run up"
    return None


def _zone_mismatch(context: EvaluationContext) -> str | None:
    """Return the reason why a volume cannot be attached to an instance, or None."""
    instance = context.objects.look(INSTANCE, context["instanceId"])
    disk = context.objects.look(VOLUME, context["volumeId"])
    here, there = (each.get("availabilityZone") if each else None for each in (instance, disk))
    if isinstance(here, str) and isinstance(there, str) and here != there:
        return f"volumeId: the volume is in {there}, the instance in {here}; both must be in one zone"
    return None


_METADATA: dict[str, Rule] = {
    "metadataOptions.httpTokens": rules.one_of("required", "optional"),
    "metadataOptions.httpEndpoint": rules.one_of("enabled", "disabled"),
    "metadataOptions.httpPutResponseHopLimit": rules.between(1, 64),
    "metadataOptions.instanceMetadataTags": rules.one_of("enabled", "disabled"),
}
_TYPE = rules.text(r"[a-z0-9-]+\.[a-z0-9-]+", "an instance type such as r7g.xlarge")
_AMI = rules.text(r"ami-[0-9a-f]{8,17}|resolve:ssm:.+", "an image id such as ami-0123456789abcdef0")

TYPES = {
    INSTANCE: Facts(
        id="i-{hex17}",
        computed={
            "arn": arn("ec2", "instance/{id}"),
            "instanceState": "running",
            "availabilityZone": _zone,
            "privateIp": _private_ip,
            "privateDns": "ip-{hex8}.{region}.compute.internal",
            "primaryNetworkInterfaceId": "eni-{hex17}",
            "publicIp": None,
            "publicDns": None,
            "outpostArn": None,
            "passwordData": None,
            "ipv6AddressCount": None,
            "spotInstanceRequestId": None,
            "instanceLifecycle": None,
            "placementGroup": None,
            "placementGroupId": None,
            "hostId": None,
            "keyName": None,
            "userDataBase64": None,
        },
        defaults={"tenancy": "default", "sourceDestCheck": True, "instanceInitiatedShutdownBehavior": "stop"},
        replaces=(
            "ami",
            "availabilityZone",
            "subnetId",
            "privateIp",
            "keyName",
            "tenancy",
            "placementGroup",
            "hibernation",
            "associatePublicIpAddress",
            "rootBlockDevice.encrypted",
            "rootBlockDevice.kmsKeyId",
            "ebsBlockDevices",
            "networkInterfaces",
            "cpuOptions",
            "enclaveOptions",
        ),
        replaces_when={"userData": "userDataReplaceOnChange", "userDataBase64": "userDataReplaceOnChange"},
        rules={
            "instanceType": _TYPE,
            "ami": _AMI,
            "privateIp": rules.ipv4,
            "userData": rules.bytes_at_most(USER_DATA_BYTES),
            "userDataBase64": rules.base64_of_at_most(USER_DATA_BYTES),
            "instanceInitiatedShutdownBehavior": rules.one_of("stop", "terminate"),
            "tenancy": rules.one_of("default", "dedicated", "host"),
            "maintenanceOptions.autoRecovery": rules.one_of("default", "disabled"),
            "rootBlockDevice.volumeType": rules.one_of(*_VOLUME_TYPES),
            "ebsBlockDevices[].volumeType": rules.one_of(*_VOLUME_TYPES),
            **_METADATA,
        },
        inputs_rules=(_user_data, _image, _devices, _metadata_tags),
        references={
            "subnetId": SUBNET,
            "vpcSecurityGroupIds[]": GROUP,
            "iamInstanceProfile": PROFILE,
            "networkInterfaces[].networkInterfaceId": INTERFACE,
            "rootBlockDevice.kmsKeyId": KEY,
        },
        unique=(("subnetId", "privateIp"),),
        rejects=_invalid_private_ip,
        rejects_deletion=_termination_protection,
    ),
    INTERFACE: ec2(
        "eni",
        "network-interface",
        {"macAddress": "02:00:00:00:00:{hex2}", "privateIp": _private_ip, "privateDnsName": "ip-{hex8}.internal"},
        defaults={"sourceDestCheck": True},
        replaces=("subnetId", "interfaceType"),
        rules={"privateIp": rules.ipv4, "privateIps[]": rules.ipv4},
        references={"subnetId": SUBNET, "securityGroups[]": GROUP},
        unique=(("subnetId", "privateIp"),),
        deletion_blocked_by=(INSTANCE,),
    ),
    VOLUME: Facts(
        id="vol-{hex17}",
        computed={
            "arn": arn("ec2", "volume/{id}"),
            "createTime": "2026-01-01T00:00:00Z",
            "iops": lambda context: 3000 if context.get("type") == "gp3" else None,
            "throughput": lambda context: 125 if context.get("type") == "gp3" else None,
            "kmsKeyId": None,
            "snapshotId": None,
        },
        defaults={"type": "gp2", "encrypted": False},
        replaces=("availabilityZone", "encrypted", "kmsKeyId", "snapshotId", "multiAttachEnabled", "outpostArn"),
        rules={
            "type": rules.one_of(*_VOLUME_TYPES),
            "availabilityZone": rules.text(r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "a zone such as eu-central-1a"),
        },
        inputs_rules=(
            _volume,
            lambda inputs: (
                [CheckFailure("size", "is required unless snapshotId is given; give GiB")]
                if inputs.get("size") is None and inputs.get("snapshotId") is None
                else []
            ),
        ),
        references={"kmsKeyId": KEY},
        deletion_blocked_by=(ATTACHMENT,),
    ),
    ATTACHMENT: Facts(
        id="vai-{hex10}",
        replaces=("deviceName", "instanceId", "volumeId"),
        rules={"deviceName": rules.text(r"/dev/(sd|xvd)[a-z]{1,2}\d*", "a device such as /dev/sdf")},
        references={"instanceId": INSTANCE, "volumeId": VOLUME},
        # A volume has one attachment at a time, and a device name is unique on an instance.
        unique=(("volumeId",), ("instanceId", "deviceName")),
        rejects=_zone_mismatch,
    ),
    LAUNCH_TEMPLATE: ec2(
        "lt",
        "launch-template",
        {"latestVersion": 1, "defaultVersion": 1},
        replaces=("name", "namePrefix"),
        rules={
            "userData": rules.base64_of_at_most(USER_DATA_BYTES),
            "instanceType": _TYPE,
            "imageId": _AMI,
            "name": rules.text(r"[\w().\/-]{3,128}", "3 to 128 letters, digits and ( ) . / _ -"),
            **_METADATA,
        },
        references={"vpcSecurityGroupIds[]": GROUP},
        scope="{account}/{region}",
        unique=(("name",),),
        autoname="name",
    ),
}
