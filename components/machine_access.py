"""The machines' permissions: an instance profile with least privileges for each role, and the secrets it may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from components.policy_documents import assumed_by, policy
from model.gates import RESTORING_TAG, RESTORING_VALUE
from model.topology import Role, Topology

_DATABASE = ("application", "patroni", "consensus", "backup_cipher", "backup_storage", "manifest_keys")
READABLE_SECRETS: Mapping[Role, tuple[str, ...]] = {
    Role.CONSENSUS: ("consensus_certificate", "consensus"),
    Role.COORDINATOR: ("coordinator_certificate", *_DATABASE),
    Role.WORKER: ("worker_certificate", *_DATABASE),
    Role.GATEWAY: ("gateway_certificate", "tunnel_token"),
}
"""Role to the fields of `topology.SecretNames` that its machines may read."""
READABLE_WHILE_RESTORING: Mapping[Role, tuple[str, ...]] = {
    Role.COORDINATOR: ("backup_readers",),
    Role.WORKER: ("backup_readers",),
}
"""Role to the fields of `topology.SecretNames` that its machines may read while the secret has `RESTORING_TAG`."""


@dataclass(frozen=True)
class MachineAccessArgs:
    """The topology, the KMS key, each secret's value by field of `topology.SecretNames`, and the VPC's S3 endpoint."""

    topology: Topology
    key_arn: Output[str]
    secrets: Mapping[str, Output[str]]
    storage_endpoint_id: Output[str]


class MachineAccess(ComponentResource):
    """`backbuild:index:MachineAccess`: secrets and profiles.

    Makes: every secret in Secrets Manager, with its name from `topology.secrets`; for each role an instance profile and
    an IAM role with permissions to be managed through SSM, to publish the platform's metrics, and to read the machines'
    archives and its secrets.
    """

    profile_names: dict[Role, Output[str]]
    """Role to instance profile."""
    readers_arn: Output[str]
    """The ARN of the secret with the read-only keys of all copies."""

    def __init__(self, name: str, args: MachineAccessArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:MachineAccess", name, {}, opts)
        self._name: str = name
        self._args: MachineAccessArgs = args
        self._own: ResourceOptions = ResourceOptions(parent=self)
        arns = {secret: self._store(secret, value) for secret, value in args.secrets.items()}
        self.readers_arn = arns["backup_readers"]
        self.profile_names = {
            role: self._profile(
                role,
                [arns[secret] for secret in secrets],
                [arns[secret] for secret in READABLE_WHILE_RESTORING.get(role, ())],
            )
            for role, secrets in READABLE_SECRETS.items()
        }
        self.register_outputs({})

    def _store(self, secret: str, value: Output[str]) -> Output[str]:
        label = f"{self._name}-{secret.replace('_', '-')}"
        topology = self._args.topology
        stored = aws.secretsmanager.Secret(
            label,
            name=getattr(topology.secrets, secret),
            kms_key_id=self._args.key_arn,
            recovery_window_in_days=30 if topology.settings.protect else 7,
            opts=self._own,
        )
        aws.secretsmanager.SecretVersion(label, secret_id=stored.id, secret_string=value, opts=self._own)
        return stored.arn

    def _profile(self, role: Role, secrets: list[Output[str]], restoring: list[Output[str]]) -> Output[str]:
        label = f"{self._name}-{role}"
        name = f"{self._args.topology.prefix}-{role}"
        identity = aws.iam.Role(label, name=name, assume_role_policy=assumed_by("ec2.amazonaws.com"), opts=self._own)
        aws.iam.RolePolicyAttachment(
            label,
            role=identity.name,
            policy_arn=f"arn:{self._args.topology.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore",
            opts=self._own,
        )
        permissions = Output.all(
            self._args.key_arn, self._args.storage_endpoint_id, Output.all(*secrets), Output.all(*restoring)
        ).apply(lambda known: self._permissions(*known))
        aws.iam.RolePolicy(label, role=identity.name, policy=permissions, opts=self._own)
        return aws.iam.InstanceProfile(label, name=name, role=identity.name, opts=self._own).name

    def _permissions(self, key: str, storage_endpoint: str, secrets: list[str], restoring: list[str]) -> str:
        topology = self._args.topology
        metrics: dict[str, object] = {
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",  # the action supports no resource; the namespace restricts it
            "Condition": {"StringEquals": {"cloudwatch:namespace": topology.prefix}},
        }
        archives = {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:{topology.partition}:s3:::{topology.machine_files_bucket}/*",
            "Condition": {"StringEquals": {"aws:SourceVpce": storage_endpoint}},
        }
        # No resource declares this tag: whoever starts a restore sets it on the secret, and removes it at the end.
        while_restoring: dict[str, object] = {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": sorted(restoring),
            "Condition": {"StringEquals": {f"secretsmanager:ResourceTag/{RESTORING_TAG}": RESTORING_VALUE}},
        }
        service = f"secretsmanager.{topology.settings.database.region}.amazonaws.com"
        return policy(
            metrics,
            archives,
            {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": sorted(secrets)},
            *([while_restoring] if restoring else []),
            {
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": key,
                "Condition": {"StringEquals": {"kms:ViaService": service}},
            },
        )
