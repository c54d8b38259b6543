"""Weakenings of access to the copies: public or unencrypted buckets, and credentials that allow too much."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from policies.graph import Graph, Resource
from policies.mutation.operators import (
    Operator,
    Where,
    add,
    anything,
    declare,
    declared,
    drop,
    named,
    put,
    relink,
    substitute,
)
from policies.mutation.weakening import Weakenings
from policies.rules.access.rules import ENCRYPTION, MANAGED_DOMAIN, OWNERSHIP, PUBLIC
from policies.views.permissions import API_TOKEN, BUCKET_POLICY, KEY, ROLE_ATTACHMENT, ROLE_POLICY, TOKEN, USER_POLICY
from policies.views.vault import R2

OFFSITE = named("offsite")

ATTACHMENT = "aws:iam/userPolicyAttachment:UserPolicyAttachment"
MEMBERSHIP = "aws:iam/userGroupMembership:UserGroupMembership"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
WRITER = "backbuild-prod-backup-writer"
STRANGER = "arn:aws:iam::666666666666:root"
BUCKET_WRITE = "bf7481a1826f439697cb59a20b22293e"  # R2's permission group for writing a bucket's configuration
ALL_BUCKETS = '{"com.cloudflare.api.account.*": "*"}'
ALL_ACTIONS = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ALL_OF_KMS = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
ALL_OF_S3 = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
ENCRYPTING = "rules[0].applyServerSideEncryptionByDefault"
BUCKETS = "policies[0].resources"


def statement(type: str, **fields: Any) -> Operator:
    """Add a statement to a policy."""

    def change(text: str | None) -> str:
        document = json.loads(text or "{}")
        return json.dumps({**document, "Statement": [*document.get("Statement", []), fields]})

    return put(type, "policy", change)


def reword(type: str, old: str, new: str, where: Where = anything) -> Operator:
    """Replace a part of a policy."""
    return substitute(type, "policy", old, new, where)


def also_allowed(*actions: str) -> Operator:
    """Allow the off-site writer more actions."""
    more = "".join(f', "{action}"' for action in actions)
    return reword(USER_POLICY, '"s3:GetObject"', f'"s3:GetObject"{more}')


def opened(change: Callable[[dict[str, str]], dict[str, str]]) -> Operator:
    """Let the machines' token open other buckets."""
    return put(TOKEN, BUCKETS, lambda text: json.dumps(change(json.loads(text))))


def publish(graph: Graph) -> Resource:
    """Return a public address of the primary bucket."""
    bucket = next(one for one in graph.of(R2) if one.name.endswith("primary"))
    properties = {"bucketName": bucket.properties["name"], "enabled": True}
    return declared(graph, MANAGED_DOMAIN, bucket.name, properties, {"bucketName": (bucket.urn,)})


def platform_key(graph: Graph, _: Resource) -> Resource | None:
    """Return the key that encrypts volumes and secrets."""
    return next((one for one in graph.of(KEY) if one.name == "keys"), None)


WEAKENINGS: Weakenings = {
    "offsite-is-encrypted": {
        "it is encrypted with Amazon's key": put(ENCRYPTION, f"{ENCRYPTING}.sseAlgorithm", "AES256"),
        "it is not encrypted": drop(ENCRYPTION),
        "it is encrypted with the platform's key": relink(ENCRYPTION, f"{ENCRYPTING}.kmsMasterKeyId", platform_key),
    },
    "buckets-are-private": {
        **{
            f"{flag} is false": put(PUBLIC, flag, False, OFFSITE)
            for flag in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        },
        "the public access block is not declared": drop(PUBLIC, OFFSITE),
        "other accounts may own objects": put(OWNERSHIP, "rule.objectOwnership", "ObjectWriter", OFFSITE),
        "the primary bucket has a public address": add(publish),
    },
    "offsite-speaks-tls-only": {
        "the off-site bucket's policy is not declared": drop(BUCKET_POLICY, OFFSITE),
        "the policy allows requests without TLS": reword(BUCKET_POLICY, "Deny", "Allow", OFFSITE),
        "only listing requires TLS": reword(BUCKET_POLICY, '"s3:*"', '"s3:ListBucket"', OFFSITE),
        "only one account must use TLS": reword(
            BUCKET_POLICY, '"Principal": "*"', '"Principal": {"AWS": "1"}', OFFSITE
        ),
        "only the bucket itself requires TLS": reword(BUCKET_POLICY, 'offsite/*"', 'offsite/none"', OFFSITE),
    },
    "writers-cannot-unlock": {
        "the writer may call every S3 action": reword(USER_POLICY, "s3:GetObject", "s3:*"),
        "the writer may bypass locks": reword(USER_POLICY, "s3:GetObject", "s3:BypassGovernanceRetention"),
        **{
            f"the writer may also call {' and '.join(actions)}": also_allowed(*actions)
            for actions in (
                *(("s3:Delete*", "s3:PutBucket*"), ("S3:*",), ("s3:?utBucketPolicy",)),
                *(("iam:*",), ("kms:Schedule*",), ("kms:DisableKey",)),
            )
        },
        "the writer may do all but EC2": statement(USER_POLICY, Effect="Allow", NotAction="ec2:*", Resource="*"),
        "it may write other buckets": reword(USER_POLICY, '"arn:aws:s3:::backbuild-prod-backups-offsite/*"', '"*"'),
        "the writer is an administrator": declare(ATTACHMENT, user=WRITER, policyArn=ADMINISTRATOR),
        "the writer is a member of a group": declare(MEMBERSHIP, user=WRITER, groups=["administrators"]),
        "machines may call every action": statement(ROLE_POLICY, **ALL_ACTIONS),
        "the machine that builds images may read every bucket": reword(ROLE_POLICY, ":::ec2imagebuilder*", ":::*"),
        "the machine that builds images may change components": reword(
            ROLE_POLICY, "imagebuilder:GetComponent", "imagebuilder:*"
        ),
        "machines are administrators": put(ROLE_ATTACHMENT, "policyArn", ADMINISTRATOR),
        "everybody may change the off-site bucket": statement(BUCKET_POLICY, **ALL_ACTIONS, Principal="*"),
        "another account may change the bucket": statement(BUCKET_POLICY, **ALL_OF_S3, Principal={"AWS": STRANGER}),
        "everybody may delete a key": statement(KEY, **ALL_OF_KMS, Principal="*"),
        "another account may delete a key": statement(KEY, **ALL_OF_KMS, Principal={"AWS": [STRANGER]}),
        "another token may write all buckets": declare(
            API_TOKEN,
            policies=[{"effect": "allow", "permissionGroups": [{"id": BUCKET_WRITE}], "resources": ALL_BUCKETS}],
        ),
        "the machines' token may change the bucket's configuration": put(
            TOKEN, "policies[0].permissionGroups", lambda groups: [*groups, {"id": BUCKET_WRITE}]
        ),
        "the machines' token may write all buckets": put(TOKEN, BUCKETS, ALL_BUCKETS),
        "the machines' token may also write the replica": opened(
            lambda buckets: {**buckets, **{f"{key}-replica".replace("_eu_", "_us_"): "*" for key in buckets}}
        ),
        "the machines' token may also write the whole account": opened(
            lambda buckets: {**buckets, "com.cloudflare.api.account.0123456789abcdef0123456789abcdef": "*"}
        ),
        "the machines' token is for the replica": substitute(TOKEN, BUCKETS, "prod-backups", "prod-backups-replica"),
        "the machines' token is for another jurisdiction's bucket": substitute(TOKEN, BUCKETS, "_eu_", "_us_"),
    },
}
