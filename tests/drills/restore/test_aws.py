"""A stack at AWS as a site, against simulated services. The simulated Systems Manager runs no command; a stub does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from drills.sites import aws as module
from drills.sites.aws import AwsSite
from drills.sites.site import SiteError
from tests.drills.restore.fakes import TOPOLOGY

REGION = TOPOLOGY.settings.database.region
MEMBERS = ["coordinator-0", "worker-1-0"]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSite]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    }.items():
        monkeypatch.setenv(name, value)
    for service in ("ec2", "secretsmanager", "ssm"):
        get_backend(service)[DEFAULT_ACCOUNT_ID][REGION].reset()
    simulated = mock_aws()
    simulated.start(reset=False)  # other tests of this process use the simulated S3
    try:
        boto3.client("secretsmanager", REGION).create_secret(Name=TOPOLOGY.secrets.backup_readers, SecretString="{}")
        for name in (*MEMBERS, "gateway-0"):
            machine(name)
        machine("coordinator-0", platform="another-staging")
        yield AwsSite(TOPOLOGY)
    finally:
        simulated.stop(remove_data=False)


def machine(name: str, platform: str = TOPOLOGY.prefix) -> str:
    """Start an instance with a data volume; return the volume."""
    ec2 = boto3.client("ec2", REGION)
    tags = [{"Key": "Name", "Value": f"{platform}-{name}"}, {"Key": "Platform", "Value": platform}]
    made = ec2.run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.micro",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    instance = made["Instances"][0]
    zone = instance["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=8)["VolumeId"]
    ec2.attach_volume(InstanceId=instance["InstanceId"], VolumeId=volume, Device="/dev/sdf")
    return volume


def instance_of(name: str) -> dict[str, Any]:
    pages = boto3.client("ec2", REGION).describe_instances(Filters=[{"Name": "tag:Name", "Values": [name]}])
    return pages["Reservations"][0]["Instances"][0]


class Agent:
    """Systems Manager with one instance whose agent answers with invocations, one after the other."""

    def __init__(self, *answers: dict[str, str] | None) -> None:
        self.answers = list(answers)
        self.sent: list[dict[str, Any]] = []
        self.exceptions = boto3.client("ssm", REGION).exceptions

    def send_command(self, **given: Any) -> dict[str, Any]:
        self.sent.append(given)
        return {"Command": {"CommandId": "a-command"}}

    def get_command_invocation(self, CommandId: str, InstanceId: str) -> dict[str, str]:  # noqa: N803
        assert (CommandId, InstanceId) == ("a-command", self.sent[-1]["InstanceIds"][0])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise self.exceptions.InvocationDoesNotExist(
                {"Error": {"Code": "InvocationDoesNotExist"}}, "GetCommandInvocation"
            )
        return {"StandardOutputContent": "", "StandardErrorContent": "", "StatusDetails": answer["Status"], **answer}


def answer(site: AwsSite, monkeypatch: pytest.MonkeyPatch, *answers: dict[str, str] | None) -> Agent:
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    agent = Agent(*answers)
    site._clients["ssm"] = agent
    return agent


def test_a_command_runs_on_the_members_instance(site: AwsSite, monkeypatch: pytest.MonkeyPatch):
    done = {"Status": "Success", "StandardOutputContent": "{}\n"}
    agent = answer(site, monkeypatch, None, {"Status": "Pending"}, {"Status": "InProgress"}, done)
    assert site.run("coordinator-0", "backbuild-restore status", 120) == "{}\n"
    (sent,) = agent.sent
    assert sent["InstanceIds"] == [instance_of(f"{TOPOLOGY.prefix}-coordinator-0")["InstanceId"]]
    assert sent["Parameters"] == {"commands": ["backbuild-restore status"], "executionTimeout": ["120"]}


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (
            {"Status": "Failed", "StandardErrorContent": "backbuild-restore: no space\n"},
            "coordinator-0: backbuild-restore: no space",
        ),
        ({"Status": "TimedOut"}, "coordinator-0: TimedOut"),
        ({"Status": "Undeliverable"}, "coordinator-0: Undeliverable"),
    ],
)
def test_a_failed_command_is_an_error_with_the_member_and_the_reason(
    site: AwsSite, monkeypatch: pytest.MonkeyPatch, shown: dict[str, str], reason: str
):
    answer(site, monkeypatch, shown)
    with pytest.raises(SiteError) as failed:
        site.run("coordinator-0", "true", 1)
    assert str(failed.value) == reason


def test_a_command_that_does_not_end_is_an_error(site: AwsSite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DELIVERY_SECONDS", -2)
    answer(site, monkeypatch, {"Status": "InProgress"})
    with pytest.raises(SiteError, match="coordinator-0 did not finish `true` within 1 s"):
        site.run("coordinator-0", "true", 1)


def test_the_simulated_service_takes_the_command_as_it_is_sent(site: AwsSite):
    assert site.run("worker-1-0", "echo hello", 30) == ""


def test_a_refusal_of_the_cloud_is_an_error_with_the_member(site: AwsSite, monkeypatch: pytest.MonkeyPatch):
    def refused(**_given: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "ssm:SendCommand"}}, "SendCommand")

    monkeypatch.setattr(site._clients["ssm"], "send_command", refused)
    with pytest.raises(SiteError, match=r"coordinator-0: Systems Manager refused the command: .*ssm:SendCommand"):
        site.run("coordinator-0", "true", 1)


@pytest.mark.parametrize("change", ["absent", "stopped"])
def test_a_member_without_a_running_instance_is_named(site: AwsSite, change: str):
    if change == "stopped":
        stopped = instance_of(f"{TOPOLOGY.prefix}-worker-1-0")["InstanceId"]
        boto3.client("ec2", REGION).stop_instances(InstanceIds=[stopped])
    name = "worker-1-0" if change == "stopped" else "worker-9-0"
    with pytest.raises(
        SiteError, match=f"no running instance is tagged {TOPOLOGY.prefix}-{name}; run `pulumi up` first"
    ):
        site.run(name, "true", 1)


def test_machines_may_read_the_copies_only_while_the_secret_has_the_tag(site: AwsSite):
    secrets = boto3.client("secretsmanager", REGION)

    def tags() -> list[Any]:
        return secrets.describe_secret(SecretId=TOPOLOGY.secrets.backup_readers).get("Tags", [])

    site.allow_reading(TOPOLOGY.secrets.backup_readers)
    site.allow_reading(TOPOLOGY.secrets.backup_readers)
    assert tags() == [{"Key": "Restoring", "Value": "true"}]
    site.forbid_reading(TOPOLOGY.secrets.backup_readers)
    site.forbid_reading(TOPOLOGY.secrets.backup_readers)
    assert tags() == []


def test_a_missing_secret_is_an_error_with_its_name(site: AwsSite):
    for change in (site.allow_reading, site.forbid_reading):
        with pytest.raises(SiteError, match="backbuild-nowhere/readers"):
            change("backbuild-nowhere/readers")


def test_a_snapshot_of_each_data_volume_is_made_once_for_a_label(site: AwsSite):
    ec2 = boto3.client("ec2", REGION)
    made = site.keep_aside(MEMBERS, "before-replica-latest")
    assert site.keep_aside(MEMBERS, "before-replica-latest") == made
    found = {one["SnapshotId"]: one for one in ec2.describe_snapshots(OwnerIds=["self"], SnapshotIds=made)["Snapshots"]}
    for member, snapshot in zip(MEMBERS, made, strict=True):
        instance = instance_of(f"{TOPOLOGY.prefix}-{member}")
        data = next(one for one in instance["BlockDeviceMappings"] if one["DeviceName"] == "/dev/sdf")
        tags = {tag["Key"]: tag["Value"] for tag in found[snapshot]["Tags"]}
        assert found[snapshot]["VolumeId"] == data["Ebs"]["VolumeId"]
        assert tags == {"Name": f"{TOPOLOGY.prefix}-{member}-before-replica-latest", "Platform": TOPOLOGY.prefix}
    assert site.keep_aside(MEMBERS, "before-offsite-latest") != made


@pytest.mark.parametrize("volumes", [0, 2])
def test_a_member_without_exactly_one_data_volume_is_an_error(site: AwsSite, volumes: int):
    ec2 = boto3.client("ec2", REGION)
    instance = instance_of(f"{TOPOLOGY.prefix}-worker-1-0")
    if volumes:
        volume = ec2.create_volume(AvailabilityZone=instance["Placement"]["AvailabilityZone"], Size=8)["VolumeId"]
        ec2.attach_volume(InstanceId=instance["InstanceId"], VolumeId=volume, Device="/dev/sdg")
    else:
        data = next(one for one in instance["BlockDeviceMappings"] if one["DeviceName"] == "/dev/sdf")
        ec2.detach_volume(VolumeId=data["Ebs"]["VolumeId"], InstanceId=instance["InstanceId"])
    with pytest.raises(SiteError, match=f"worker-1-0 has {volumes} data volumes"):
        site.keep_aside(["worker-1-0"], "label")
