"""Simulated AWS: facts that the SDK's schema does not contain, in one module for each group of services."""

from __future__ import annotations

import re

from sandbox.clouds import rules
from sandbox.clouds.aws import compute, functions, identity, images, network, operations, storage
from sandbox.clouds.aws.partitions import arns_of_other_partitions, partition_of
from sandbox.clouds.facts import Package
from sandbox.values import Properties, Value

ACCOUNT = "123456789012"
REGION = "us-east-1"


def _settings(config: Properties) -> dict[str, str]:
    """Return the region, partition, DNS suffix and account (of the assumed role) of a configuration."""
    account = ACCOUNT
    roles = config.get("assumeRoles")
    for role in roles if isinstance(roles, list) else ():
        arn = re.match(
            r"arn:aws[a-z-]*:iam::(\d{12}):role/", str(role.get("roleArn")) if isinstance(role, dict) else ""
        )
        account = arn[1] if arn else account
    given = config.get("region")
    region = given if isinstance(given, str) else REGION
    partition, suffix = partition_of(region)
    return {"region": region, "partition": partition, "dnsSuffix": suffix, "account": account}


def _region(config: Properties, inputs: Properties) -> Value:
    return inputs.get("region") or _settings(config)["region"]


def _tags_all(config: Properties, inputs: Properties) -> Value:
    """Return the provider's default tags, overridden by the resource's tags."""
    default = config.get("defaultTags")
    wide = default.get("tags") if isinstance(default, dict) else None
    own = inputs.get("tags")
    if not isinstance(own, dict | None):
        return own  # unknown
    return {**(wide if isinstance(wide, dict) else {}), **(own or {})}


PACKAGE = Package(
    name="aws",
    types={**network.TYPES, **compute.TYPES, **identity.TYPES, **storage.TYPES, **operations.TYPES, **images.TYPES},
    functions=functions.FUNCTIONS,
    settings=_settings,
    rules={
        "tags": rules.tags,
        "volumeTags": rules.tags,
        "region": rules.text(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region"),
    },
    input_checks=(arns_of_other_partitions,),
    config_rules={
        "region": rules.text(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as eu-central-1"),
        "defaultTags.tags": rules.tags,
        "assumeRoles[].roleArn": rules.text(
            r"arn:aws[a-z-]*:iam::\d{12}:role/.+", "a role's ARN: arn:aws:iam::ACCOUNT:role/NAME"
        ),
    },
    common={"region": _region, "tagsAll": _tags_all},
    replaces=("region",),
    # Objects of AWS itself: managed policies and documents, AWS key aliases, prefix lists.
    external_references=re.compile(r":aws:policy/|^alias/aws/|:alias/aws/|^AWS-|^AWS[A-Z]|:aws:|^local$"),
)
