"""Weakenings of access to the copies: public or unencrypted buckets, and credentials that allow too much."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from policies.graph import Graph, Resource
from policies.mutation.operators import (
    ABSENT,
    Mutant,
    Operator,
    Where,
    add,
    anything,
    assigned,
    declare,
    declared,
    drop,
    each,
    named,
    put,
    relink,
    substitute,
)
from policies.mutation.weakening import Weakenings
from policies.rules.access.rules import ENCRYPTION, MANAGED_DOMAIN, OWNERSHIP, PUBLIC
from policies.views.machines import INSTANCE
from policies.views.permissions import (
    API_TOKEN,
    BUCKET_POLICY,
    KEY,
    ROLE,
    ROLE_ATTACHMENT,
    ROLE_POLICY,
    TOKEN,
    USER,
    USER_POLICY,
)
from policies.views.rights.attachments import (
    GRANT,
    GROUP,
    GROUP_MEMBERSHIP,
    GROUP_POLICY,
    INSTANCE_PROFILE,
    KEY_POLICY,
    POLICY,
    POLICY_ATTACHMENT,
    SECRET,
    SECRET_POLICY,
    TOPIC,
    TOPIC_POLICY,
)
from policies.views.vault import R2, S3

OFFSITE = named("offsite")
MACHINES = named("vault-machines")

ATTACHMENT = "aws:iam/userPolicyAttachment:UserPolicyAttachment"
MEMBERSHIP = "aws:iam/userGroupMembership:UserGroupMembership"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
WRITER = "backbuild-prod-backup-writer"
WORKERS = "backbuild-prod-worker"
WORKERS_ARN = f"arn:aws:iam::123456789012:role/{WORKERS}"
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
    return put(type, "policy", lambda text: _with(text, fields))


def _with(text: str | None, fields: dict[str, Any]) -> str:
    document = json.loads(text or "{}")
    return json.dumps({**document, "Statement": [*document.get("Statement", []), fields]})


def document(**fields: Any) -> str:
    """Return a policy with one statement that allows."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **fields}]})


