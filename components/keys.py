"""The KMS key that encrypts the platform's data in AWS, and the passwords that Pulumi generates."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
import pulumi_random as random
from pulumi import ComponentResource, InvokeOutputOptions, Output, ResourceOptions

from components.policy_documents import policy
from model.signing import public_key
from model.topology import Topology

PASSWORD_LENGTH = 40  # of 62 letters and digits: 238 bits; no punctuation, so that no file needs quoting
LOGINS = ("application", "patroni", "consensus")
"""Passwords that a new generation (`database.passwordGeneration`) replaces."""
PASSWORDS = (*LOGINS, "backup_cipher")
# The passwords from which the manifest signing keys are derived. The first key signs; signatures of the others stay
# valid. To rotate, add a new name in front. Remove the last name when no manifest that it signed is kept any more.
MANIFEST_KEYS = ("manifest",)
DELETION_DAYS = 30  # AWS's maximum: without the key the volumes and all secrets are lost


@dataclass(frozen=True)
class KeysArgs:
    """The topology."""

    topology: Topology


class Keys(ComponentResource):
    """`backbuild:index:Keys`: encryption and signing keys, and passwords.

    Makes: one KMS key with its alias, and a random password for each of `PASSWORDS` and `MANIFEST_KEYS`.
    """

    key_arn: Output[str]
    """The key that encrypts volumes, secrets and alarms."""
    passwords: dict[str, Output[str]]
    """Field of `topology.SecretNames` to password; secret."""
    manifest_keys: Output[str]
    """The passwords of `MANIFEST_KEYS`, one a line, from which machines derive their signing keys; secret."""
    manifest_public_keys: Output[list[str]]
    """The public keys that verify backup manifests: base64, in the order of `MANIFEST_KEYS`."""

    def __init__(self, name: str, args: KeysArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Keys", name, {}, opts)
        topology = args.topology
        # Protected like the data: without its key or password, encrypted data is lost.
        data = ResourceOptions(parent=self, protect=topology.settings.protect)
        key = aws.kms.Key(
            name,
            description=f"{topology.prefix}: volumes, secrets and alarms",
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_DAYS,
            policy=aws.get_caller_identity_output(opts=InvokeOutputOptions(parent=self)).account_id.apply(
                lambda account: _key_policy(topology.partition, account)
            ),
            opts=data,
        )
        aws.kms.Alias(
            name, name=f"alias/{topology.prefix}", target_key_id=key.key_id, opts=ResourceOptions(parent=self)
        )
        self.key_arn = key.arn
        generation = {"generation": str(topology.settings.database.password_generation)}
        generated = {
            password: random.RandomPassword(
                f"{name}-{password.replace('_', '-')}",
                length=PASSWORD_LENGTH,
                special=False,
                keepers=generation if password in LOGINS else None,
                # Protection would prevent the replacement. No data is encrypted with these passwords, so none is lost.
                opts=ResourceOptions(parent=self) if password in LOGINS else data,
            ).result
            for password in (*PASSWORDS, *MANIFEST_KEYS)
        }
        self.passwords = {password: generated[password] for password in PASSWORDS}
        signing = Output.all(*(generated[key] for key in MANIFEST_KEYS))
        self.manifest_keys = signing.apply("\n".join)
        self.manifest_public_keys = Output.unsecret(signing.apply(lambda keys: [public_key(key) for key in keys]))
        self.register_outputs({"keyArn": self.key_arn})


def _key_policy(partition: str, account: str) -> str:
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
        },
    )
