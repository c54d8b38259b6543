"""Retention: copies are encrypted and open to nobody, and whoever writes them cannot take them away."""

from __future__ import annotations

import json
from typing import Any, cast

from policies.controls import ACCESS, AT_REST
from policies.graph import Graph, Resource
from policies.rule import Severity, Subject, define
from policies.views.vault import Copy, copies, offsite_copies, primaries, r2_copies

ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PUBLIC = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
TOKEN = "cloudflare:index/accountToken:AccountToken"  # noqa: S105 (a type)
USER_POLICY = "aws:iam/userPolicy:UserPolicy"
MANAGED_DOMAIN = "cloudflare:index/r2ManagedDomain:R2ManagedDomain"
CUSTOM_DOMAIN = "cloudflare:index/r2CustomDomain:R2CustomDomain"
KEY = "aws:kms/key:Key"
# R2's permission group "Workers R2 Storage Bucket Item Write", by Cloudflare's id: objects, and no configuration.
ITEM_WRITE = "2efd5506f9c8494dacb1fa10a3e7d5b6"
# What would let whoever writes copies also take them away.
UNLOCKING = (
    "s3:*",
    "*",
    "s3:BypassGovernanceRetention",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketVersioning",
    "s3:PutBucketPolicy",
    "s3:DeleteBucket",
    "s3:DeleteObjectVersion",
    "kms:ScheduleKeyDeletion",
    "kms:*",
)


def whole(graph: Graph) -> list[Subject]:
    """Stack."""
    return [graph.stack]


@define(
    "retention",
    "offsite-is-encrypted",
    Severity.HIGH,
    "The off-site copy is encrypted with a key of its own",
    over=offsite_copies,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="restore the bucket's encryption with the off-site KMS key (components/offsite.py)",
)
def offsite_encrypted(graph: Graph, copy: Copy) -> str | None:
    """Encrypted before it left the machine, and again where it lies."""
    for configuration in graph.referring(copy.bucket, ENCRYPTION, "bucket"):
        for rule in configuration.items("rules"):
            algorithm = rule.text("applyServerSideEncryptionByDefault.sseAlgorithm")
            if algorithm not in {"aws:kms", "aws:kms:dsse"}:
                return f"its encryption is {algorithm or 'not set'}; aws:kms is expected"
            keys = graph.targets(configuration, "rules", KEY)
            return None if keys else "it is not encrypted with a key of this stack"
    return "it has no default encryption"


@define(
    "retention",
    "buckets-are-private",
    Severity.CRITICAL,
    "No backup can be read by the public",
    over=copies,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the public access block and the ownership; remove public domains of R2 buckets",
)
def buckets_private(graph: Graph, copy: Copy) -> str | None:
    """Encrypted as they are, who has seen one knows how much there is and when it changes."""
    if copy in r2_copies(graph):
        for domain in (
            *graph.referring(copy.bucket, MANAGED_DOMAIN, "bucketName"),
            *graph.referring(copy.bucket, CUSTOM_DOMAIN, "bucketName"),
        ):
            if domain.flag("enabled"):
                return f"{domain.label} publishes it"
        return None
    blocks = graph.referring(copy.bucket, PUBLIC, "bucket")
    if not blocks:
        return "nothing blocks public access to it"
    for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        if not blocks[0].flag(name):
            return f"{name} is not true"
    owners = graph.referring(copy.bucket, OWNERSHIP, "bucket")
    if not any(one.text("rule.objectOwnership") == "BucketOwnerEnforced" for one in owners):
        return "its objects may belong to others (rule.objectOwnership is not BucketOwnerEnforced)"
    return None


@define(
    "retention",
    "offsite-speaks-tls-only",
    Severity.MEDIUM,
    "The off-site bucket refuses whoever does not use TLS",
    over=offsite_copies,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the bucket's policy (components/offsite.py)",
)
def offsite_tls_only(graph: Graph, copy: Copy) -> str | None:
    """Its policy names the bucket by what AWS will call it, so that the first preview cannot know it yet."""
    for policy in graph.referring(copy.bucket, BUCKET_POLICY, "bucket"):
        for statement in _statements(policy):
            condition = cast("dict[str, Any]", statement.get("Condition") or {})
            if statement.get("Effect") == "Deny" and condition.get("Bool") == {"aws:SecureTransport": "false"}:
                return None
    return "no policy denies what does not use TLS"


@define(
    "retention",
    "writers-cannot-unlock",
    Severity.CRITICAL,
    "Who writes copies may not take locks, versions or keys away",
    over=whole,
    promises=("BAK-3", "BAK-6"),
    controls=ACCESS,
    remedy="restore the least that the writer needs (components/offsite.py, components/vault.py)",
)
def writers_cannot_unlock(graph: Graph, _: Resource) -> str | None:
    """A leaked key must not be worth more than the objects that it may write."""
    if not graph.of(TOKEN) or not graph.of(USER_POLICY):
        return "there is no key of their own for those who write the primary, or the off-site copy"
    for token in graph.of(TOKEN):
        for policy in token.items("policies"):
            groups = {one.text("id") for one in policy.items("permissionGroups")}
            if groups - {ITEM_WRITE}:
                return f"{token.label} has permission groups beside that for writing objects"
            primary = [copy.name for copy in primaries(graph)]
            if not any(name in policy.text("resources") and "*" not in name for name in primary):
                return f"{token.label} is not confined to the primary bucket"
    for policy in graph.of(USER_POLICY):
        for statement in _statements(policy):
            actions = statement.get("Action")
            listed = cast("list[str]", [actions] if isinstance(actions, str) else actions or [])
            if statement.get("Effect") == "Allow" and (wrong := sorted(set(listed) & set(UNLOCKING))):
                return f"{policy.label} allows {', '.join(wrong)}"
    return None


def _statements(policy: Resource) -> list[dict[str, Any]]:
    document = cast("dict[str, Any]", json.loads(policy.text("policy") or "{}"))
    return cast("list[dict[str, Any]]", document.get("Statement") or [])
