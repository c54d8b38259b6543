"""Compute the rights of each principal from policies of every kind.

A right is a text such as `secretsmanager:GetSecretValue on Secret access-patroni`: action, resource and condition, with
the names of the stack's resources in place of their ARNs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, cast

from policies.graph import Graph, Node, Resource, Undetermined
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
    Statement,
    bucket_of_token,
    statements,
)
from policies.views.shared import once
from policies.views.vault import R2, S3

GROUP: Final = "aws:iam/group:Group"
POLICY: Final = "aws:iam/policy:Policy"
INSTANCE_PROFILE: Final = "aws:iam/instanceProfile:InstanceProfile"
GROUP_POLICY: Final = "aws:iam/groupPolicy:GroupPolicy"
POLICY_ATTACHMENT: Final = "aws:iam/policyAttachment:PolicyAttachment"
GROUP_MEMBERSHIP: Final = "aws:iam/groupMembership:GroupMembership"
USER_MEMBERSHIP: Final = "aws:iam/userGroupMembership:UserGroupMembership"
GRANT: Final = "aws:kms/grant:Grant"
KEY_POLICY: Final = "aws:kms/keyPolicy:KeyPolicy"
SECRET: Final = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a type)
SECRET_POLICY: Final = "aws:secretsmanager/secretPolicy:SecretPolicy"  # noqa: S105
TOPIC: Final = "aws:sns/topic:Topic"
TOPIC_POLICY: Final = "aws:sns/topicPolicy:TopicPolicy"
ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"

INLINE: Final = ((ROLE_POLICY, "role", ROLE), (USER_POLICY, "user", USER), (GROUP_POLICY, "group", GROUP))
"""Types of policies that belong to one principal: the property that names it, and the principal's type."""
MANAGED: Final = (
    (ROLE_ATTACHMENT, "role", "policyArn", ROLE),
    ("aws:iam/userPolicyAttachment:UserPolicyAttachment", "user", "policyArn", USER),
    ("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", "group", "policyArn", GROUP),
    (POLICY_ATTACHMENT, "roles", "policyArn", ROLE),
    (POLICY_ATTACHMENT, "users", "policyArn", USER),
    (POLICY_ATTACHMENT, "groups", "policyArn", GROUP),
    ("aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive", "roleName", "policyArns", ROLE),
    ("aws:iam/userPolicyAttachmentsExclusive:UserPolicyAttachmentsExclusive", "userName", "policyArns", USER),
    ("aws:iam/groupPolicyAttachmentsExclusive:GroupPolicyAttachmentsExclusive", "groupName", "policyArns", GROUP),
)
"""Types that attach managed policies: the properties that name principals and policies, and the principals' type."""
EXCLUSIVE: Final = (
    ("aws:iam/rolePoliciesExclusive:RolePoliciesExclusive", "roleName", ROLE),
    ("aws:iam/userPoliciesExclusive:UserPoliciesExclusive", "userName", USER),
    ("aws:iam/groupPoliciesExclusive:GroupPoliciesExclusive", "groupName", GROUP),
)
"""Types that list the inline policies which a principal keeps; AWS's provider removes all others."""
ON_RESOURCES: Final = (
    (BUCKET_POLICY, "bucket", S3),
    (KEY_POLICY, "keyId", KEY),
    (SECRET_POLICY, "secretArn", SECRET),
    (TOPIC_POLICY, "arn", TOPIC),
)
"""Types of policies that are attached to a resource: the property that names it, and its type."""
OF_OTHERS: Final = ("policy", "policyDocument", "resourcePolicy", "accessPolicy", "accessPolicies")
"""Properties of resources of all other types, such as access points and queues, that may contain such a policy."""
NO_GRANTS: Final = frozenset(
    (
        *(type for type, *_ in INLINE),
        *(type for type, *_ in ON_RESOURCES),
        *(POLICY, KEY, SECRET, TOPIC, S3, ENDPOINT, "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy"),
    )
)
"""Types whose policies are read in another way, or only limit what others allow."""
ANYBODY: Final = "Anybody"
ACCOUNT: Final = "Account of "
"""With a resource's label: that resource's own account, whose IAM policies may then allow these actions."""
# Conditions of statements that deny requests which no principal of this platform makes.
UNSAFE_TRANSPORT: Final = re.compile(r"Bool aws:SecureTransport false|NumericLessThan s3:TlsVersion 1\.[23]")
# Cloudflare's permission groups, by id.
PERMISSION_GROUPS: Final = {
    "2efd5506f9c8494dacb1fa10a3e7d5b6": "Workers R2 Storage Bucket Item Write",
    "6a018a9f2fc74eb6b293b0c548f38b39": "Workers R2 Storage Bucket Item Read",
}
AWS_POLICY: Final = re.compile(r"arn:aws:iam::aws:policy/(.+)")
ROOT: Final = re.compile(r"(?:arn:aws:iam::)?(\d{12})(?::root)?")


