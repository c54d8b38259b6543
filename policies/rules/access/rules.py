"""Retention: copies are encrypted and private, and credentials that write them cannot remove them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.controls import ACCESS, AT_REST
from policies.graph import Graph, Resource
from policies.rule import Severity, define
from policies.rules.access.needs import needs_of, services, table
from policies.views.booted import archives
from policies.views.machines import INSTANCE, VOLUME
from policies.views.permissions import (
    API_TOKEN,
    ATTACHED,
    BUCKET_POLICY,
    KEY,
    ROLE,
    TOKEN,
    USER,
    USER_POLICY,
    Statement,
    account_of,
    bucket_of_token,
    opened_by,
    statements,
)
from policies.views.rights.attachments import INSTANCE_PROFILE
from policies.views.rights.principal import Principal
from policies.views.rights.principals import principals, trusted_by
from policies.views.shared import stack
from policies.views.vault import ENCRYPTION, S3, Copy, copies, offsite_copies, primaries, r2_copies

PUBLIC = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
MANAGED_DOMAIN = "cloudflare:index/r2ManagedDomain:R2ManagedDomain"
CUSTOM_DOMAIN = "cloudflare:index/r2CustomDomain:R2CustomDomain"
# R2's permission group "Workers R2 Storage Bucket Item Write", by Cloudflare's id: objects, and no configuration.
ITEM_WRITE = "2efd5506f9c8494dacb1fa10a3e7d5b6"
ITEM_READ = "6a018a9f2fc74eb6b293b0c548f38b39"  # "Workers R2 Storage Bucket Item Read": readers-can-only-read judges it
# What the writer of the off-site copy needs. A deleted object can be restored: its version is locked.
WRITING = {
    "s3:PutObject",
    "s3:PutObjectRetention",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:ListBucket",
    "kms:GenerateDataKey",
    "kms:Decrypt",
}
MACHINES_OF = " machines"  # after a role: the machines of that role


@define(
    "retention",
    "offsite-is-encrypted",
    Severity.HIGH,
    "The off-site copy is encrypted with its own key",
    over=offsite_copies,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="restore the bucket's encryption with the off-site KMS key (components/offsite.py)",
    optional=True,
)
def offsite_encrypted(graph: Graph, copy: Copy) -> str | None:
    """The machines encrypt every backup; S3 encrypts it again, with a key that nothing else uses."""
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
            return f"{shared.label} also encrypts the machines' volumes" if shared is not None else None
    return "it has no default encryption"


@define(
    "retention",
    "buckets-are-private",
    Severity.CRITICAL,
    "No backup bucket is public",
    over=copies,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the public access block and the object ownership; remove public domains of R2 buckets",
)
def buckets_private(graph: Graph, copy: Copy) -> str | None:
    """Objects are encrypted, but a public bucket would show how many there are and when they change."""
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
        return "it has no public access block"
    for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        if not blocks[0].flag(name):
            return f"{name} is not true"
    owners = graph.referring(copy.bucket, OWNERSHIP, "bucket")
    if not any(one.text("rule.objectOwnership") == "BucketOwnerEnforced" for one in owners):
        return "other accounts may own its objects (rule.objectOwnership is not BucketOwnerEnforced)"
    return None


@define(
    "retention",
    "offsite-speaks-tls-only",
    Severity.MEDIUM,
    "The off-site bucket refuses requests without TLS",
    over=offsite_copies,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the bucket's policy (components/offsite.py)",
    optional=True,
)
def offsite_tls_only(graph: Graph, copy: Copy) -> str | None:
    """Without TLS, requests can be read and changed on the network.

    AWS assigns the bucket's ARN, which the policy names: a first preview cannot judge this rule.
    """
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
    return "no policy statement denies all requests without TLS"


def _all_of(copy: Copy) -> set[str]:
    """Return the ARNs of a bucket and of its objects."""
    arn = copy.bucket.text("arn")
    return {arn, f"{arn}/*"}


@define(
    "retention",
    "writers-cannot-unlock",
    Severity.CRITICAL,
    "Credentials that write copies cannot remove locks, versions or keys",
    over=stack,
    promises=("BAK-3", "BAK-6"),
    controls=ACCESS,
    remedy="restore the minimal permissions of the writers (components/offsite.py, components/vault.py)",
)
def writers_cannot_unlock(graph: Graph, _: Resource) -> str | None:
    """A leaked credential must give access to no more than the objects that it may write."""
    if not graph.of(TOKEN) or (offsite_copies(graph) and not graph.of(USER_POLICY)):
        return "the stack declares no token for the primary bucket, or no user that writes the copy in S3"
    checks = (_tokens(graph), _writers(graph), _buckets(graph), _keys(graph))
    return next((wrong for check in checks for wrong in check), None)


def _tokens(graph: Graph) -> Iterator[str]:
    right = {bucket_of_token(copy.bucket) for copy in primaries(graph)}
    for token in graph.of(TOKEN, API_TOKEN):
        for groups, resources in opened_by(token):
            if groups == {ITEM_READ}:
                continue
            if groups - {ITEM_WRITE}:
                yield f"{token.label} has other permission groups than the one that reads and writes objects"
            if resources != right:
                differing = ", ".join(sorted(resources ^ right))
                yield f"{token.label} is not limited to the primary bucket; its resources differ in {differing}"


def _writers(graph: Graph) -> Iterator[str]:
    for attached in graph.of(*ATTACHED):
        yield f"{attached.label} adds permissions that this rule cannot read; write them into the writer's UserPolicy"
    own = {one for copy in offsite_copies(graph) for one in _all_of(copy)}
    own |= {one for key in graph.of(KEY) for one in key.identities if one.startswith("arn:")}
    for policy in graph.of(USER_POLICY):
        for statement in filter(_allows, statements(policy)):
            if strange := sorted(set(statement.actions) - WRITING):
                yield f"{policy.label} allows {', '.join(strange)}, which writing a copy does not need"
            if elsewhere := sorted(set(statement.resources) - own):
                yield f"{policy.label} allows access to {', '.join(elsewhere)}, beyond the off-site copy and its key"


def _buckets(graph: Graph) -> Iterator[str]:
    ours = {one for resource in graph.of(USER, ROLE) for one in resource.identities if one.startswith("arn:")}
    own = {copy.bucket.urn for copy in offsite_copies(graph)}
    own |= {bucket.urn for one in archives(graph).values() for bucket in graph.targets(one, "bucket", S3)}
    for policy in graph.of(BUCKET_POLICY):
        if not own & {bucket.urn for bucket in graph.targets(policy, "bucket", S3)}:
            continue  # of a bucket for something else
        for statement in filter(_allows, statements(policy)):
            if set(statement.actions) - WRITING or not set(statement.principals) <= ours or statement.services:
                who = ", ".join([*statement.principals, *statement.services])
                yield f"{policy.label} gives {who} the permissions {', '.join(statement.actions)}"


def _keys(graph: Graph) -> Iterator[str]:
    for key in graph.of(KEY):
        for statement in filter(_allows, statements(key)):
            for who in statement.principals:
                if who.split(":")[4:5] != [account_of(graph)]:
                    actions = ", ".join(statement.actions)
                    yield f"{key.label} gives {who}, outside this account, the permissions {actions}"


def _allows(statement: Statement) -> bool:
    return statement.allows


def everyone(graph: Graph) -> list[Principal]:
    """Principals."""
    found = principals(graph)
    absent = [one for one in services(table()) if one not in found]
    return [*found.values(), *(Principal(one, graph.stack.urn) for one in absent)]


@define(
    "retention",
    "principals-have-what-they-need-only",
    Severity.CRITICAL,
    "Each role, user, token and service has the rights that it needs, and no other",
    over=everyone,
    promises=("BAK-3", "BAK-6"),
    controls=ACCESS,
    remedy="remove the right, or write it into policies/rules/access/needs.toml if the principal needs it",
)
def have_what_they_need(graph: Graph, principal: Principal) -> str | None:
    """A leaked credential gives every right of its principal, needed or not. A missing right stops a service.

    AWS assigns the ARNs that policies name: a first preview cannot judge this rule.
    """
    needs = needs_of(graph, principal.label)
    if needs is None and principal.label in {one.label for one in graph.beside}:
        return _reaches_the_platform(graph, principal)
    needed = {_comparable(one): one for one in needs.rights} if needs is not None else {}
    for right in principal.rights:
        if _comparable(right.text) not in needed:
            unknown = "; needs.toml has no table for the principal" if needs is None else ""
            return f"it may do {right.text} (from {right.source}), which it does not need{unknown}"
    for unknown in principal.unclear:
        raise unknown
    if needs is None:
        return "needs.toml has no table for it"
    denied = {
        _comparable(right.text): denial.source
        for right in principal.rights
        for denial in principal.denials
        if denial.stops(right)
    }
    have = {_comparable(right.text) for right in principal.rights}
    missing = [(needed[key], denied.get(key)) for key in sorted(needed) if key not in have or key in denied]
    if not missing:
        return None
    for unknown in (one for other in principals(graph).values() if not other.declared for one in other.unclear):
        raise unknown  # a policy that cannot be read may give it
    right, denier = missing[0]
    return f"it may not do {right}, which it needs{f'; {denier} denies it' if denier else ''}"


def _reaches_the_platform(graph: Graph, principal: Principal) -> str | None:
    """Return which right a principal beside the platform, which a person reviewed, has on the platform's resources."""
    for unknown in principal.unclear:
        raise unknown
    own = tuple(one.label for one in graph.resources)
    for right in principal.rights:
        everything = "*" in right.action and "*" in right.resource
        if everything or right.resource.startswith(own):
            return f"it is beside the platform, and may do {right.text} (from {right.source})"
    return None


