"""Rights from policies of resources, and from grants of keys."""

from __future__ import annotations

import re
from typing import Final

from policies.graph import Graph, Node, Resource, Undetermined
from policies.views.permissions import KEY, Statement, statements
from policies.views.rights.attachments import GRANT, KEY_POLICY, NO_GRANTS, OF_OTHERS, ON_RESOURCES, SECRET, TOPIC
from policies.views.rights.principal import ACCOUNT, ANYBODY, Principals, Right, add_statement, named_principal
from policies.views.rights.texts import label_of, without_partition
from policies.views.vault import S3

ROOT: Final = re.compile(r"(?:arn:aws:iam::)?(\d{12})(?::root)?")


def add_policies(graph: Graph, found: Principals) -> None:
    """Add the policies of resources: keys, secrets, topics, buckets, and others that have one."""
    replaced = {key.urn for policy in graph.everything(KEY_POLICY) for key in _targets(graph, policy, "keyId", KEY)}
    for key in graph.everything(KEY):
        named_principal(found, f"{ACCOUNT}{key.label}", key)
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
            named_principal(found, f"{ACCOUNT}{own}", source).rights.append(Right("kms:*", own, "", source.label))
            return
        whom = [(statement, principals_of(graph, statement, target)) for statement in statements(policy)]
    except Undetermined as unknown:
        named_principal(found, source.label, source).unclear.append(unknown)
        return
    for statement, labels in whom:
        for label in labels:
            add_statement(graph, named_principal(found, label, source), statement, source.label, own)


def principals_of(graph: Graph, statement: Statement, target: Resource | None) -> list[str]:
    """Return the labels of a statement's principals."""
    services = [f"Service {one}" for one in statement.services]
    return services + [identity_of(graph, one, target) for one in statement.principals]


def identity_of(graph: Graph, who: str, target: Resource | None) -> str:
    """Return the label of a principal. `Account of LABEL` is the account that the policy's resource belongs to."""
    if who == "*":
        return ANYBODY
    root = ROOT.fullmatch(without_partition(who))
    if root is not None and target is not None:
        parts = target.text("arn").split(":")
        if len(parts) > 4 and parts[4] == root[1]:
            return f"{ACCOUNT}{target.label}"
    return label_of(graph, who)


def add_grants(graph: Graph, found: Principals) -> None:
    """Add the grants of KMS keys."""
    for grant in graph.everything(GRANT):
        keys = _targets(graph, grant, "keyId", KEY)
        try:
            resource = keys[0].label if keys else grant.text("keyId")
            to = identity_of(graph, grant.text("granteePrincipal"), keys[0] if keys else None)
            for operation in grant.words("operations"):
                named_principal(found, to, grant).rights.append(Right(f"kms:{operation}", resource, "", grant.label))
            if retiring := grant.text("retiringPrincipal"):
                by = named_principal(found, identity_of(graph, retiring, None), grant)
                by.rights.append(Right("kms:RetireGrant", resource, "", grant.label))
        except Undetermined as unknown:
            named_principal(found, grant.label, grant).unclear.append(unknown)
