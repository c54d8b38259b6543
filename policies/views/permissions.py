"""Permissions: statements of policies, keys and tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from policies.graph import Graph, Node, Resource, Undetermined

TOKEN: Final = "cloudflare:index/accountToken:AccountToken"  # noqa: S105 (a type)
API_TOKEN: Final = "cloudflare:index/apiToken:ApiToken"  # noqa: S105
USER: Final = "aws:iam/user:User"
USER_POLICY: Final = "aws:iam/userPolicy:UserPolicy"
ACCESS_KEY: Final = "aws:iam/accessKey:AccessKey"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
ROLE_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
BUCKET_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
KEY: Final = "aws:kms/key:Key"
# Resources that give a user other permissions than its own policy.
ATTACHED: Final = (
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/policyAttachment:PolicyAttachment",
    "aws:iam/userGroupMembership:UserGroupMembership",
    "aws:iam/groupMembership:GroupMembership",
)


@dataclass(frozen=True)
class Statement:
    """One statement of a policy; single values and lists are read alike."""

    effect: str
    elements: dict[str, Any]

    @property
    def allows(self) -> bool:
        """Whether it allows; an unknown effect counts as Allow."""
        return self.effect != "Deny"

    @property
    def actions(self) -> tuple[str, ...]:
        """Its actions; all for NotAction."""
        return ("*",) if "NotAction" in self.elements else _many(self.elements.get("Action"))

    @property
    def resources(self) -> tuple[str, ...]:
        """Its resources; all for NotResource."""
        return ("*",) if "NotResource" in self.elements else _many(self.elements.get("Resource"))

    @property
    def principals(self) -> tuple[str, ...]:
        """Its principals: accounts, users and roles of AWS, `*` for everybody; without services."""
        who = self.elements.get("Principal")
        if "NotPrincipal" in self.elements:
            return ("*",)
        if isinstance(who, dict):
            kinds = cast("dict[str, Any]", who)
            return tuple(one for kind, named in kinds.items() if kind != "Service" for one in _many(named))
        return _many(who)

    @property
    def services(self) -> tuple[str, ...]:
        """The AWS services among its principals."""
        who = self.elements.get("Principal")
        return _many(cast("dict[str, Any]", who).get("Service")) if isinstance(who, dict) else ()

    @property
    def condition(self) -> dict[str, Any]:
        """Its condition; empty if there is none."""
        found = self.elements.get("Condition")
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _many(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(str(one) for one in cast("list[object]", value))
    return () if value is None else (str(value),)


def statements(policy: Node) -> Iterator[Statement]:
    """Return the statements of a resource's `policy`, none if it has none."""
    try:
        document = cast("dict[str, Any]", json.loads(policy.text("policy") or "{}"))
        listed: Any = document.get("Statement") or []
        found = cast("list[dict[str, Any]]", [listed] if isinstance(listed, dict) else listed)
        read = [Statement(str(one.get("Effect")), dict(one)) for one in found]
    except (ValueError, AttributeError, TypeError):
        raise Undetermined(policy.urn, "policy", "is not a policy document") from None
    yield from read


def account_of(graph: Graph) -> str:
    """Return the AWS account of the stack, from the ARN of a key."""
    for key in graph.of(KEY):
        parts = key.text("arn").split(":")
        if len(parts) > 4 and parts[4]:
            return parts[4]
    raise Undetermined(graph.stack.urn, "arn", "is unknown for all keys, and with it the AWS account")


def bucket_of_token(bucket: Resource) -> str:
    """Return the name of an R2 bucket in a token's resources."""
    account, jurisdiction = bucket.text("accountId"), bucket.text("jurisdiction") or "default"
    return f"com.cloudflare.edge.r2.bucket.{account}_{jurisdiction}_{bucket.text('name')}"


def opened_by(token: Resource) -> Iterator[tuple[set[str], set[str]]]:
    """Return the permission groups and resources of each policy of a token."""
    for policy in token.items("policies"):
        if policy.text("effect") != "deny":
            groups = {one.text("id") for one in policy.items("permissionGroups")}
            try:
                yield groups, set(json.loads(policy.text("resources") or "{}"))
            except ValueError:
                raise Undetermined(token.urn, f"{policy.path}.resources", "is not JSON") from None