@dataclass(frozen=True)
class Right:
    """One right; `source` is the label of the attachment that gives it.

    Without a resource, the action names a whole policy whose statements this stack does not contain.
    """

    action: str
    resource: str
    condition: str
    source: str

    @property
    def text(self) -> str:
        """`ACTION on RESOURCE if CONDITION`."""
        where = f" on {self.resource}" if self.resource else ""
        return f"{self.action}{where}{f' if {self.condition}' if self.condition else ''}"


@dataclass(frozen=True)
class Denial:
    """A statement that denies: its actions and resources may contain wildcards."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    source: str

    def stops(self, right: Right) -> bool:
        """Whether it may deny a part of a right."""
        if not right.resource:  # what AWS's policy allows is not known here
            return "*" in self.resources
        return any(_overlap(one.lower(), right.action.lower()) for one in self.actions) and any(
            _overlap(one, right.resource) for one in self.resources
        )


def _overlap(one: str, other: str) -> bool:
    return fnmatchcase(one, other) or fnmatchcase(other, one)


@dataclass
class Principal:
    """A role, user, group, API token, service or account, and what it may do."""

    label: str
    urn: str
    rights: list[Right] = field(default_factory=list[Right])
    denials: list[Denial] = field(default_factory=list[Denial])
    unclear: list[Undetermined] = field(default_factory=list[Undetermined])
    """Attachments that cannot be read, such as a policy with an ARN that AWS has not assigned yet."""
    declared: bool = False
    """Whether it is a resource of this stack. Else `unclear` has attachments whose principal is unknown."""


Principals = dict[str, Principal]
"""Label to principal."""


@once
def principals(graph: Graph) -> Principals:
    """Return all principals; those that resources' policies name, such as services, too."""
    found: Principals = {}
    for one in graph.everything(ROLE, USER, GROUP, TOKEN, API_TOKEN):
        if one.label in found:
            found[one.label].unclear.append(Undetermined(one.urn, "name", f"is the name of two resources: {one.label}"))
        found.setdefault(one.label, Principal(one.label, one.urn, declared=True))
    declared = set(found)
    for read in (_inline, _managed, _exclusive, _memberships, _on_resources, _grants, _tokens):
        read(graph, found)
    _limits(graph, found)
    of_all = [to for label, to in found.items() if label == ANYBODY or label.startswith(ACCOUNT)]
    for_all = [denial for to in of_all for denial in to.denials]
    for to in found.values():
        to.denials += for_all
    declared |= {label for label in found if label.startswith(ACCOUNT)}
    return {label: to for label, to in found.items() if to.rights or to.unclear or label in declared}


def _principal(found: Principals, label: str, by: Resource) -> Principal:
    """Return a principal; one that the stack does not declare gets the URN of the resource that names it."""
    return found.setdefault(label, Principal(label, by.urn))


def _named(graph: Graph, by: Resource, path: str, type: str) -> list[str]:
    """Return the labels of the principals that a property names; else `undeclared TYPE NAME`."""
    targets = graph.targets(by, path, type)
    if targets:
        return [one.label for one in targets]
    value = by.read(path)
    names = cast("list[object]", value) if isinstance(value, list) else [] if value is None else [value]
    return [f"undeclared {type.rpartition(':')[2]} {name}" for name in names]


def _each(graph: Graph, found: Principals, by: Resource, path: str, type: str) -> list[Principal]:
    """Return the principals that a property names. If the name is unknown, record the attachment as unclear."""
    try:
        return [_principal(found, label, by) for label in _named(graph, by, path, type)]
    except Undetermined as unknown:
        _principal(found, by.label, by).unclear.append(unknown)
        return []


