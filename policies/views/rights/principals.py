"""All principals of a stack with their rights, and who may assume a role."""

from __future__ import annotations

from policies.graph import Graph, Node, Resource, Undetermined
from policies.views.permissions import API_TOKEN, ROLE, TOKEN, USER, statements
from policies.views.rights.attachments import GROUP
from policies.views.rights.identities import add_inline, add_limits, add_managed, add_memberships, keep_exclusive
from policies.views.rights.principal import ACCOUNT, ANYBODY, Principal, Principals
from policies.views.rights.resources import add_grants, add_policies, principals_of
from policies.views.rights.texts import condition_of
from policies.views.rights.tokens import add_tokens
from policies.views.shared import once


@once
def principals(graph: Graph) -> Principals:
    """Return all principals; those that resources' policies name, such as services, too."""
    found: Principals = {}
    for one in graph.everything(ROLE, USER, GROUP, TOKEN, API_TOKEN):
        if one.label in found:
            found[one.label].unclear.append(Undetermined(one.urn, "name", f"is the name of two resources: {one.label}"))
        found.setdefault(one.label, Principal(one.label, one.urn, declared=True))
    declared = set(found)
    for read in (add_inline, add_managed, keep_exclusive, add_memberships, add_policies, add_grants, add_tokens):
        read(graph, found)
    add_limits(graph, found)
    of_all = [to for label, to in found.items() if label == ANYBODY or label.startswith(ACCOUNT)]
    for_all = [denial for to in of_all for denial in to.denials]
    for to in found.values():
        to.denials += for_all
    declared |= {label for label in found if label.startswith(ACCOUNT)}
    return {label: to for label, to in found.items() if to.rights or to.unclear or label in declared}


def trusted_by(graph: Graph, role: Resource) -> list[str]:
    """Return who may assume a role: `Service ec2.amazonaws.com`, with another action or a condition if there is one."""
    node = Node(role.urn, "", {"policy": role.read("assumeRolePolicy")})
    found: list[str] = []
    for statement in statements(node):
        if statement.allows:
            condition = condition_of(graph, statement.condition)
            for who in principals_of(graph, statement, None):
                for action in statement.actions:
                    through = "" if action.lower() == "sts:assumerole" else f" by {action}"
                    found.append(f"{who}{through}{f' if {condition}' if condition else ''}")
        else:
            found.append(f"nobody, by a statement that denies {', '.join(statement.actions)}")
    return found
