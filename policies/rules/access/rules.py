"""Retention: copies are encrypted and open to nobody, and whoever writes them cannot take them away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.controls import ACCESS, AT_REST
from policies.graph import Graph, Resource
from policies.rule import Severity, define
from policies.views.machines import VOLUME
from policies.views.permissions import (
    API_TOKEN,
    ATTACHED,
    BUCKET_POLICY,
    KEY,
    ROLE,
    ROLE_ATTACHMENT,
    ROLE_POLICY,
    TOKEN,
    USER,
    USER_POLICY,
    Statement,
    account_of,
    bucket_of_token,
    opened_by,
    statements,
)
from policies.views.shared import stack
from policies.views.vault import Copy, copies, offsite_copies, primaries, r2_copies

ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PUBLIC = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
MANAGED_DOMAIN = "cloudflare:index/r2ManagedDomain:R2ManagedDomain"
CUSTOM_DOMAIN = "cloudflare:index/r2CustomDomain:R2CustomDomain"
# R2's permission group "Workers R2 Storage Bucket Item Write", by Cloudflare's id: objects, and no configuration.
ITEM_WRITE = "2efd5506f9c8494dacb1fa10a3e7d5b6"
# The least that who writes the off-site copy needs. An object that it deletes is still there: its version is locked.
WRITING = {
    "s3:PutObject",
    "s3:PutObjectRetention",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:ListBucket",
    "kms:GenerateDataKey",
    "kms:Decrypt",
}
# What machines' own roles have to do with: their figures, their secrets, their logs.
MACHINES = ("cloudwatch:PutMetricData", "secretsmanager:GetSecretValue", "kms:Decrypt", "logs:")
SESSION_MANAGER = re.compile(r"arn:aws(-[a-z-]+)?:iam::aws:policy/AmazonSSMManagedInstanceCore")  # in any partition


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
            if not keys:
                return "it is not encrypted with a key of this stack"
            others = {key.urn for volume in graph.of(VOLUME) for key in graph.targets(volume, "kmsKeyId", KEY)}
            shared = next((key for key in keys if key.urn in others), None)
            return f"{shared.label} encrypts the machines' volumes, too" if shared is not None else None
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
        for statement in statements(policy):
            if (
                not statement.allows
                and statement.condition == {"Bool": {"aws:SecureTransport": "false"}}
                and statement.principals == ("*",)
                and {"s3:*", "*"} & set(statement.actions)
                and _all_of(copy) <= set(statement.resources)
            ):
                return None
    return "no policy denies everybody everything that does not use TLS"


def _all_of(copy: Copy) -> set[str]:
    """A bucket and its objects, as policies name them."""
    arn = copy.bucket.text("arn")
    return {arn, f"{arn}/*"}


@define(
    "retention",
    "writers-cannot-unlock",
    Severity.CRITICAL,
    "Who writes copies may not take locks, versions or keys away",
    over=stack,
    promises=("BAK-3", "BAK-6"),
    controls=ACCESS,
    remedy="restore the least that the writer needs (components/offsite.py, components/vault.py)",
)
def writers_cannot_unlock(graph: Graph, _: Resource) -> str | None:
    """A leaked key must not be worth more than the objects that it may write."""
    if not graph.of(TOKEN) or not graph.of(USER_POLICY):
        return "there is no key of their own for those who write the primary, or the off-site copy"
    checks = (_tokens(graph), _writers(graph), _roles(graph), _buckets(graph), _keys(graph))
    return next((wrong for check in checks for wrong in check), None)


def _tokens(graph: Graph) -> Iterator[str]:
    right = {bucket_of_token(copy.bucket) for copy in primaries(graph)}
    for token in graph.of(TOKEN, API_TOKEN):
        for groups, resources in opened_by(token):
            if groups - {ITEM_WRITE}:
                yield f"{token.label} has permission groups beside that for writing objects"
            if resources != right:
                yield f"{token.label} is not confined to the primary bucket: {', '.join(sorted(resources ^ right))}"


def _writers(graph: Graph) -> Iterator[str]:
    for attached in graph.of(*ATTACHED):
        yield f"{attached.label} gives rights that no rule reads; let the writer's own policy spell them out"
    own = {one for copy in offsite_copies(graph) for one in _all_of(copy)}
    own |= {one for key in graph.of(KEY) for one in key.identities if one.startswith("arn:")}
    for policy in graph.of(USER_POLICY):
        for statement in filter(_allows, statements(policy)):
            if strange := sorted(set(statement.actions) - WRITING):
                yield f"{policy.label} allows {', '.join(strange)}"
            if elsewhere := sorted(set(statement.resources) - own):
                yield f"{policy.label} opens {', '.join(elsewhere)}, which is neither the off-site copy nor its key"


def _roles(graph: Graph) -> Iterator[str]:
    for attached in graph.of(ROLE_ATTACHMENT):
        if not SESSION_MANAGER.fullmatch(attached.text("policyArn")):
            yield f"{attached.label} attaches {attached.text('policyArn')}"
    for role in graph.of(ROLE):
        if role.read("inlinePolicies") or role.read("managedPolicyArns"):
            yield f"{role.label} has policies of its own; declare each as a RolePolicy"
    for policy in graph.of(ROLE_POLICY):
        for statement in filter(_allows, statements(policy)):
            if strange := sorted(one for one in statement.actions if not one.startswith(MACHINES)):
                yield f"{policy.label} allows {', '.join(strange)}"


def _buckets(graph: Graph) -> Iterator[str]:
    ours = {one for resource in graph.of(USER, ROLE) for one in resource.identities if one.startswith("arn:")}
    for policy in graph.of(BUCKET_POLICY):
        for statement in filter(_allows, statements(policy)):
            if set(statement.actions) - WRITING or not set(statement.principals) <= ours or statement.services:
                yield f"{policy.label} allows {', '.join(statement.principals)} {', '.join(statement.actions)}"


def _keys(graph: Graph) -> Iterator[str]:
    for key in graph.of(KEY):
        for statement in filter(_allows, statements(key)):
            for who in statement.principals:
                if who.split(":")[4:5] != [account_of(graph)]:
                    yield f"{key.label} allows {who} {', '.join(statement.actions)}"


def _allows(statement: Statement) -> bool:
    return statement.allows
