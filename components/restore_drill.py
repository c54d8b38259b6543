"""The scheduled restore drill: once a month one member of each group rehearses a restore from one of the copies."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from components.policy_documents import assumed_by, policy
from model.gates import (
    DELIVERY_SECONDS,
    REHEARSE_COMMAND,
    REHEARSE_SECONDS,
    RESTORE_DRILL,
    RESTORING_TAG,
    RESTORING_VALUE,
)
from model.topology import Role, Topology

COMMANDS = "AWS-RunShellScript"  # AWS's own document, which runs commands on machines
UNTAG_ATTEMPTS = 5  # one failed request must not leave the keys readable
ONLY_RESTORING = {"ForAllValues:StringEquals": {"aws:TagKeys": [RESTORING_TAG]}}


@dataclass(frozen=True)
class RestoreDrillArgs:
    """The topology, and the ARN of the secret with the read-only keys of all copies."""

    topology: Topology
    readers_arn: Output[str]


class RestoreDrill(ComponentResource):
    """`backbuild:index:RestoreDrill`: the monthly rehearsal of a restore.

    Makes: an SSM Automation document that opens the secret with the read-only keys, runs the rehearsal on all database
    machines, of which one in each group restores, and closes the secret; the EventBridge rule that starts it; and the
    IAM roles of both. Machines publish the age of their last successful rehearsal, on which `Alarms` has an alarm.
    """

    def __init__(self, name: str, args: RestoreDrillArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:RestoreDrill", name, {}, opts)
        self._topology: Topology = args.topology
        self._own: ResourceOptions = ResourceOptions(parent=self)
        prefix = args.topology.prefix
        self._document_name: str = f"{prefix}-{RESTORE_DRILL}"
        automation = self._role(name, f"{prefix}-restore-drill", "ssm.amazonaws.com")
        document = aws.ssm.Document(
            name,
            name=self._document_name,
            document_type="Automation",
            document_format="JSON",
            content=Output.all(automation.arn, args.readers_arn).apply(
                lambda arns: automation_document(prefix, role_arn=arns[0], secret_arn=arns[1])
            ),
            opts=self._own,
        )
        self._allow(name, automation, args.readers_arn.apply(self._automation_policy))
        starter = self._role(f"{name}-start", f"{prefix}-restore-start", "events.amazonaws.com")
        self._allow(f"{name}-start", starter, automation.arn.apply(self._starter_policy))
        rule = aws.cloudwatch.EventRule(
            name,
            name=f"{prefix}-restore-drill",
            description="Rehearses a restore of each database group from one copy of its backups",
            schedule_expression=args.topology.schedules.restore_drill,
            opts=self._own,
        )
        aws.cloudwatch.EventTarget(
            name, rule=rule.name, arn=document.arn.apply(definition_arn), role_arn=starter.arn, opts=self._own
        )
        self.register_outputs({})

    def _role(self, label: str, name: str, service: str) -> aws.iam.Role:
        return aws.iam.Role(label, name=name, assume_role_policy=assumed_by(service), opts=self._own)

    def _allow(self, label: str, role: aws.iam.Role, permissions: Output[str]) -> None:
        aws.iam.RolePolicy(label, role=role.name, policy=permissions, opts=self._own)

    def _automation_policy(self, secret_arn: str) -> str:
        """Return the permissions of the automation, from the ARN of the secret."""
        topology = self._topology
        partition, region = topology.partition, topology.settings.database.region
        tagging = {"StringEquals": {f"aws:RequestTag/{RESTORING_TAG}": RESTORING_VALUE}, **ONLY_RESTORING}
        return policy(
            {"Effect": "Allow", "Action": "secretsmanager:TagResource", "Resource": secret_arn, "Condition": tagging},
            {
                "Effect": "Allow",
                "Action": "secretsmanager:UntagResource",
                "Resource": secret_arn,
                "Condition": ONLY_RESTORING,
            },
            {
                "Effect": "Allow",
                "Action": "ssm:SendCommand",
                "Resource": f"arn:{partition}:ssm:{region}::document/{COMMANDS}",
            },
            {
                "Effect": "Allow",
                "Action": "ssm:SendCommand",
                "Resource": f"arn:{partition}:ec2:{region}:*:instance/*",
                "Condition": {"StringEquals": {"ssm:resourceTag/Platform": topology.prefix}},
            },
            {
                "Effect": "Allow",
                # What aws:runCommand needs to follow a command; these actions support no resource.
                "Action": ["ssm:DescribeInstanceInformation", "ssm:ListCommandInvocations", "ssm:ListCommands"],
                "Resource": "*",
            },
        )

    def _starter_policy(self, role_arn: str) -> str:
        """Return the permissions of EventBridge, from the ARN of the automation's role."""
        topology = self._topology
        # The role acts in its own account only, so that a policy needs no account number.
        place = f"arn:{topology.partition}:ssm:{topology.settings.database.region}:*"
        return policy(
            {
                "Effect": "Allow",
                "Action": "ssm:StartAutomationExecution",
                # Systems Manager authorises the definition, or in newer versions the document and the new execution.
                "Resource": [
                    f"{place}:automation-definition/{self._document_name}:$DEFAULT",
                    f"{place}:automation-execution/*",
                    f"{place}:document/{self._document_name}",
                ],
            },
            {
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": role_arn,
                "Condition": {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
            },
        )


def automation_document(prefix: str, *, role_arn: str, secret_arn: str) -> str:
    """Return the SSM Automation as canonical JSON. Its last step closes the secret whatever happened before."""
    tag = {
        "name": "tag",
        "action": "aws:executeAwsApi",
        "nextStep": "rehearse",
        "onFailure": "step:untag",  # a request that times out may still have set the tag
        "onCancel": "step:untag",
        "inputs": {
            "Service": "secretsmanager",
            "Api": "TagResource",
            "SecretId": secret_arn,
            "Tags": [{"Key": RESTORING_TAG, "Value": RESTORING_VALUE}],
        },
    }
    rehearse = {
        "name": "rehearse",
        "action": "aws:runCommand",
        "nextStep": "untag",
        "onFailure": "step:untag",
        "onCancel": "step:untag",
        "timeoutSeconds": DELIVERY_SECONDS + REHEARSE_SECONDS,
        "inputs": {
            "DocumentName": COMMANDS,
            "Targets": [
                {"Key": "tag:Platform", "Values": [prefix]},
                {"Key": "tag:Role", "Values": [Role.COORDINATOR.value, Role.WORKER.value]},
            ],
            "Parameters": {"commands": [REHEARSE_COMMAND], "executionTimeout": [str(REHEARSE_SECONDS)]},
            # All at once, and one machine's failure stops no other: each rehearses on its own disk.
            "MaxConcurrency": "100%",
            "MaxErrors": "100%",
            "TimeoutSeconds": DELIVERY_SECONDS,
        },
    }
    untag = {
        "name": "untag",
        "action": "aws:executeAwsApi",
        "isEnd": True,
        "maxAttempts": UNTAG_ATTEMPTS,
        "inputs": {
            "Service": "secretsmanager",
            "Api": "UntagResource",
            "SecretId": secret_arn,
            "TagKeys": [RESTORING_TAG],
        },
    }
    return json.dumps(
        {
            "schemaVersion": "0.3",
            "description": "Rehearses a restore of each database group from one copy of its backups",
            "assumeRole": role_arn,
            "mainSteps": [tag, rehearse, untag],
        },
        sort_keys=True,
    )


def definition_arn(document_arn: str) -> str:
    """Return the ARN under which EventBridge starts an Automation document, in its default version."""
    return f"{document_arn.replace(':document/', ':automation-definition/')}:$DEFAULT"
