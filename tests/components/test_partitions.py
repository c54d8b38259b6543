"""The platform in GovCloud: all its ARNs are in that partition."""

from __future__ import annotations

import json
import re

import pytest

from model.partitions import partition_of, unsupported_reason
from policies.mutation.trial import firing
from policies.sources import from_export
from tests.components.project import Deployed, Project

GOV = {
    "database.region": "us-gov-west-1",
    "database.zones": ["us-gov-west-1a", "us-gov-west-1b", "us-gov-west-1c"],
    "backups.copies.0.jurisdiction": "fedramp",
    "backups.copies.1.jurisdiction": "eu",
    "backups.copies.2.region": "us-gov-east-1",
}


@pytest.mark.parametrize(
    ("region", "partition", "runs"),
    [
        ("eu-central-1", "aws", True),
        ("us-east-1", "aws", True),
        ("us-gov-west-1", "aws-us-gov", True),
        ("cn-north-1", "aws-cn", False),
        ("us-iso-east-1", "aws-iso", False),
        ("us-isob-east-1", "aws-iso-b", False),
    ],
)
def test_a_region_has_one_partition_and_is_supported_or_not(region: str, partition: str, runs: bool) -> None:
    assert partition_of(region) == partition
    assert (unsupported_reason(region) is None) == runs


@pytest.fixture(scope="module")
def govcloud(project: Project) -> Deployed:
    """Staging in GovCloud after an `up`."""
    project.configure("gov", GOV, like="staging")
    return project.deployed("gov", project.up("gov"))


def test_every_arn_is_in_the_partition_of_its_region(govcloud: Deployed) -> None:
    arns = set(re.findall(r"arn:(aws[a-z-]*):([a-z0-9-]+):", json.dumps(govcloud.state)))
    assert {partition for partition, _ in arns} == {"aws-us-gov"}
    assert {"iam", "kms", "s3", "secretsmanager", "sns"} <= {service for _, service in arns}


def test_the_same_rules_fail_in_govcloud_as_in_a_commercial_region(govcloud: Deployed, staging: Deployed) -> None:
    found, expected = (
        firing(from_export(json.dumps(stack.state).encode(), "state").graph) for stack in (govcloud, staging)
    )
    assert found - {"reviewed-content-is-there"} == expected  # nobody has reviewed the stack in GovCloud
