"""Provider functions of the simulated clouds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.clouds import Clouds
from sandbox.clouds.cloud import Cloud
from sandbox.provider import ProviderError
from tests.sandbox.clouds.conftest import REGION

AMI = "aws:ec2/getAmi:getAmi"
DOCUMENT = "aws:iam/getPolicyDocument:getPolicyDocument"
GROUPS = "cloudflare:index/getAccountApiTokenPermissionGroupsList:getAccountApiTokenPermissionGroupsList"


def test_caller_identity_region_and_zones(aws: Cloud) -> None:
    assert aws.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"] == "123456789012"
    assert aws.invoke("aws:index/getRegion:getRegion", {})["region"] == REGION
    assert aws.invoke("aws:index/getPartition:getPartition", {})["partition"] == "aws"
    zones = aws.invoke("aws:index/getAvailabilityZones:getAvailabilityZones", {"state": "available"})
    assert zones["names"] == [f"{REGION}a", f"{REGION}b", f"{REGION}c"]


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("eu-central-1", "aws", "amazonaws.com"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
    ],
)
def test_names_in_a_region_are_those_of_its_partition(clouds: Clouds, region: str, partition: str, suffix: str) -> None:
    there = clouds.provider("aws").configure({"region": region})
    answer = there.invoke("aws:index/getPartition:getPartition", {})
    assert (answer["partition"], answer["dnsSuffix"]) == (partition, suffix)
    assert answer["reverseDnsPrefix"] == ".".join(reversed(suffix.split(".")))
    assert str(there.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["arn"]).split(":")[1] == partition
    assert there.invoke("aws:index/getRegion:getRegion", {})["endpoint"] == f"ec2.{region}.{suffix}"


def test_equal_arguments_give_the_same_image(aws: Cloud) -> None:
    asked: dict[str, Any] = {
        "owners": ["136693071363"],
        "mostRecent": True,
        "filters": [
            {"name": "name", "values": ["debian-13-arm64-*"]},
            {"name": "architecture", "values": ["arm64"]},
        ],
    }
    image = aws.invoke(AMI, asked)
    assert image == aws.invoke(AMI, asked)
    assert image["architecture"] == "arm64"
    assert str(image["name"]).startswith("debian-13-arm64-")
    assert image["id"] != aws.invoke(AMI, {**asked, "region": "eu-west-1"})["id"]


def test_a_policy_document_has_the_form_that_aws_gives_it(aws: Cloud) -> None:
    statement = {
        "sid": "Tls",
        "effect": "Deny",
        "actions": ["s3:*"],
        "resources": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
        "principals": [{"type": "*", "identifiers": ["*"]}],
        "conditions": [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["false"]}],
    }
    written = json.loads(str(aws.invoke(DOCUMENT, {"statements": [statement]})["json"]))
    assert written == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Tls",
                "Effect": "Deny",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
                "Principal": "*",
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def test_zones_and_permissions(cloudflare: Cloud) -> None:
    zone = cloudflare.invoke("cloudflare:index/getZone:getZone", {"filter": {"name": "shop.example", "match": "all"}})
    assert zone["name"] == "shop.example"
    assert len(str(zone["id"])) == 32
    wanted = {"accountId": "0" * 32, "name": "Workers%20R2%20Storage%20Bucket%20Item%20Write"}
    results = cloudflare.invoke(GROUPS, {**wanted})["results"]
    assert isinstance(results, list)
    (group,) = results
    assert isinstance(group, dict)
    assert group["name"] == "Workers R2 Storage Bucket Item Write"


@pytest.mark.parametrize(
    ("token", "arguments", "why"),
    [
        (AMI, {"mostRecnt": True}, "mostRecnt: there is no such property; did you mean mostRecent?"),
        (AMI, {"filters": [{"name": "name"}]}, r"filters\[0\]\.values: is required"),
        ("aws:ec2/getVpc:getVpc", {}, "does not have the function aws:ec2/getVpc:getVpc; it has aws:ec2/getAmi:getAmi"),
        ("aws:ec2/getVcp:getVcp", {}, "has no function aws:ec2/getVcp:getVcp"),
        (DOCUMENT, {"sourcePolicyDocuments": ["{}"]}, "sourcePolicyDocuments is not simulated"),
    ],
)
def test_an_unsupported_function_call_is_an_error(aws: Cloud, token: str, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ProviderError, match=why):
        aws.invoke(token, arguments)
