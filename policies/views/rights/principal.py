"""A principal, its rights, and what it is denied."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from policies.graph import Graph, Resource, Undetermined
from policies.views.permissions import Statement
from policies.views.rights.texts import condition_of, label_of

ANYBODY: Final = "Anybody"
ACCOUNT: Final = "Account of "
"""With a resource's label: that resource's own account, whose IAM policies may then allow these actions."""
# Conditions of statements that deny requests which no principal of this platform makes.
UNSAFE_TRANSPORT: Final = re.compile(r"Bool aws:SecureTransport false|NumericLessThan s3:TlsVersion 1\.[23]")


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


def named_principal(found: Principals, label: str, by: Resource) -> Principal:
    """Return a principal; one that the stack does not declare gets the URN of the resource that names it."""
    return found.setdefault(label, Principal(label, by.urn))


def add_statement(graph: Graph, to: Principal, statement: Statement, source: str, own: str = "") -> None:
    """Add one statement; `own` is the label of the policy's resource, which `*` then means."""
    resources = tuple(own if own and one == "*" else label_of(graph, one) for one in statement.resources)
    condition = condition_of(graph, statement.condition)
    if statement.allows:
        to.rights += [Right(action, one, condition, source) for action in statement.actions for one in resources]
    elif not UNSAFE_TRANSPORT.fullmatch(condition):
        parts = tuple(f"{own}/*" for one in statement.resources if own and one == "*")
        to.denials.append(Denial(statement.actions, (*resources, *parts), source))