def _attach(graph: Graph, to: Principal, read: Callable[[], Iterable[Statement]], source: Resource) -> None:
    """Add the statements of an identity's policy."""
    try:
        for statement in read():
            _add(graph, to, statement, source.label)
    except Undetermined as unknown:
        to.unclear.append(unknown)


def _add(graph: Graph, to: Principal, statement: Statement, source: str, own: str = "") -> None:
    """Add one statement; `own` is the label of the policy's resource, which `*` then means."""
    resources = tuple(own if own and one == "*" else label_of(graph, one) for one in statement.resources)
    condition = _condition(graph, statement.condition)
    if statement.allows:
        to.rights += [Right(action, one, condition, source) for action in statement.actions for one in resources]
    elif not UNSAFE_TRANSPORT.fullmatch(condition):
        parts = tuple(f"{own}/*" for one in statement.resources if own and one == "*")
        to.denials.append(Denial(statement.actions, (*resources, *parts), source))


def _inline(graph: Graph, found: Principals) -> None:
    for type, path, kind in INLINE:
        for policy in graph.everything(type):
            for to in _each(graph, found, policy, path, kind):
                _attach(graph, to, lambda policy=policy: statements(policy), policy)
    for role in graph.everything(ROLE):
        to = found[role.label]

        def inline(role: Resource = role) -> Iterator[Statement]:
            for policy in role.items("inlinePolicies"):
                yield from statements(policy)

        _attach(graph, to, inline, role)


def _managed(graph: Graph, found: Principals) -> None:
    for type, path, policies, kind in MANAGED:
        for attachment in graph.everything(type):
            for to in _each(graph, found, attachment, path, kind):
                _attach_managed(graph, to, attachment, policies)
    for role in graph.everything(ROLE):
        _attach_managed(graph, found[role.label], role, "managedPolicyArns")


def _attach_managed(graph: Graph, to: Principal, by: Resource, path: str) -> None:
    try:
        own = graph.targets(by, path, POLICY)
        for policy in own:
            _attach(graph, to, lambda policy=policy: statements(policy), by)
        ours = {one for policy in own for one in policy.identities}
        value = by.read(path) if not own or by.known(path) else None
        arns = cast("list[object]", value) if isinstance(value, list) else [] if value is None else [value]
        to.rights += [_of_managed(str(arn), by) for arn in arns if str(arn) not in ours]
    except Undetermined as unknown:
        to.unclear.append(unknown)


def _of_managed(arn: str, by: Resource) -> Right:
    text = without_partition(arn)
    aws = AWS_POLICY.fullmatch(text)
    return Right(f"AWS's policy {aws[1]}" if aws else f"policy {text}", "", "", by.label)


def _exclusive(graph: Graph, found: Principals) -> None:
    """Add the inline policies that are kept but not declared, and remove the rights of those that are not kept."""
    for type, path, kind in EXCLUSIVE:
        inline, owner = next((inline, owner) for inline, owner, of in INLINE if of == kind)
        for exclusive in graph.everything(type):
            for to in _each(graph, found, exclusive, path, kind):
                try:
                    kept = set(exclusive.words("policyNames"))
                    own = [one for one in graph.everything(inline) if to.label in _named(graph, one, owner, kind)]
                    declared = {one.text("name"): one.label for one in own}
                except Undetermined as unknown:
                    to.unclear.append(unknown)
                    continue
                to.rights += [
                    Right(f"inline policy {name}", "", "", exclusive.label) for name in sorted(kept - declared.keys())
                ]
                gone = {label for name, label in declared.items() if name not in kept}
                to.rights = [
                    Right(one.action, one.resource, f"{exclusive.label} did not remove it", one.source)
                    if one.source in gone
                    else one
                    for one in to.rights
                ]


def _memberships(graph: Graph, found: Principals) -> None:
    pairs: list[tuple[Principal, Principal]] = []
    for one in graph.everything(GROUP_MEMBERSHIP):
        groups, users = _each(graph, found, one, "group", GROUP), _each(graph, found, one, "users", USER)
        pairs += [(group, user) for group in groups for user in users]
    for one in graph.everything(USER_MEMBERSHIP):
        groups, users = _each(graph, found, one, "groups", GROUP), _each(graph, found, one, "user", USER)
        pairs += [(group, user) for group in groups for user in users]
    declared = {one.label for one in graph.everything(GROUP)}
    for group, user in pairs:
        user.rights += group.rights
        user.denials += group.denials
        user.unclear += group.unclear
        if group.label not in declared:
            user.rights.append(Right(f"the policies of {group.label}", "", "", group.label))


