"""Power of machines at AWS, with EC2's refusals."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from console.errors import InputError
from drills.sites.aws import AwsSite, reason_of
from drills.sites.claims import claim
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


def test_a_member_without_an_instance_is_named_and_the_other_ones_are_started(ids: dict[str, str]):
    site = AwsSite(TOPOLOGY)
    site.stop(LOST)
    boto3.client("ec2", REGION).terminate_instances(InstanceIds=[ids["gateway-1"]])
    with pytest.raises(SiteError, match="no instance is tagged backbuild-staging-gateway-1; run `pulumi up --refresh`"):
        site.start(LOST)
    assert state(ids["coordinator-0"]) == "running"


def test_an_instance_without_a_name_is_no_member(ids: dict[str, str]):
    tags = [{"Key": "Platform", "Value": TOPOLOGY.prefix}]
    boto3.client("ec2", REGION).run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    site = AwsSite(TOPOLOGY)
    assert site.running() == set(ids)
    site.stop(LOST)
    site.start(LOST)
    assert {state(id) for id in ids.values()} == {"running"}


def test_a_profile_that_does_not_exist_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SiteError, match=r"AWS cannot be reached: .*\(nobody\) could not be found; log in"):
        AwsSite(TOPOLOGY)
    with pytest.raises(InputError, match=r"\(nobody\) could not be found"), claim(TOPOLOGY, "drills run zone-lost"):
        pass


def test_what_a_machine_says_does_not_name_the_account(ids: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    site = AwsSite(TOPOLOGY)
    said = "User: arn:aws:sts::123456789012:assumed-role/coordinator is not authorized"
    ended = {"Status": "Failed", "StatusDetails": "Failed", "StandardErrorContent": said}
    monkeypatch.setattr(site._clients["ssm"], "send_command", lambda **_given: {"Command": {"CommandId": "1"}})
    monkeypatch.setattr(site, "_invocation", lambda _command, _instance: ended)
    with pytest.raises(SiteError, match=r"arn:aws:sts::\(account\):assumed-role"):
        site.run(next(iter(ids)), "true", 1)


def test_a_refusal_does_not_name_the_account():
    message = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: ec2:StopInstances"
    error = ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": message}}, "StopInstances")
    assert "arn:aws:iam::(account):user/ada" in reason_of(error)
    assert "aws sso login" in reason_of(NoCredentialsError())
