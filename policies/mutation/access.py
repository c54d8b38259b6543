"""Weakenings of who may do what: keys that open more than they should, under whatever name that goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from policies.graph import Graph, Resource
from policies.mutation.copies import BUCKET_POLICY, ENCRYPTION, KEY, TOKEN, USER_POLICY
from policies.mutation.operators import Operator, add, named, put, relink, unprotect
from policies.mutation.weakening import Weakening

ACCESS_KEY = "aws:iam/accessKey:AccessKey"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE_ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
API_TOKEN = "cloudflare:index/apiToken:ApiToken"  # noqa: S105 (a type)
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
RESOURCES = "policies[0].resources"


def writer(*actions: str) -> Operator:
    """The off-site writer may also do this."""
    more = "".join(f', "{action}"' for action in actions)
    return put(USER_POLICY, "policy", lambda text: text.replace('"s3:GetObject"', f'"s3:GetObject"{more}'))


def statement(type: str, **fields: Any) -> Operator:
    """A policy has one more statement."""

    def change(text: str | None) -> str:
        document = json.loads(text or "{}")
        return json.dumps({**document, "Statement": [*document.get("Statement", []), fields]})

    return put(type, "policy", change)


def opened(change: Callable[[dict[str, str]], dict[str, str]]) -> Operator:
    """The machines' token opens other buckets."""
    return put(TOKEN, RESOURCES, lambda text: json.dumps(change(json.loads(text))))


def renamed(old: str, new: str) -> Operator:
    """The machines' token names its bucket otherwise."""
    return put(TOKEN, RESOURCES, lambda text: text.replace(old, new))


def beside(type: str, name: str, properties: dict[str, Any]) -> Operator:
    """One more resource."""

    def make(graph: Graph) -> Resource:
        prefix = "::".join(graph.stack.urn.split("::")[:2])
        return Resource(f"{prefix}::{type}::{name}", type, {"id": name, **properties})

    return add(make)


def platform_key(graph: Graph, _: Resource) -> Resource | None:
    """The key of volumes and secrets."""
    return next((one for one in graph.of(KEY) if one.name == "keys"), None)


WEAKENINGS = (
    *(
        Weakening(f"the writer may {' and '.join(actions)}", "writers-cannot-unlock", writer(*actions))
        for actions in (
            ("s3:Delete*", "s3:PutBucket*"),
            ("S3:*",),
            ("s3:?utBucketPolicy",),
            ("iam:*",),
            ("kms:Schedule*",),
            ("kms:DisableKey",),
        )
    ),
    Weakening(
        "the writer may do all but a little",
        "writers-cannot-unlock",
        statement(USER_POLICY, Effect="Allow", NotAction="ec2:*", Resource="*"),
    ),
    Weakening(
        "the writer may write other buckets",
        "writers-cannot-unlock",
        put(
            USER_POLICY,
            "policy",
            lambda text: text.replace('"arn:aws:s3:::backbuild-prod-backups-offsite/*"', '"*"'),
        ),
    ),
    Weakening(
        "the writer is an administrator",
        "writers-cannot-unlock",
        beside(
            "aws:iam/userPolicyAttachment:UserPolicyAttachment",
            "more",
            {"user": "backbuild-prod-backup-writer", "policyArn": ADMINISTRATOR},
        ),
    ),
    Weakening(
        "the writer joins a group",
        "writers-cannot-unlock",
        beside(
            "aws:iam/userGroupMembership:UserGroupMembership",
            "more",
            {"user": "backbuild-prod-backup-writer", "groups": ["administrators"]},
        ),
    ),
    Weakening("machines may do anything", "writers-cannot-unlock", statement(ROLE_POLICY, **EVERYTHING)),
    Weakening("machines are administrators", "writers-cannot-unlock", put(ROLE_ATTACHMENT, "policyArn", ADMINISTRATOR)),
    Weakening(
        "anybody may change the off-site bucket",
        "writers-cannot-unlock",
        statement(BUCKET_POLICY, **EVERYTHING, Principal="*"),
    ),
    Weakening(
        "another account may change the off-site bucket",
        "writers-cannot-unlock",
        statement(
            BUCKET_POLICY,
            Effect="Allow",
            Action="s3:*",
            Resource="*",
            Principal={"AWS": "arn:aws:iam::666666666666:root"},
        ),
    ),
    Weakening(
        "anybody may delete a key",
        "writers-cannot-unlock",
        statement(KEY, Effect="Allow", Action="kms:*", Resource="*", Principal="*"),
    ),
    Weakening(
        "another account may delete a key",
        "writers-cannot-unlock",
        statement(
            KEY, Effect="Allow", Action="kms:*", Resource="*", Principal={"AWS": ["arn:aws:iam::666666666666:root"]}
        ),
    ),
    Weakening(
        "a token for all buckets beside",
        "writers-cannot-unlock",
        beside(
            API_TOKEN,
            "more",
            {
                "policies": [
                    {
                        "effect": "allow",
                        "permissionGroups": [{"id": "bf7481a1826f439697cb59a20b22293e"}],
                        "resources": '{"com.cloudflare.api.account.*":"*"}',
                    }
                ]
            },
        ),
    ),
    Weakening(
        "the machines may write the replica, too",
        "writers-cannot-unlock",
        opened(lambda told: {**told, **{f"{key}-replica".replace("_eu_", "_us_"): "*" for key in told}}),
    ),
    Weakening(
        "the machines may write the whole account, too",
        "writers-cannot-unlock",
        opened(lambda told: {**told, "com.cloudflare.api.account.0123456789abcdef0123456789abcdef": "*"}),
    ),
    Weakening(
        "the machines may write the replica instead",
        "writers-cannot-unlock",
        renamed("prod-backups", "prod-backups-replica"),
    ),
    Weakening(
        "the machines may write a bucket of another jurisdiction", "writers-cannot-unlock", renamed("_eu_", "_us_")
    ),
    Weakening("the machines' token ends", "one-repository", put(TOKEN, "expiresOn", "2026-11-28T00:00:00Z")),
    Weakening("the machines' token is off", "one-repository", put(TOKEN, "status", "disabled")),
    Weakening("the writer's key is off", "replication-reaches-every-copy", put(ACCESS_KEY, "status", "Inactive")),
    # encryption
    Weakening(
        "only listings need TLS",
        "offsite-speaks-tls-only",
        put(BUCKET_POLICY, "policy", lambda text: text.replace('"s3:*"', '"s3:ListBucket"')),
    ),
    Weakening(
        "only some need TLS",
        "offsite-speaks-tls-only",
        put(BUCKET_POLICY, "policy", lambda text: text.replace('"Principal": "*"', '"Principal": {"AWS": "1"}')),
    ),
    Weakening(
        "only the bucket itself needs TLS",
        "offsite-speaks-tls-only",
        put(BUCKET_POLICY, "policy", lambda text: text.replace('offsite/*"', 'offsite/none"')),
    ),
    Weakening(
        "the off-site copy under the platform's key",
        "offsite-is-encrypted",
        relink(ENCRYPTION, "rules[0].applyServerSideEncryptionByDefault.kmsMasterKeyId", platform_key),
    ),
    Weakening(
        "an unprotected webhook key",
        "data-is-protected",
        unprotect("random:index/randomPassword:RandomPassword", named("webhook-key", "report-token")),
    ),
)