def _comparable(right: str) -> str:
    """Return a right with its action in lower case: IAM ignores the case of actions."""
    action, on, rest = right.partition(" on ")
    return f"{action.lower()}{on}{rest}"


def roles_and_foreign_profiles(graph: Graph) -> list[Resource]:
    """Roles, and instance profiles without a role of this stack."""
    profiles = graph.everything(INSTANCE_PROFILE)
    return [*graph.everything(ROLE), *(one for one in profiles if not graph.targets(one, "role", ROLE))]


@define(
    "retention",
    "roles-are-assumed-by-known-services-only",
    Severity.CRITICAL,
    "Only the intended services assume a role, and only the intended machines have it",
    over=roles_and_foreign_profiles,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the role's trust policy and its instance profile, or change policies/rules/access/needs.toml",
)
def assumed_by_known_services(graph: Graph, role: Resource) -> str | None:
    """A role gives its rights to every principal that may assume it, and to every machine with its instance profile."""
    if role.type == INSTANCE_PROFILE:
        return "it contains no role of this stack"
    profiles = [one for one in graph.everything(INSTANCE_PROFILE) if role in graph.targets(one, "role", ROLE)]
    with_it = _having(graph, [role, *profiles])
    trusted, users = trusted_by(graph, role), [_user(graph, one) for one in with_it]
    needs = needs_of(graph, role.label)
    if needs is None:  # its rights are judged by the rule above
        for_others = all(re.fullmatch(r"Service \S+", one) for one in trusted) and not any(map(_is_ours, users))
        by = ", ".join([*trusted, *users])
        return None if for_others else f"needs.toml has no table for it, but these have or assume it: {by}"
    for found, expected, what in (
        (trusted, needs.assumed_by, "may be assumed by"),
        ([one.label for one in profiles], needs.profiles, "is in"),
        (users, needs.used_by, "is used by"),
    ):
        if strange := sorted(set(found) - expected):
            return f"it {what} {', '.join(strange)}, which needs.toml does not allow"
        if missing := sorted(expected - set(found)):
            return f"needs.toml expects that it {what} {', '.join(missing)}, but no resource says so"
    without = (one for one in graph.of(INSTANCE) if _user(graph, one) in needs.used_by and one not in with_it)
    return next((f"{one.label} does not have it" for one in without), None)


def _is_ours(user: str) -> bool:
    """Whether a user of a role is a machine of the platform, or a resource that has a role in the table."""
    return user.endswith(MACHINES_OF) or any(user in row.used_by for row in table().values())


def _user(graph: Graph, one: Resource) -> str:
    """Return the name of a resource that has a role: `ROLE machines` for a machine, else the label."""
    role = one.text("tags.Role") if one.type == INSTANCE and one not in graph.beside else ""
    return f"{role}{MACHINES_OF}" if role else one.label


def _having(graph: Graph, given: list[Resource]) -> list[Resource]:
    """Return the resources that have a role or one of its profiles."""
    found: list[Resource] = []
    for one in (*graph.resources, *graph.beside):
        if one.type.startswith("aws:iam/") or one.is_component:
            continue
        for path in one.inputs:
            kind = INSTANCE_PROFILE if "profile" in path.lower() else ROLE
            if re.search("role|profile", path, re.IGNORECASE) and set(graph.targets(one, path, kind)) & set(given):
                found.append(one)
    return found
