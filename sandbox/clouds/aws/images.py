"""Facts of EC2 Image Builder.

Limits: https://docs.aws.amazon.com/imagebuilder/latest/APIReference/ and the provider's documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.clouds import rules
from sandbox.clouds.aws.identity import CREATED, KEY, PROFILE
from sandbox.clouds.aws.network import GROUP, SUBNET, arn
from sandbox.clouds.aws.operations import TOPIC
from sandbox.clouds.facts import Facts, Rule
from sandbox.clouds.schedules import aws_schedule
from sandbox.provider import CheckFailure
from sandbox.values import Properties

COMPONENT = "aws:imagebuilder/component:Component"
RECIPE = "aws:imagebuilder/imageRecipe:ImageRecipe"
INFRASTRUCTURE = "aws:imagebuilder/infrastructureConfiguration:InfrastructureConfiguration"
DISTRIBUTION = "aws:imagebuilder/distributionConfiguration:DistributionConfiguration"
PIPELINE = "aws:imagebuilder/imagePipeline:ImagePipeline"

DOCUMENT_CHARACTERS = 16000  # of a component that is passed inline
USER_DATA_BYTES = 16 * 1024
_NAME = rules.text(r"[\w-][\w -]{1,126}[\w-]", "3 to 128 letters, digits, spaces and _ -")
_VERSION = rules.text(
    r"\d{1,10}\.\d{1,10}\.\d{1,10}", "a version of three numbers such as 1.0.0; a version never changes its content"
)
_BOOLEAN = rules.one_of("true", "false")  # texts, because the provider distinguishes absent from false


def _named(noun: str, **others: Any) -> Facts:
    """Return the facts of an object whose ARN contains its name; names are unique for each kind."""
    checks: dict[str, Rule] = {"name": _NAME, "description": rules.at_most_characters(1024), **others.pop("rules", {})}
    return Facts(
        id=arn("imagebuilder", f"{noun}/{others.pop('path', '{name}')}"),
        computed={"arn": "{id}", "dateCreated": CREATED, **others.pop("computed", {})},
        replaces=("name", *others.pop("replaces", ())),
        rules=checks,
        scope="{account}/{region}",
        unique=(others.pop("key", ("name",)),),
        autoname="name",
        **others,
    )


def _one_document(inputs: Properties) -> Iterator[CheckFailure]:
    if (inputs.get("data") is None) == (inputs.get("uri") is None):
        yield CheckFailure("data", "set exactly one of data and uri")


def _one_recipe(inputs: Properties) -> Iterator[CheckFailure]:
    if (inputs.get("imageRecipeArn") is None) == (inputs.get("containerRecipeArn") is None):
        yield CheckFailure("imageRecipeArn", "set exactly one of imageRecipeArn and containerRecipeArn")


def _subnet_with_groups(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("subnetId") is not None and not inputs.get("securityGroupIds"):
        yield CheckFailure("securityGroupIds", "is required if subnetId is set; set the builder's security groups")


TYPES = {
    COMPONENT: _named(
        "component",
        path="{name}/{version}/1",
        computed={"owner": "{account}", "type": "BUILD", "encrypted": True},
        replaces=("*",),
        rules={
            "version": _VERSION,
            "platform": rules.one_of("Linux", "Windows", "macOS"),
            "data": rules.at_most_characters(DOCUMENT_CHARACTERS),
        },
        inputs_rules=(_one_document,),
        references={"kmsKeyId": KEY},
        key=("name", "version"),
        deletion_blocked_by=(RECIPE,),
    ),
    RECIPE: _named(
        "image-recipe",
        path="{name}/{version}",
        computed={"owner": "{account}", "platform": "Linux"},
        replaces=("*",),
        rules={
            "version": _VERSION,
            "parentImage": rules.text(
                r"ami-[0-9a-f]{8,17}|arn:aws[a-z-]*:imagebuilder:.+|ssm:.+", "an image id such as ami-0123456789abcdef0"
            ),
            "userDataBase64": rules.base64_of_at_most(USER_DATA_BYTES),
            "blockDeviceMappings[].ebs.encrypted": _BOOLEAN,
            "blockDeviceMappings[].ebs.deleteOnTermination": _BOOLEAN,
            "blockDeviceMappings[].ebs.volumeSize": rules.between(1, 16384, "GiB"),
        },
        references={"components[].componentArn": COMPONENT, "blockDeviceMappings[].ebs.kmsKeyId": KEY},
        key=("name", "version"),
        deletion_blocked_by=(PIPELINE,),
    ),
    INFRASTRUCTURE: _named(
        "infrastructure-configuration",
        rules={
            "instanceTypes[]": rules.text(r"[a-z0-9-]+\.[a-z0-9-]+", "an instance type such as t3.small"),
            "instanceMetadataOptions.httpTokens": rules.one_of("required", "optional"),
            "instanceMetadataOptions.httpPutResponseHopLimit": rules.between(1, 64),
        },
        inputs_rules=(_subnet_with_groups,),
        defaults={"terminateInstanceOnFailure": True},
        references={
            "instanceProfileName": PROFILE,
            "subnetId": SUBNET,
            "securityGroupIds[]": GROUP,
            "snsTopicArn": TOPIC,
        },
        deletion_blocked_by=(PIPELINE,),
    ),
    DISTRIBUTION: _named(
        "distribution-configuration",
        rules={
            "distributions[].region": rules.text(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region"),
            "distributions[].amiDistributionConfiguration.name": rules.text(
                r"[-_A-Za-z0-9{][-_A-Za-z0-9\s:{}.]{1,125}[-_A-Za-z0-9}]", "3 to 127 letters, digits and - _ : . { }"
            ),
        },
        references={"distributions[].amiDistributionConfiguration.kmsKeyId": KEY},
        deletion_blocked_by=(PIPELINE,),
    ),
    PIPELINE: _named(
        "image-pipeline",
        computed={"platform": "Linux", "dateLastRun": "", "dateNextRun": "", "dateUpdated": CREATED},
        rules={
            "status": rules.one_of("ENABLED", "DISABLED"),
            "schedule.scheduleExpression": aws_schedule,
            "schedule.pipelineExecutionStartCondition": rules.one_of(
                "EXPRESSION_MATCH_ONLY", "EXPRESSION_MATCH_AND_DEPENDENCY_UPDATES_AVAILABLE"
            ),
            "imageTestsConfiguration.timeoutMinutes": rules.between(60, 1440, "minutes"),
        },
        inputs_rules=(_one_recipe,),
        defaults={"status": "ENABLED", "enhancedImageMetadataEnabled": True},
        references={
            "imageRecipeArn": RECIPE,
            "infrastructureConfigurationArn": INFRASTRUCTURE,
            "distributionConfigurationArn": DISTRIBUTION,
        },
    ),
}
