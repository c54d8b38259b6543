"""The image pipeline: what is declared, with which permissions, and what a change of its base image replaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.stacks import REMOVED, topology_of
from machines.image import component, version_of
from sandbox.engine.state import Resource
from tests.components.planning import plan
from tests.components.project import Deployed, Project

OFF = {"database.imagePipeline": REMOVED}


def test_without_a_base_image_there_is_no_pipeline(tmp_path: Path):
    resources: list[Resource] = plan(tmp_path, "staging", OFF)
    assert not [one.urn for one in resources if "imagebuilder" in one.urn or one.urn.endswith("::image-builder")]


def test_the_recipe_installs_the_component_on_the_base_image(staging: Deployed):
    recipe, built = staging.of("ImageRecipe")["image"], staging.of("Component")["image"]
    topology = topology_of("staging")
    assert built["inputs"]["data"] == component(topology)
    assert built["inputs"]["version"] == version_of(component(topology))
    assert recipe["inputs"]["parentImage"] == topology.settings.database.image_pipeline.base_image
    assert recipe["inputs"]["components"] == [{"componentArn": built["outputs"]["arn"]}]
    assert built["outputs"]["arn"].endswith(f":component/backbuild-staging-packages/{built['inputs']['version']}/1")


def test_the_image_is_private_and_encrypted_with_the_platforms_key(staging: Deployed):
    key = staging.of("Key")["keys"]["outputs"]["arn"]
    (device,) = staging.inputs("ImageRecipe")["image"]["blockDeviceMappings"]
    assert (device["ebs"]["encrypted"], device["ebs"]["kmsKeyId"]) == ("true", key)
    (there,) = staging.inputs("DistributionConfiguration")["image"]["distributions"]
    assert there["region"] == "eu-central-1"
    assert there["amiDistributionConfiguration"]["kmsKeyId"] == key
    assert "launchPermission" not in there["amiDistributionConfiguration"]


def test_the_builder_admits_nothing_and_is_not_patched(staging: Deployed):
    builder = staging.inputs("InfrastructureConfiguration")["image"]
    assert builder["instanceMetadataOptions"]["httpTokens"] == "required"
    assert builder["subnetId"] == staging.of("Subnet")["network-a-data"]["id"]
    group = staging.of("SecurityGroup")["image-builder"]["id"]
    assert builder["securityGroupIds"] == [group]
    assert all(rule["securityGroupId"] != group for rule in staging.inputs("SecurityGroupIngressRule").values())
    assert "Platform" not in builder["resourceTags"]
    assert "keyPair" not in builder


def test_the_builder_reads_its_component_and_writes_its_log(staging: Deployed):
    statements = json.loads(staging.inputs("RolePolicy")["image-builder"]["policy"])["Statement"]
    assert {json.dumps(one["Action"]): one["Resource"] for one in statements} == {
        '"imagebuilder:GetComponent"': staging.of("Component")["image"]["outputs"]["arn"],
        '"s3:GetObject"': "arn:aws:s3:::ec2imagebuilder*",
        '["logs:CreateLogStream", "logs:PutLogEvents"]': f"{staging.of('LogGroup')['image']['outputs']['arn']}:*",
    }


@pytest.mark.long
def test_another_base_image_is_a_new_recipe_and_replaces_no_machine(project: Project, staging: Deployed):
    del staging
    changes = project.planned("staging", {"database.imagePipeline.baseImage": "ami-0123456789abcdef0"})
    assert changes == {"replace": {"ImageRecipe::image"}, "update": {"ImagePipeline::image"}}
