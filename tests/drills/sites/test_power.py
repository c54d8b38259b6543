"""Power of machines at AWS, with EC2's refusals."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from drills.sites.aws import AwsSite, reason_of
from drills.sites.site import SiteError
from tests.drills.restore.fakes import TOPOLOGY
from tests.drills.running.aws.world import REGION, simulated

LOST = ["coordinator-0", "gateway-1"]


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with simulated(monkeypatch) as made:
        yield made


def state(id: str) -> str:
    pages = boto3.client("ec2", REGION).describe_instances(InstanceIds=[id])["Reservations"]
    return pages[0]["Instances"][0]["State"]["Name"]


def test_machines_lose_power_and_get_it_back(ids: dict[str, str]):
    site = AwsSite(TOPOLOGY)
    site.stop(LOST)
    assert {name for name, id in ids.items() if state(id) == "stopped"} == set(LOST)
    assert set(LOST) & site.running() == set()
    site.start(LOST)
    assert {state(id) for id in ids.values()} == {"running"}


def test_machines_that_run_are_not_started(ids: dict[str, str]):
    AwsSite(TOPOLOGY).start(LOST)
    assert state(ids["coordinator-0"]) == "running"


def test_an_instance_that_ec2_still_describes_as_running_is_started(
    ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    site = AwsSite(TOPOLOGY)
    site.stop(["coordinator-0"])
    real = site._instances
    late = {name: {**one, "State": {"Name": "running"}} for name, one in real("stopped", "running").items()}
    monkeypatch.setattr(site, "_instances", lambda *_states: late)
    site.start(["coordinator-0"])
    assert state(ids["coordinator-0"]) == "running"


def test_stop_protection_is_an_error_with_the_remedy(ids: dict[str, str]):
    ec2 = boto3.client("ec2", REGION)
    ec2.modify_instance_attribute(InstanceId=ids["gateway-1"], DisableApiStop={"Value": True})
    with pytest.raises(SiteError, match=r"EC2 refused to stop coordinator-0, gateway-1: .*--no-disable-api-stop"):
        AwsSite(TOPOLOGY).stop(LOST)


def test_a_member_without_an_instance_cannot_be_started(ids: dict[str, str]):
    boto3.client("ec2", REGION).terminate_instances(InstanceIds=[ids["gateway-1"]])
    with pytest.raises(SiteError, match="no instance is tagged backbuild-staging-gateway-1; run `pulumi up --refresh`"):
        AwsSite(TOPOLOGY).start(LOST)


def test_a_refusal_does_not_name_the_account():
    message = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: ec2:StopInstances"
    error = ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": message}}, "StopInstances")
    assert "arn:aws:iam::(account):user/ada" in reason_of(error)
    assert "aws sso login" in reason_of(NoCredentialsError())
