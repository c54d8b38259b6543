"""Weakenings of how machines boot: other files than the archive that the user data pins, and unsafe images."""

from __future__ import annotations

from typing import Any

from policies.graph import Graph, Resource, Value
from policies.mutation.files import boot, edit, write
from policies.mutation.operators import ABSENT, add, declared, drop, drop_all, named, put, substitute
from policies.mutation.weakening import Weakenings
from policies.rules.booting.rules import DECIDING, INGRESS, SECURITY_GROUP
from policies.views.booted import BOOT, OBJECT
from policies.views.images import BUILDER, COMPONENT, DISTRIBUTION, RECIPE
from policies.views.machines import INSTANCE


def in_cloud_config(key: str, value: Value) -> Any:
    """Add a key to the cloud-config."""
    return boot(lambda document: document.update({key: value}))


def _outside(document: dict[str, Any]) -> None:
    document["write_files"].append({"path": "/etc/default/etcd", "content": "", "outside": True})


def _admitting(graph: Graph) -> Resource:
    """Return a rule that admits SSH to the machine that builds images."""
    (builder,) = graph.of(BUILDER)
    (group,) = graph.targets(builder, "securityGroupIds", SECURITY_GROUP)
    properties: dict[str, Value] = {
        "securityGroupId": group.properties.get("id"),
        "ipProtocol": "tcp",
        "fromPort": 22,
        "toPort": 22,
        "cidrIpv4": "10.0.0.0/8",
    }
    return declared(graph, INGRESS, "more", properties, {"securityGroupId": (group.urn,)})


DEVICE = "blockDeviceMappings[0].ebs"
IMAGE = "distributions[0].amiDistributionConfiguration"

WEAKENINGS: Weakenings = {
    "boots-what-is-judged": {
        "the boot script does not compare the SHA-256": substitute(
            INSTANCE, "userData", "if found != sha256:", "if False:"
        ),
        "the user data pins another archive": boot(
            lambda document: document["runcmd"].__setitem__(0, [BOOT, "eu-central-1", "backbuild", "0" * 64])
        ),
        "the machine runs a command after the installation": boot(
            lambda document: document["runcmd"].append(["systemctl", "stop", "patroni"])
        ),
        "the cloud-config writes a file that is not in the archive": boot(_outside),
        "the cloud-config installs packages": in_cloud_config("packages", ["patroni"]),
        "the cloud-config runs a command at each boot": in_cloud_config("bootcmd", [["systemctl", "stop", "etcd"]]),
        "the user data is a shell script": put(INSTANCE, "userData", "#!/bin/sh\n"),
        "no archive is stored": drop_all(OBJECT),
        "the archive does not match its SHA-256": put(OBJECT, "contentBase64", "H4sIAAAAAAAAAwMAAAAAAAAAAAA="),
        "the archive is in another bucket": put(OBJECT, "bucket", "backbuild-prod-elsewhere"),
    },
    "images-are-reproducible": {
        "a component is named by a wildcard": put(
            RECIPE, "components[0].componentArn", "arn:aws:imagebuilder:eu-central-1:aws:component/update-linux/x.x.x"
        ),
        "a component of another account is used": put(
            RECIPE, "components[0].componentArn", "arn:aws:imagebuilder:eu-central-1:aws:component/update-linux/1.0.2/1"
        ),
        "the component's version is a wildcard": put(COMPONENT, "version", "1.x.x"),
        "the recipe has no component": put(RECIPE, "components", []),
        "the base image is a parameter": put(RECIPE, "parentImage", "ssm:/debian/latest"),
        "the base image is any version": put(
            RECIPE, "parentImage", "arn:aws:imagebuilder:eu-central-1:aws:image/debian-x86/x.x.x"
        ),
    },
    "images-are-encrypted": {
        "the recipe's device is not encrypted": put(RECIPE, f"{DEVICE}.encrypted", "false"),
        "the recipe has no device": put(RECIPE, "blockDeviceMappings", ABSENT),
        "the recipe's device has another key": put(RECIPE, f"{DEVICE}.kmsKeyId", "alias/aws/ebs"),
        "the image has another key": put(DISTRIBUTION, f"{IMAGE}.kmsKeyId", "alias/aws/ebs"),
        "the image is public": put(DISTRIBUTION, f"{IMAGE}.launchPermission", {"userGroups": ["all"]}),
        "the pipeline has no distribution": drop(DISTRIBUTION),
    },
    "image-builders-are-closed": {
        "the builder answers IMDSv1": put(BUILDER, "instanceMetadataOptions.httpTokens", "optional"),
        "the builder has no metadata options": put(BUILDER, "instanceMetadataOptions", ABSENT),
        "the builder has an SSH key": put(BUILDER, "keyPair", "operator"),
        "the builder is in the default security group": put(BUILDER, "securityGroupIds", []),
        "the builder admits SSH": add(_admitting),
        "the builder's group has an ingress rule of its own": put(
            SECURITY_GROUP,
            "ingress",
            [{"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["10.0.0.0/8"]}],
            named("image-builder"),
        ),
    },
    "scripts-run-to-their-end": {
        f"{path.rpartition('/')[2]} ends at once": edit(path, r"\A(#!.*\n|)", r"\1exit 0\n") for path in DECIDING
    },
    "only-enabled-units-start": {
        "a unit is linked into a target": write(
            "/etc/systemd/system/multi-user.target.wants/more.service", "[Service]\n"
        ),
        "a cron job": write("/etc/cron.d/more", "* * * * * root systemctl stop patroni\n"),
        "a login key": write("/root/.ssh/authorized_keys", "ssh-ed25519 AAAA more\n"),
        "a sudo rule": write("/etc/sudoers.d/more", "postgres ALL=(ALL) NOPASSWD: ALL\n"),
    },
}