def _limits(graph: Graph, found: Principals) -> None:
    """Add a permissions boundary as a condition to all rights, because it may remove any of them."""
    for one in graph.everything(ROLE, USER):
        to = found[one.label]
        try:
            if boundary := one.text("permissionsBoundary"):
                limit = f"within {label_of(graph, boundary)}"
                to.rights = [
                    Right(right.action, right.resource, " and ".join(filter(None, (right.condition, limit))), one.label)
                    for right in to.rights
                ]
        except Undetermined as unknown:
            to.unclear.append(unknown)


# -- policies of resources


def _on_resources(graph: Graph, found: Principals) -> None:
    replaced = {key.urn for policy in graph.everything(KEY_POLICY) for key in _targets(graph, policy, "keyId", KEY)}
    for key in graph.everything(KEY):
        _principal(found, f"{ACCOUNT}{key.label}", key)
        if key.urn not in replaced:
            _read_policy(graph, found, key, key, key)
    for type, path, kind in ON_RESOURCES:
        for policy in graph.everything(type):
            targets = _targets(graph, policy, path, kind)
            for target in targets or [None]:
                _read_policy(graph, found, policy, target, policy)
    for one, path in ((one, path) for one in (*graph.resources, *graph.beside) for path in OF_OTHERS):
        if one.type.startswith("aws:") and one.type not in NO_GRANTS and path in one.inputs:
            _read_policy(graph, found, Node(one.urn, "", {"policy": one.inputs[path]}), None, one)
    for one in graph.everything(SECRET, TOPIC, S3):  # only inputs: the state also shows AWS's default policy
        _read_policy(graph, found, Node(one.urn, "", {"policy": one.inputs.get("policy")}), one, one)


def _targets(graph: Graph, by: Resource, path: str, type: str) -> list[Resource]:
    try:
        return graph.targets(by, path, type)
    except Undetermined:
        return []  # the statements still name the principals and actions


def _read_policy(graph: Graph, found: Principals, policy: Node, target: Resource | None, source: Resource) -> None:
    own = target.label if target is not None else ""
    try:
        if (
            target is not None and target is source and source.type == KEY and not policy.text("policy")
        ):  # AWS's default
            target.text("arn")  # names the account
            _principal(found, f"{ACCOUNT}{own}", source).rights.append(Right("kms:*", own, "", source.label))
            return
        whom = [(statement, _who(graph, statement, target)) for statement in statements(policy)]
    except Undetermined as unknown:
        _principal(found, source.label, source).unclear.append(unknown)
        return
    for statement, labels in whom:
        for label in labels:
            _add(graph, _principal(found, label, source), statement, source.label, own)


def _who(graph: Graph, statement: Statement, target: Resource | None) -> list[str]:
    """Return the labels of a statement's principals."""
    services = [f"Service {one}" for one in statement.services]
    return services + [_identity(graph, one, target) for one in statement.principals]


def _identity(graph: Graph, who: str, target: Resource | None) -> str:
    if who == "*":
        return ANYBODY
    root = ROOT.fullmatch(without_partition(who))
    if root is not None and target is not None:
        parts = target.text("arn").split(":")
        if len(parts) > 4 and parts[4] == root[1]:
            return f"{ACCOUNT}{target.label}"
    return label_of(graph, who)


def _grants(graph: Graph, found: Principals) -> None:
    for grant in graph.everything(GRANT):
        keys = _targets(graph, grant, "keyId", KEY)
        try:
            resource = keys[0].label if keys else grant.text("keyId")
            to = _identity(graph, grant.text("granteePrincipal"), keys[0] if keys else None)
            for operation in grant.words("operations"):
                _principal(found, to, grant).rights.append(Right(f"kms:{operation}", resource, "", grant.label))
            if retiring := grant.text("retiringPrincipal"):
                by = _principal(found, _identity(graph, retiring, None), grant)
                by.rights.append(Right("kms:RetireGrant", resource, "", grant.label))
        except Undetermined as unknown:
            _principal(found, grant.label, grant).unclear.append(unknown)


# -- Cloudflare