def trust(**fields: Any) -> str:
    """Return a trust policy with one statement."""
    return json.dumps({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", **fields}})


def together(*resources: tuple[str, dict[str, Any]]) -> Operator:
    """Add resources of these types in one mutant."""

    def make(graph: Graph) -> Iterator[Mutant]:
        more = [declared(graph, type, "more", {"id": "more", **properties}) for type, properties in resources]
        yield Mutant(more[-1].label, Graph([*graph.resources, *more]))

    return make


def of(type: str, path: str, **properties: Any) -> Operator:
    """Add a resource of a type that refers to the platform's first resource of another by its ARN or id."""
    target, _, key = path.partition(" ")

    def make(graph: Graph) -> Resource:
        first = graph.of(target)[0]
        known = {key: first.properties["arn" if key.lower().endswith("arn") else "id"]}
        return declared(graph, type, "more", {"id": "more", **known, **properties})

    return add(make)


def in_another_role(graph: Graph) -> Iterator[Mutant]:
    """Give one machine a profile with a role of its own."""
    trusted = trust(Principal={"Service": "ec2.amazonaws.com"})
    role = declared(graph, ROLE, "more", {"id": "more", "name": "more", "assumeRolePolicy": trusted})
    profile = declared(graph, INSTANCE_PROFILE, "more", {"id": "more", "name": "more", "role": "more"})
    for mutant in put(INSTANCE, "iamInstanceProfile", "more", named("-0"))(graph):
        yield Mutant(mutant.subject, Graph([*mutant.graph.resources, role, profile]))


def reading(secret: str, where: Where) -> Operator:
    """Allow a role to read another secret."""

    def change(graph: Graph, policy: Resource) -> Resource | None:
        arn = next(one.properties["arn"] for one in graph.of(SECRET) if one.name == secret)
        fields = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn}
        return assigned(policy, "policy", lambda text: _with(text, fields))

    return each(ROLE_POLICY, where, change)


def reword(type: str, old: str, new: str, where: Where = anything) -> Operator:
    """Replace a part of a policy."""
    return substitute(type, "policy", old, new, where)


def also_allowed(*actions: str) -> Operator:
    """Allow the off-site writer more actions."""
    more = "".join(f', "{action}"' for action in actions)
    return reword(USER_POLICY, '"s3:GetObject"', f'"s3:GetObject"{more}')


def opened(change: Callable[[dict[str, str]], dict[str, str]]) -> Operator:
    """Let the machines' token open other buckets."""
    return put(TOKEN, BUCKETS, lambda text: json.dumps(change(json.loads(text))), MACHINES)


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
        "the machines' token may write all buckets": put(TOKEN, BUCKETS, ALL_BUCKETS, MACHINES),
        "the machines' token may also write the replica": opened(
            lambda buckets: {**buckets, **{f"{key}-replica".replace("_eu_", "_us_"): "*" for key in buckets}}
        ),
        "the machines' token may also write the whole account": opened(
            lambda buckets: {**buckets, "com.cloudflare.api.account.0123456789abcdef0123456789abcdef": "*"}
        ),
        "the machines' token is for the replica": substitute(
            TOKEN, BUCKETS, "prod-backups", "prod-backups-replica", MACHINES
        ),
        "the machines' token is for another jurisdiction's bucket": substitute(
            TOKEN, BUCKETS, "_eu_", "_us_", MACHINES
        ),
    },
    "principals-have-what-they-need-only": {
        "machines may call every action": statement(ROLE_POLICY, **ALL_ACTIONS),
        "the machine that builds images may read every bucket": reword(ROLE_POLICY, ":::ec2imagebuilder*", ":::*"),
        "the machine that builds images may change components": reword(
            ROLE_POLICY, "imagebuilder:GetComponent", "imagebuilder:*"
        ),
        "a role's own policy allows more": statement(ROLE_POLICY, Effect="Allow", Action="ec2:*", Resource="*"),
        "a role has a second policy": declare(ROLE_POLICY, role=WORKERS, policy=document(Action="iam:PassRole")),
        "a role's policy allows all but EC2": statement(ROLE_POLICY, Effect="Allow", NotAction="ec2:*", Resource="*"),
        "machines read every secret": statement(
            ROLE_POLICY, Effect="Allow", Action="secretsmanager:GetSecretValue", Resource="*"
        ),
        "gateways read the database's passwords": reading("access-patroni", named("gateway")),
        "machines use the key without Secrets Manager": reword(ROLE_POLICY, "kms:ViaService", "kms:EncryptionContext"),
        "machines read archives from anywhere": reword(ROLE_POLICY, "aws:SourceVpce", "aws:SourceVpc"),
        "a role may do less than it needs": reword(ROLE_POLICY, "PutMetricData", "GetMetricData"),
        "a role's policy denies what it needs": statement(
            ROLE_POLICY, Effect="Deny", Action=["s3:Get*", "secretsmanager:*", "logs:*", "ssm:*"], Resource="*"
        ),
        "the restore drill runs commands on every machine": reword(ROLE_POLICY, "ssm:resourceTag/Platform", "aws:ViaX"),
        "the restore drill sets any tag": reword(ROLE_POLICY, "ForAllValues:StringEquals", "ForAnyValue:StringLike"),
        "the restore drill opens the secret with any value": reword(ROLE_POLICY, "aws:RequestTag/Restoring", "aws:x"),
        "EventBridge passes every role": reword(ROLE_POLICY, "role/backbuild-prod-restore-drill", "role/*"),
        "EventBridge starts every automation": reword(
            ROLE_POLICY, "document/backbuild-prod-restore-drill", "document/*"
        ),
        "a role's policy is not declared": drop(ROLE_POLICY),
        "a role has an inline policy": put(ROLE, "inlinePolicies", [{"name": "x", "policy": document(Action="*")}]),
        "a role has a managed policy": put(ROLE, "managedPolicyArns", [ADMINISTRATOR]),
        "a role has a permissions boundary": put(ROLE, "permissionsBoundary", ADMINISTRATOR),
        "a managed policy is attached to a role": declare(ROLE_ATTACHMENT, role=WORKERS, policyArn=ADMINISTRATOR),
        "a role's attachment is of another policy": put(ROLE_ATTACHMENT, "policyArn", ADMINISTRATOR),
        "a role's attachment is not declared": drop(ROLE_ATTACHMENT),
        "a policy of the stack is attached to a role": together(
            (POLICY, {"arn": "arn:aws:iam::123456789012:policy/more", "policy": document(Action="s3:*")}),
            (ROLE_ATTACHMENT, {"role": WORKERS, "policyArn": "arn:aws:iam::123456789012:policy/more"}),
        ),
        "a role's attachments are exactly others": declare(
            "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive",
            roleName=WORKERS,
            policyArns=[ADMINISTRATOR],
        ),
        "a role keeps an inline policy that is not declared": declare(
            "aws:iam/rolePoliciesExclusive:RolePoliciesExclusive", roleName=WORKERS, policyNames=["elsewhere"]
        ),
        "a role loses its policies": declare(
            "aws:iam/rolePoliciesExclusive:RolePoliciesExclusive", roleName=WORKERS, policyNames=[]
        ),
        "a policy is attached to several roles": declare(
            POLICY_ATTACHMENT, policyArn=ADMINISTRATOR, roles=[WORKERS, "backbuild-prod-gateway"]
        ),
        "a policy is attached to a user in bulk": declare(POLICY_ATTACHMENT, policyArn=ADMINISTRATOR, users=[WRITER]),
        "a policy is attached to the writer": declare(ATTACHMENT, user=WRITER, policyArn=ADMINISTRATOR),
        "the writer has a second policy": declare(USER_POLICY, user=WRITER, policy=document(Action="s3:GetObject")),
        "the writer deletes versions": also_allowed("s3:DeleteObjectVersion"),
        "the writer is in a group with a policy": together(
            (GROUP, {"name": "more"}),
            (GROUP_POLICY, {"group": "more", "policy": document(Action="s3:*")}),
            (MEMBERSHIP, {"user": WRITER, "groups": ["more"]}),
        ),
        "a group with a policy of AWS has the writer as a member": together(
            (GROUP, {"name": "more"}),
            ("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", {"group": "more", "policyArn": ADMINISTRATOR}),
            (GROUP_MEMBERSHIP, {"group": "more", "users": [WRITER]}),
        ),
        "the writer is in a group of another stack": declare(MEMBERSHIP, user=WRITER, groups=["administrators"]),
        "there is another role": declare(ROLE, name="more", assumeRolePolicy=trust(Principal="*")),
        "there is another user": declare(USER, name="more"),
        "a role of another stack gets a policy": declare(ROLE_POLICY, role="other", policy=document(Action="s3:*")),
        "a bucket's policy allows a role to write": statement(
            BUCKET_POLICY, Effect="Allow", Action="s3:PutObject", Resource="*", Principal={"AWS": WORKERS_ARN}
        ),
        "a bucket has a policy of its own": put(S3, "policy", document(Action="s3:GetObject", Principal="*")),
        "a bucket's policy denies a role what it needs": statement(
            BUCKET_POLICY, Effect="Deny", Action="s3:Get*", Resource="*", Principal="*"
        ),
        "a key's policy allows everybody to decrypt": statement(
            KEY, Effect="Allow", Action="kms:Decrypt", Resource="*", Principal="*"
        ),
        "a key's policy allows another service": statement(
            KEY, Effect="Allow", Action="kms:*", Resource="*", Principal={"Service": "lambda.amazonaws.com"}
        ),
        "a key's policy does not allow its account": reword(KEY, ":root", ":user/other", named("keys")),
        "a key has a policy of its own": of(KEY_POLICY, f"{KEY} keyId", policy=document(Action="kms:*", Principal="*")),
        "a key is granted to a role": of(
            GRANT, f"{KEY} keyId", granteePrincipal=WORKERS_ARN, operations=["Decrypt", "CreateGrant"]
        ),
        "a grant can be retired by another account": of(
            GRANT, f"{KEY} keyId", granteePrincipal=WORKERS_ARN, operations=[], retiringPrincipal=STRANGER
        ),
        "a secret's policy allows another account to read": of(
            SECRET_POLICY,
            f"{SECRET} secretArn",
            policy=document(Action="secretsmanager:GetSecretValue", Principal={"AWS": STRANGER}),
        ),
        "a secret has a policy of its own": put(
            SECRET, "policy", document(Action="secretsmanager:PutSecretValue", Principal={"AWS": WORKERS_ARN})
        ),
        "a topic's policy allows everybody to publish": put(
            TOPIC_POLICY, "policy", document(Action="sns:Publish", Principal="*")
        ),
        "a topic's policy is not declared": drop(TOPIC_POLICY),
        "a topic has a policy of its own": put(TOPIC, "policy", document(Action="sns:Subscribe", Principal="*")),
        "an access point gives another account the copies": declare(
            "aws:s3/accessPoint:AccessPoint",
            bucket="backbuild-prod-backups-offsite",
            policy=document(Action="s3:*", Principal={"AWS": STRANGER}),
        ),
        "another token reads zones": declare(
            API_TOKEN, policies=[{"effect": "allow", "permissionGroups": [{"id": "x"}], "resources": ALL_BUCKETS}]
        ),
        "the machines' token writes configuration": put(
            TOKEN, "policies[0].permissionGroups", lambda groups: [*groups, {"id": BUCKET_WRITE}]
        ),
        "the machines' token writes the replica": substitute(TOKEN, BUCKETS, "prod-backups", "prod-backups-replica"),
        "the machines' token expires": put(TOKEN, "expiresOn", "2026-12-01T00:00:00Z"),
        "the machines' token is for one address": put(TOKEN, "condition", {"requestIp": {"ins": ["192.0.2.1/32"]}}),
        "the machines' token denies what it allows": put(
            TOKEN, "policies", lambda policies: [*policies, {**policies[0], "effect": "deny"}]
        ),
    },
    "roles-are-assumed-by-known-services-only": {
        "another service may assume a role": put(
            ROLE, "assumeRolePolicy", trust(Principal={"Service": "lambda.amazonaws.com"})
        ),
        "two services may assume a role": put(
            ROLE,
            "assumeRolePolicy",
            trust(Principal={"Service": ["ec2.amazonaws.com", "vpc-flow-logs.amazonaws.com", "ssm.amazonaws.com"]}),
        ),
        "everybody may assume a role": put(ROLE, "assumeRolePolicy", trust(Principal="*")),
        "another account may assume a role": put(ROLE, "assumeRolePolicy", trust(Principal={"AWS": STRANGER})),
        "an identity provider may assume a role": put(
            ROLE,
            "assumeRolePolicy",
            trust(Action="sts:AssumeRoleWithWebIdentity", Principal={"Federated": "accounts.google.com"}),
        ),
        "a role tags its sessions": put(
            ROLE,
            "assumeRolePolicy",
            lambda text: text.replace('"sts:AssumeRole"', '["sts:AssumeRole", "sts:TagSession"]'),
        ),
        "nobody may assume a role": put(ROLE, "assumeRolePolicy", lambda text: text.replace("Allow", "Deny")),
        "a role may be assumed under a condition": put(
            ROLE,
            "assumeRolePolicy",
            lambda text: text.replace(
                '"Effect"', '"Condition": {"StringEquals": {"aws:SourceAccount": "1"}}, "Effect"'
            ),
        ),
        "a role is in another profile": declare(INSTANCE_PROFILE, name="more", role=WORKERS),
        "a profile has the role of other machines": put(INSTANCE_PROFILE, "role", "backbuild-prod-image", named("-w")),
        "a profile has a role of another stack": put(INSTANCE_PROFILE, "role", "administrator"),
        "a profile has no role": put(INSTANCE_PROFILE, "role", ABSENT),
        "a profile is not declared": drop(INSTANCE_PROFILE),
        "a machine has the profile of workers": put(INSTANCE, "iamInstanceProfile", WORKERS, named("gateway")),
        "a machine has no profile": put(INSTANCE, "iamInstanceProfile", ABSENT),
        "another machine has the profile of workers": declare(
            INSTANCE, iamInstanceProfile=WORKERS, tags={"Role": "bastion", "Group": "bastion"}
        ),
        "there is another role for everybody": declare(ROLE, name="more", assumeRolePolicy=trust(Principal="*")),
        "machines have another role": in_another_role,
        "a function has the role of workers": declare("aws:lambda/function:Function", role=WORKERS_ARN),
    },
}
