"""A real stack as a site: commands go through Systems Manager."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, cast

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound, TokenRetrievalError

from drills.sites.site import SiteError
from model.gates import RESTORING_TAG, RESTORING_VALUE
from model.topology import Topology

DELIVERY_SECONDS = 60  # an agent that runs takes a command at once
SHOWN_CHARACTERS = 100  # of a command in an error: some contain a program
ENDED = {"Success", "Failed", "TimedOut", "Cancelled", "Undeliverable", "Terminated"}


class AwsSite:
    """The machines of a stack at AWS, with the operator's own credentials.

    They need `ssm:SendCommand` and `ssm:GetCommandInvocation`, `ec2:DescribeInstances`, `ec2:DescribeSnapshots`,
    `ec2:CreateSnapshot` and `ec2:CreateTags`, and `secretsmanager:TagResource` and `UntagResource`. Drills also need
    `ec2:StopInstances` and `ec2:StartInstances`.
    """

    poll_seconds: float = 5

    def __init__(self, topology: Topology) -> None:
        self._prefix: str = topology.prefix
        self._known: dict[str, Any] = {}
        self._stopped: set[str] = set()
        """The ids of instances that `stop` has stopped: EC2 may describe them as running for some seconds more."""
        region = topology.settings.database.region
        try:
            self._clients: dict[str, Any] = {
                name: cast(Any, boto3).client(name, region_name=region) for name in ("ssm", "ec2", "secretsmanager")
            }
        except BotoCoreError as error:  # such as a profile that does not exist
            raise SiteError(f"AWS cannot be reached: {reason_of(error)}") from None

    def _instances(self, *states: str) -> dict[str, Any]:
        """Return the instances in one of these states by the name of their member."""
        wanted = [
            {"Name": "tag:Platform", "Values": [self._prefix]},
            {"Name": "instance-state-name", "Values": list(states)},
        ]
        try:
            pages = self._clients["ec2"].get_paginator("describe_instances").paginate(Filters=wanted)
            found = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
        except (BotoCoreError, ClientError) as error:
            raise SiteError(f"the instances cannot be listed: {reason_of(error)}") from None
        # An instance without a name is no member: somebody has made it by hand.
        named = [(_tags(one).get("Name", ""), one) for one in found]
        return {name.removeprefix(f"{self._prefix}-"): one for name, one in named if name}

    def _instance(self, member: str) -> Any:
        found = self._known.get(member)
        if found is None:
            self._known = known = self._instances("running")  # another thread may replace it at any moment
            found = known.get(member)
        if found is None:
            raise SiteError(f"no running instance is tagged {self._prefix}-{member}; run `pulumi up` first")
        return found

    def running(self) -> set[str]:
        """Return the names of the members whose instances run."""
        self._known = known = self._instances("running")
        return set(known)

    def run(self, member: str, command: str, seconds: float) -> str:
        """Run a shell command as root on a member and return its output, at most 24,000 characters."""
        ssm, instance = self._clients["ssm"], self._instance(member)["InstanceId"]
        try:
            sent = ssm.send_command(
                InstanceIds=[instance],
                DocumentName="AWS-RunShellScript",
                Parameters={"commands": [command], "executionTimeout": [str(round(seconds))]},
                TimeoutSeconds=DELIVERY_SECONDS,
            )["Command"]["CommandId"]
            deadline = time.monotonic() + seconds + DELIVERY_SECONDS
            while (shown := self._invocation(sent, instance)) is None or shown["Status"] not in ENDED:
                if time.monotonic() > deadline:
                    raise SiteError(f"{member} did not finish `{_shortened(command)}` within {seconds:g} s")
                time.sleep(1)
        except (BotoCoreError, ClientError) as error:
            raise SiteError(f"{member}: Systems Manager refused the command: {reason_of(error)}") from None
        if shown["Status"] != "Success":
            reason = shown["StandardErrorContent"].strip() or shown["StatusDetails"]
            raise SiteError(f"{member}: {_without_account(reason)}")
        return shown["StandardOutputContent"]

    def _invocation(self, command: str, instance: str) -> Any:
        """Return a command's state on an instance; None while it is not known there yet."""
        try:
            return self._clients["ssm"].get_command_invocation(CommandId=command, InstanceId=instance)
        except self._clients["ssm"].exceptions.InvocationDoesNotExist:
            return None

    def stop(self, members: Sequence[str]) -> None:
        """Let machines lose power: EC2 stops their instances at once, without a shutdown of Debian."""
        ids = [self._instance(member)["InstanceId"] for member in members]
        try:
            self._clients["ec2"].stop_instances(InstanceIds=ids, Force=True, SkipOsShutdown=True)
            self._stopped |= set(ids)
        except (BotoCoreError, ClientError) as error:
            raise SiteError(
                f"EC2 refused to stop {', '.join(members)}: {reason_of(error)}. If an instance has stop "
                "protection, remove it: `aws ec2 modify-instance-attribute --no-disable-api-stop --instance-id ID`"
            ) from None

    def start(self, members: Sequence[str]) -> None:
        """Start the instances of members again, as soon as EC2 has stopped them."""
        ec2 = self._clients["ec2"]
        try:
            known = self._instances("running", "stopping", "stopped")
            described = {known[one]["InstanceId"]: known[one]["State"]["Name"] for one in members if one in known}
            ids = [id for id, state in described.items() if state != "running" or id in self._stopped]
            if ids:
                ec2.get_waiter("instance_stopped").wait(InstanceIds=ids)
                ec2.start_instances(InstanceIds=ids)
                self._stopped -= set(ids)
                ec2.get_waiter("instance_running").wait(InstanceIds=ids)
        except (BotoCoreError, ClientError) as error:
            raise SiteError(f"EC2 did not start {', '.join(members)}: {reason_of(error)}") from None
        if missing := [f"{self._prefix}-{one}" for one in members if one not in known]:
            raise SiteError(f"no instance is tagged {', '.join(missing)}; run `pulumi up --refresh`")

    def allow_reading(self, secret: str) -> None:
        """Let the machines read the read-only keys of all copies."""
        self._tag(secret, "tag_resource", Tags=[{"Key": RESTORING_TAG, "Value": RESTORING_VALUE}])

    def forbid_reading(self, secret: str) -> None:
        """End `allow_reading`."""
        self._tag(secret, "untag_resource", TagKeys=[RESTORING_TAG])

    def _tag(self, secret: str, operation: str, **given: Any) -> None:
        try:
            getattr(self._clients["secretsmanager"], operation)(SecretId=secret, **given)
        except (BotoCoreError, ClientError) as error:
            raise SiteError(
                f"the tag {RESTORING_TAG} of the secret {secret} cannot be changed: {reason_of(error)}"
            ) from None

    def keep_aside(self, members: Sequence[str], label: str) -> list[str]:
        """Begin a snapshot of each member's data volume, unless there is one with this label. EBS finishes it later."""
        return [self._snapshot(member, label) for member in members]

    def _snapshot(self, member: str, label: str) -> str:
        ec2, name = self._clients["ec2"], f"{self._prefix}-{member}-{label}"
        try:
            known = ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag:Name", "Values": [name]}])
            if known["Snapshots"]:
                return known["Snapshots"][0]["SnapshotId"]
            instance = self._instance(member)
            root = instance["RootDeviceName"]
            volumes = [one["Ebs"]["VolumeId"] for one in instance["BlockDeviceMappings"] if one["DeviceName"] != root]
            if len(volumes) != 1:
                raise SiteError(f"{member} has {len(volumes)} data volumes, not one; run `pulumi up` first")
            tags = [{"Key": "Name", "Value": name}, {"Key": "Platform", "Value": self._prefix}]
            made = ec2.create_snapshot(
                VolumeId=volumes[0],
                Description=f"{member} before a restore in place",
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
            )
        except (BotoCoreError, ClientError) as error:
            raise SiteError(f"{member}: its data volume cannot be kept aside: {reason_of(error)}") from None
        return made["SnapshotId"]


def _shortened(command: str) -> str:
    return command if len(command) <= SHOWN_CHARACTERS else f"{command[:SHOWN_CHARACTERS]}…"


def reason_of(error: BotoCoreError | ClientError) -> str:
    """Return a refusal of AWS with its remedy, and without the account's number."""
    if isinstance(error, (NoCredentialsError, ProfileNotFound, TokenRetrievalError)):
        return f"{error}; log in, for example with `aws sso login`, or set AWS_PROFILE"
    return _without_account(str(error))


def _without_account(text: str) -> str:
    return re.sub(r"(?<!\d)\d{12}(?!\d)", "(account)", text)


def _tags(instance: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
