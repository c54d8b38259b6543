"""Rights from policies of roles, users and groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from policies.graph import Graph, Resource, Undetermined
from policies.views.permissions import ROLE, USER, Statement, statements
from policies.views.rights.attachments import (
    EXCLUSIVE,
    GROUP,
    GROUP_MEMBERSHIP,
    INLINE,
    MANAGED,
    POLICY,
    USER_MEMBERSHIP,
)
from policies.views.rights.principal import Principal, Principals, Right, add_statement, named_principal
from policies.views.rights.texts import label_of, without_partition

AWS_POLICY: Final = re.compile(r"arn:aws:iam::aws:policy/(.+)")


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
        return [named_principal(found, label, by) for label in _named(graph, by, path, type)]
    except Undetermined as unknown:
        named_principal(found, by.label, by).unclear.append(unknown)
        return []


def _attach(graph: Graph, to: Principal, read: Callable[[], Iterable[Statement]], source: Resource) -> None:
    """Add the statements of an identity's policy."""
    try:
        for statement in read():
            add_statement(graph, to, statement, source.label)
    except Undetermined as unknown:
        to.unclear.append(unknown)


def add_inline(graph: Graph, found: Principals) -> None:
    """Add the policies that belong to one principal."""
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


def add_managed(graph: Graph, found: Principals) -> None:
    """Add the managed policies that are attached to principals."""
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


def keep_exclusive(graph: Graph, found: Principals) -> None:
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


def add_memberships(graph: Graph, found: Principals) -> None:
    """Give the users of a group what the group may do."""
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


def add_limits(graph: Graph, found: Principals) -> None:
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
