"""Facts of IAM, KMS and Secrets Manager.

Limits: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html and the services' API references.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sandbox.clouds import rules
from sandbox.clouds.facts import Facts, Rule
from sandbox.provider import CheckFailure
from sandbox.values import Properties

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
POLICY = "aws:iam/policy:Policy"
USER = "aws:iam/user:User"
USER_POLICY = "aws:iam/userPolicy:UserPolicy"
ACCESS_KEY = "aws:iam/accessKey:AccessKey"
KEY = "aws:kms/key:Key"
ALIAS = "aws:kms/alias:Alias"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a type token)
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105 (a type token)

CREATED = "2026-01-01T00:00:00Z"


def _iam_name(longest: int) -> Rule:
    return rules.text(rf"[\w+=,.@-]{{1,{longest}}}", f"1 to {longest} letters, digits and + = , . @ _ -")


def _path(value: str) -> str | None:
    return None if value.startswith("/") and value.endswith("/") else f"{value!r} must begin and end with /"


def _assumable(value: str) -> str | None:
    """Accept a trust policy: a policy document with a Principal."""
    reason = rules.iam_policy(value)
    if reason is None and "Principal" not in value:
        return "has no Principal; add the principals that may assume the role"
    return reason


def _rotation(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("rotationPeriodInDays") is not None and inputs.get("enableKeyRotation") in {None, False}:
        yield CheckFailure("rotationPeriodInDays", "is only valid with enableKeyRotation: true")


def _one_value(inputs: Properties) -> Iterator[CheckFailure]:
    names = ("secretString", "secretBinary", "secretStringWo")
    if sum(inputs.get(name) is not None for name in names) != 1:
        yield CheckFailure("secretString", f"set exactly one of {', '.join(names)}")


def named(noun: str, longest: int, deletion_blocked_by: tuple[str, ...] = (), **checks: Rule) -> Facts:
    """Return the facts of an IAM object whose name is unique in the account."""
    return Facts(
        id="{name}",
        computed={
            "arn": f"arn:{{partition}}:iam::{{account}}:{noun}{{path}}{{name}}",
            "uniqueId": "AR{hex19}",
            "createDate": CREATED,
        },
        defaults={"path": "/"},
        replaces=("name", "namePrefix", "path"),
        rules={"name": _iam_name(longest), "path": _path, **checks},
        scope="{account}",
        unique=(("name",),),
        deletion_blocked_by=deletion_blocked_by,
        autoname="name",
    )


_role = named("role", 64, (PROFILE, ATTACHMENT, ROLE_POLICY), assumeRolePolicy=_assumable)
_profile = named("instance-profile", 128, ("aws:ec2/instance:Instance",))


def _inline(owner: str, kind: str) -> Facts:
    """Return the facts of an inline policy of a role or user."""
    return Facts(
        id=f"{{{owner}}}:{{name}}",
        replaces=("name", "namePrefix", owner),
        rules={"policy": rules.iam_policy, "name": _iam_name(128)},
        references={owner: kind},
        scope="{account}",
        unique=((owner, "name"),),
        autoname="name",
    )


TYPES = {
    ROLE: replace(
        _role,
        defaults={"path": "/", "maxSessionDuration": 3600, "forceDetachPolicies": False},
        rules={
            **_role.rules,
            "maxSessionDuration": rules.between(3600, 43200, "seconds"),
            "description": rules.at_most_characters(1000),
            "inlinePolicies[].policy": rules.iam_policy,
        },
    ),
    PROFILE: replace(_profile, references={"role": ROLE}),
    POLICY: Facts(
        id="arn:{partition}:iam::{account}:policy{path}{name}",
        computed={"arn": "{id}", "policyId": "ANPA{hex17}", "attachmentCount": 0},
        defaults={"path": "/"},
        replaces=("name", "namePrefix", "path", "description"),
        rules={"name": _iam_name(128), "path": _path, "policy": rules.iam_policy},
        scope="{account}",
        unique=(("name",),),
        deletion_blocked_by=(ATTACHMENT,),
        autoname="name",
    ),
    ROLE_POLICY: _inline("role", ROLE),
    USER_POLICY: _inline("user", USER),
    ATTACHMENT: Facts(
        id="{role}-{policyArn}",
        replaces=("*",),
        references={"role": ROLE, "policyArn": POLICY},
        scope="{account}",
        unique=(("role", "policyArn"),),
    ),
    USER: named("user", 64, (ACCESS_KEY, USER_POLICY)),
    ACCESS_KEY: Facts(
        id="AKIA{hex16}",
        computed={
            "secret": "{hex40}",
            "sesSmtpPasswordV4": "{hex44}",
            "createDate": CREATED,
            "encryptedSecret": None,
            "encryptedSesSmtpPasswordV4": None,
            "keyFingerprint": None,
        },
        defaults={"status": "Active"},
        replaces=("user", "pgpKey"),
        rules={"status": rules.one_of("Active", "Inactive")},
        references={"user": USER},
    ),
    KEY: Facts(
        id="{hex8}-0000-4000-8000-{hex12}",
        computed={
            "arn": "arn:{partition}:kms:{region}:{account}:key/{id}",
            "keyId": "{id}",
            "policy": None,
            "description": "",
            "rotationPeriodInDays": lambda context: 365 if context.get("enableKeyRotation") else None,
        },
        defaults={
            "isEnabled": True,
            "keyUsage": "ENCRYPT_DECRYPT",
            "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "multiRegion": False,
        },
        replaces=("keyUsage", "customerMasterKeySpec", "multiRegion", "customKeyStoreId"),
        rules={
            "deletionWindowInDays": rules.between(7, 30, "days"),
            "rotationPeriodInDays": rules.between(90, 2560, "days"),
            "keyUsage": rules.one_of("ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"),
            "policy": rules.iam_policy,
            "description": rules.at_most_characters(8192),
        },
        inputs_rules=(_rotation,),
        known_as=("arn", "keyId"),
    ),
    ALIAS: Facts(
        id="{name}",
        computed={
            "arn": "arn:{partition}:kms:{region}:{account}:{name}",
            "targetKeyArn": lambda context: (context.objects.look(KEY, context["targetKeyId"]) or {}).get("arn"),
        },
        replaces=("name", "namePrefix"),
        rules={
            "name": rules.text(r"alias/(?!aws/)[\w/-]{1,250}", "alias/NAME, of letters, digits, / _ -, not alias/aws/…")
        },
        references={"targetKeyId": KEY},
        scope="{account}/{region}",
        unique=(("name",),),
        autoname="name",
        autoname_format="alias/{name}-{hex7}",
    ),
    SECRET: Facts(
        id="arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-{hex6}",
        computed={"arn": "{id}", "policy": None},
        defaults={"recoveryWindowInDays": 30, "forceOverwriteReplicaSecret": False},
        replaces=("name", "namePrefix"),
        rules={
            "recoveryWindowInDays": rules.zero_or(7, 30, "days"),
            "name": rules.text(r"[\w/+=.@-]{1,512}", "1 to 512 letters, digits and / _ + = . @ -"),
            "policy": rules.iam_policy,
        },
        references={"kmsKeyId": KEY},
        scope="{account}/{region}",
        unique=(("name",),),
        autoname="name",
    ),
    SECRET_VERSION: Facts(
        id="{secretId}|terraform-{hex32}",
        computed={
            "arn": "{secretId}",
            "secretArn": "{secretId}",
            "versionId": "terraform-{hex32}",
            "versionStages": ["AWSCURRENT"],
        },
        replaces=("secretId", "secretString", "secretBinary"),
        rules={
            # Secrets Manager's limit for one version is 64 KiB.
            "secretString": rules.bytes_at_most(65536),
            "secretBinary": rules.base64_of_at_most(65536),
        },
        inputs_rules=(_one_value,),
        references={"secretId": SECRET},
    ),
}
