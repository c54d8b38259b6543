"""Redundancy: machines boot with exactly the files that the other rules judge, and from reproducible images."""

from __future__ import annotations

import re
from typing import Final

from policies.controls import ACCESS, AT_REST, CHANGE, REDUNDANCY
from policies.graph import Graph, Resource
from policies.rule import Severity, define
from policies.views.images import COMPONENT, DISTRIBUTION, RECIPE, builders, pipelines, recipes
from policies.views.machines import Machine, machines

KEY: Final = "aws:kms/key:Key"
SECURITY_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
INGRESS: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
EXACT_COMPONENT: Final = re.compile(r"arn:aws[a-z-]*:imagebuilder:[^/]+:component/[^/]+/\d+\.\d+\.\d+(/\d+)?")
EXACT_IMAGE: Final = re.compile(r"ami-[0-9a-f]{8,17}")


@define(
    "redundancy",
    "boots-what-is-judged",
    Severity.CRITICAL,
    "A machine installs only the archive of files whose SHA-256 is in its user data",
    over=machines,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="render the user data in machines/user_data.py; store the archive in components/citus.py",
)
def boots_what_is_judged(_: Graph, machine: Machine) -> str | None:
    """The other rules judge the files in this archive, so a machine must not install other files."""
    return None if machine.files else "its archive is empty"


@define(
    "redundancy",
    "images-are-reproducible",
    Severity.HIGH,
    "An image is built from one base image and from exact versions of components",
    over=recipes,
    promises=("MNT-1", "RED-2"),
    controls=CHANGE,
    remedy="name components by ARNs with three numbers, and the base image by its id (components/image_pipeline.py)",
    optional=True,
)
def images_reproducible(graph: Graph, recipe: Resource) -> str | None:
    """If a version is a wildcard or a parameter, the next build can contain changes that were never reviewed."""
    if not EXACT_IMAGE.fullmatch(recipe.text("parentImage")):
        return f"its parentImage is {recipe.text('parentImage') or 'not set'}; the id of one image, ami-…, is expected"
    listed = recipe.items("components")
    if not listed:
        return "it has no components, so its image is the plain base image"
    for one in listed:
        if one.known("componentArn") and not EXACT_COMPONENT.fullmatch(one.text("componentArn")):
            return f"it names the component {one.text('componentArn')}, whose version is not exact"
    own = graph.targets(recipe, "components", COMPONENT)
    inexact = [component.name for component in own if not VERSION.fullmatch(component.text("version"))]
    if inexact:
        return f"the version of its component {inexact[0]} is not exact"
    return None if own else "none of its components is declared in this stack, so no rule has judged what it installs"


@define(
    "retention",
    "images-are-encrypted",
    Severity.MEDIUM,
    "Images are encrypted with the platform's own key, in the recipe and in the distribution, and are not shared",
    over=pipelines,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="set encrypted and kms_key_id in the recipe and the distribution (components/image_pipeline.py)",
    optional=True,
)
def images_encrypted(graph: Graph, pipeline: Resource) -> str | None:
    """An unencrypted image can be shared with any account. This image is useless to an account without the key."""
    recipe = graph.target(pipeline, "imageRecipeArn", RECIPE)
    put = graph.target(pipeline, "distributionConfigurationArn", DISTRIBUTION)
    if recipe is None or put is None:
        return f"it has no {'recipe' if recipe is None else 'distribution'} of this stack"
    devices = recipe.items("blockDeviceMappings")
    if not devices or any(device.text("ebs.encrypted") != "true" for device in devices):
        return f"a device of its recipe {recipe.name} is not encrypted"
    if not graph.targets(recipe, "blockDeviceMappings", KEY):
        return f"its recipe {recipe.name} does not use a key of this stack"
    for region in put.items("distributions"):
        if region.read("amiDistributionConfiguration.launchPermission") is not None:
            return f"its distribution {put.name} shares the image in {region.text('region')}"
    return None if graph.targets(put, "distributions", KEY) else f"its distribution {put.name} has no key of this stack"


