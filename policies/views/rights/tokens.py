"""Rights of Cloudflare's API tokens."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from policies.graph import Graph, Node, Resource, Undetermined
from policies.views.permissions import API_TOKEN, TOKEN, bucket_of_token
from policies.views.rights.principal import Denial, Principals, Right
from policies.views.vault import R2

# Cloudflare's permission groups, by id.
PERMISSION_GROUPS: Final = {
    "2efd5506f9c8494dacb1fa10a3e7d5b6": "Workers R2 Storage Bucket Item Write",
    "6a018a9f2fc74eb6b293b0c548f38b39": "Workers R2 Storage Bucket Item Read",
}


def add_tokens(graph: Graph, found: Principals) -> None:
    """Add what the policies of tokens allow."""
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
