"""Who may do what: statements of policies, keys and tokens, as far as they open the backups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from policies.graph import Graph, Resource, Undetermined

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
# What gives a user rights beside those that its own policy spells out.
ATTACHED: Final = (
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/policyAttachment:PolicyAttachment",
    "aws:iam/userGroupMembership:UserGroupMembership",
    "aws:iam/groupMembership:GroupMembership",
)


@dataclass(frozen=True)
class Statement:
    """One statement of a policy: its elements as they stand there, one or many alike."""

    effect: str
    elements: dict[str, Any]

    @property
    def allows(self) -> bool:
        """Whether it gives anything; what is neither is read as if it did."""
        return self.effect != "Deny"

    @property
    def actions(self) -> tuple[str, ...]:
        """What it is about; everything where it says what it is not about."""
        return ("*",) if "NotAction" in self.elements else _many(self.elements.get("Action"))

    @property
    def resources(self) -> tuple[str, ...]:
        """On what."""
        return ("*",) if "NotResource" in self.elements else _many(self.elements.get("Resource"))

    @property
    def principals(self) -> tuple[str, ...]:
        """Who: accounts, users and roles of AWS, and `*` for everybody. Services are not among them."""
        who = self.elements.get("Principal")
        if "NotPrincipal" in self.elements:
            return ("*",)
        if isinstance(who, dict):
            kinds = cast("dict[str, Any]", who)
            return tuple(one for kind, named in kinds.items() if kind != "Service" for one in _many(named))
        return _many(who)

    @property
    def services(self) -> tuple[str, ...]:
        """Which services of AWS."""
        who = self.elements.get("Principal")
        return _many(cast("dict[str, Any]", who).get("Service")) if isinstance(who, dict) else ()

    @property
    def condition(self) -> dict[str, Any]:
        """When; empty means always."""
        found = self.elements.get("Condition")
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _many(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(str(one) for one in cast("list[object]", value))
    return () if value is None else (str(value),)


def statements(policy: Resource) -> Iterator[Statement]:
    """The statements of a resource's `policy`; none where there is none."""
    try:
        document = cast("dict[str, Any]", json.loads(policy.text("policy") or "{}"))
        listed: Any = document.get("Statement") or []
        found = cast("list[dict[str, Any]]", [listed] if isinstance(listed, dict) else listed)
        read = [Statement(str(one.get("Effect")), dict(one)) for one in found]
    except (ValueError, AttributeError, TypeError):
        raise Undetermined(policy.urn, "policy", "is no policy document") from None
    yield from read


def account_of(graph: Graph) -> str:
    """The AWS account of the stack, as its keys' names say."""
    for key in graph.of(KEY):
        parts = key.text("arn").split(":")
        if len(parts) > 4 and parts[4]:
            return parts[4]
    raise Undetermined(graph.stack.urn, "arn", "of no key says which AWS account this is")


def bucket_of_token(bucket: Resource) -> str:
    """How an R2 bucket is called in a token's resources."""
    account, jurisdiction = bucket.text("accountId"), bucket.text("jurisdiction") or "default"
    return f"com.cloudflare.edge.r2.bucket.{account}_{jurisdiction}_{bucket.text('name')}"


def opened_by(token: Resource) -> Iterator[tuple[set[str], set[str]]]:
    """What each of a token's policies allows: permission groups, and the resources that they hold for."""
    for policy in token.items("policies"):
        if policy.text("effect") != "deny":
            groups = {one.text("id") for one in policy.items("permissionGroups")}
            try:
                yield groups, set(json.loads(policy.text("resources") or "{}"))
            except ValueError:
                raise Undetermined(token.urn, f"{policy.path}.resources", "is not JSON") from None