@define(
    "redundancy",
    "image-builders-are-closed",
    Severity.HIGH,
    "The instance that builds images accepts no connections and uses IMDSv2",
    over=builders,
    promises=("RED-2",),
    controls=ACCESS,
    remedy="give it a security group without ingress rules and http_tokens: required (components/image_pipeline.py)",
    optional=True,
)
def builders_closed(graph: Graph, builder: Resource) -> str | None:
    """An attacker who controls the build instance controls every machine that boots from its image."""
    if builder.text("instanceMetadataOptions.httpTokens") != "required":
        return "instanceMetadataOptions.httpTokens is not required, so any request can read its role's keys"
    if builder.text("keyPair"):
        return f"it has the key pair {builder.text('keyPair')}; none is expected"
    groups = graph.targets(builder, "securityGroupIds", SECURITY_GROUP)
    if not groups:
        return "it has no security group of this stack, so it is in the VPC's default group"
    for group in groups:
        admitted = [rule.name for rule in graph.referring(group, INGRESS, "securityGroupId")]
        if admitted or (group.known("ingress") and group.items("ingress")):
            return f"its security group {group.name} admits {', '.join(admitted) or 'connections'}"
    return None


# Scripts whose result decides a gate, an alarm, a backup or a rolling change.
DECIDING = (
    "/usr/local/sbin/backbuild-healthy", "/usr/local/lib/backbuild/check", "/usr/local/sbin/backbuild-metrics",
    "/usr/local/sbin/backbuild-patch", "/usr/local/sbin/backbuild-backup", "/usr/local/sbin/backbuild-install",
    "/usr/local/lib/backbuild/backup-age", "/usr/local/lib/backbuild/replication-lag",
    "/usr/local/lib/backbuild/wal-waiting", "/usr/local/lib/backbuild/restore-age",
    "/usr/local/lib/backbuild/peers",
)  # fmt: skip
# Files by which something runs, or somebody enters, without a unit that the installer enables.
ENTRIES = re.compile(
    r"\.(?:wants|requires)/|^/etc/(?:cron|rc\.local|ld\.so\.preload|sudoers|profile|environment)|/authorized_keys"
    r"|^/etc/(?:init\.d|rc\d\.d|systemd/(?:user|system-generators))/|^/(?:usr/)?lib/systemd/"
)


@define(
    "redundancy",
    "scripts-run-to-their-end",
    Severity.CRITICAL,
    "Scripts behind gates, alarms and backups do not end before they have checked anything",
    over=machines,
    promises=("MNT-1", "RED-2", "BAK-2"),
    controls=CHANGE,
    remedy="remove the unconditional exit from the script",
)
def scripts_run_to_their_end(_: Graph, machine: Machine) -> str | None:
    """A health check that begins with `exit 0` opens every gate, also if a reviewer has accepted it."""
    for path in DECIDING:
        lines = [one for one in machine.files.get(path, "").splitlines() if one.strip() and one.lstrip()[0] != "#"]
        early = next((one for one in lines[:-1] if re.match(r"(?:exit|return|exec (?!\d*[<>]))\b", one)), None)
        if early is not None:
            return f"{path} ends at the line {early!r}"
    return None


@define(
    "redundancy",
    "only-enabled-units-start",
    Severity.HIGH,
    "Nothing starts on a machine but the units that the installer enables",
    over=machines,
    promises=("RED-2", "BAK-3"),
    controls=ACCESS,
    remedy="list the unit in SERVICES of /etc/default/backbuild (machines/), and remove the file",
)
def only_enabled_units_start(_: Graph, machine: Machine) -> str | None:
    """A link in a `.wants` folder, a cron job or a login key works beside everything that these rules judge."""
    return next((f"{path} starts or admits something else" for path in machine.files if ENTRIES.search(path)), None)