def _tokens(graph: Graph, found: Principals) -> None:
    for token in graph.everything(TOKEN, API_TOKEN):
        to = found[token.label]
        try:
            limit = _limit_of_token(token)
            for policy in token.items("policies"):
                resources = _opened(graph, policy)
                groups = [one.text("id") for one in policy.items("permissionGroups")]
                names = tuple(PERMISSION_GROUPS.get(one, f"the permission group {one}") for one in groups)
                if policy.text("effect") == "deny":
                    to.denials.append(Denial(names, tuple(resources), token.label))
                else:
                    to.rights += [Right(name, one, limit, token.label) for name in names for one in resources]
        except Undetermined as unknown:
            to.unclear.append(unknown)


def _opened(graph: Graph, policy: Node) -> list[str]:
    """Return the labels of the resources that a token's policy gives access to."""
    try:
        resources = cast("dict[str, Any]", json.loads(policy.text("resources") or "{}")).items()
    except (ValueError, AttributeError):
        raise Undetermined(policy.urn, f"{policy.path}.resources", "is not JSON") from None
    buckets = {bucket_of_token(one): one.label for one in graph.everything(R2)}
    return [buckets.get(name, name) if value == "*" else f"{name} {json.dumps(value)}" for name, value in resources]


def _limit_of_token(token: Resource) -> str:
    """Return when and from where a token is valid; empty if always."""
    limits = {name: token.read(name) for name in ("condition", "notBefore", "expiresOn")}
    found = [f"{name} {json.dumps(value, sort_keys=True)}" for name, value in limits.items() if value]
    return " and ".join([*found, *(["disabled"] if token.read("status") == "disabled" else [])])


# -- texts


def without_partition(arn: str) -> str:
    """Return an ARN with the partition `aws` in place of `aws-us-gov` or `aws-cn`, so that ARNs can be compared."""
    return re.sub(r"^arn:aws-[a-z-]+:", "arn:aws:", arn)


@once
def _labels(graph: Graph) -> Mapping[str, str]:
    """Return ARN to label, for each resource that may be named in a policy; endpoints are also named by their id."""
    found: dict[str, str] = {}
    count = Counter(one.label for one in (*graph.resources, *graph.beside))
    for one in (*graph.resources, *graph.beside):
        label = one.label if count[one.label] == 1 else f"{one.label} ({one.urn})"
        arn = one.properties.get("arn")
        if isinstance(arn, str) and one.type != TOPIC_POLICY:  # has the topic's ARN
            found.setdefault(without_partition(arn), label)
        name = one.properties.get("bucket")
        if one.type == S3 and isinstance(name, str):
            found.setdefault(f"arn:aws:s3:::{name}", label)
        endpoint = one.properties.get("id")
        if one.type == ENDPOINT and isinstance(endpoint, str):
            found.setdefault(endpoint, label)
    return found


def label_of(graph: Graph, value: str) -> str:
    """Return the label of the resource that an ARN means, with the rest of the ARN; else the ARN itself."""
    labels, text = _labels(graph), without_partition(value)
    for suffix in ("", "/*", ":*"):
        base = text.removesuffix(suffix) if suffix else text
        if base in labels and text == base + suffix:
            return labels[base] + suffix
    return text


def _condition(graph: Graph, condition: Mapping[str, Any]) -> str:
    """Return a condition as a text: `StringEquals kms:ViaService secretsmanager.eu-central-1.amazonaws.com`."""
    found: list[str] = []
    for operator, keys in sorted(condition.items()):
        pairs = cast("dict[str, Any]", keys) if isinstance(keys, dict) else {"": keys}
        for key, value in sorted(pairs.items()):
            values = cast("list[object]", value) if isinstance(value, list) else [value]
            found.append(f"{operator} {key} {' or '.join(label_of(graph, str(one)) for one in values)}")
    return " and ".join(found)


def trusted_by(graph: Graph, role: Resource) -> list[str]:
    """Return who may assume a role: `Service ec2.amazonaws.com`, with another action or a condition if there is one."""
    node = Node(role.urn, "", {"policy": role.read("assumeRolePolicy")})
    found: list[str] = []
    for statement in statements(node):
        if statement.allows:
            condition = _condition(graph, statement.condition)
            for who in _who(graph, statement, None):
                for action in statement.actions:
                    through = "" if action.lower() == "sts:assumerole" else f" by {action}"
                    found.append(f"{who}{through}{f' if {condition}' if condition else ''}")
        else:
            found.append(f"nobody, by a statement that denies {', '.join(statement.actions)}")
    return found
