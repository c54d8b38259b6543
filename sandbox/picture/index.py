"""An index of a stack's resources and their references. Unknown and secret values are read as empty."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from sandbox.engine import urns
from sandbox.engine.state import Resource

# Types that connect the holder of a credential with the object that it gives access to. `reachable` follows only these.
CREDENTIALS: Final = frozenset(
    {
        "aws:iam/accessKey:AccessKey",
        "aws:iam/instanceProfile:InstanceProfile",
        "aws:iam/role:Role",
        "aws:iam/user:User",
        "aws:secretsmanager/secret:Secret",
        "cloudflare:index/accountToken:AccountToken",
    }
)
# Types that add details to another resource, and the property that refers to it.
ATTACHMENTS: Final = {
    "aws:iam/rolePolicy:RolePolicy": "role",
    "aws:iam/userPolicy:UserPolicy": "user",
    "aws:secretsmanager/secretVersion:SecretVersion": "secretId",
}


class Index:
    """Resources by URN, by type, and their attachments, in the natural order of their names."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        live = (resource for resource in resources if not resource.delete)
        self.resources: list[Resource] = sorted(live, key=lambda one: (natural(name(one)), one.urn))
        self._by_urn: dict[str, Resource] = {resource.urn: resource for resource in self.resources}
        self._by_type: dict[str, list[Resource]] = defaultdict(list)
        self._attached: dict[str, list[Resource]] = defaultdict(list)
        for resource in self.resources:
            self._by_type[resource.type].append(resource)
            for holder in self.named(resource, ATTACHMENTS.get(resource.type, "")):
                self._attached[holder.urn].append(resource)

    def of(self, type: str) -> list[Resource]:
        """Return all resources of one type."""
        return self._by_type.get(type, [])

    def named(self, resource: Resource, property: str) -> list[Resource]:
        """Return the resources from which one property takes its value; also known in a preview."""
        urns_named = resource.property_dependencies.get(property, ())
        return [self._by_urn[urn] for urn in sorted(set(urns_named)) if urn in self._by_urn]

    def needs(self, resource: Resource) -> Iterator[Resource]:
        """Yield the resources that this one depends on, by a property or by `depends_on`."""
        for urn in sorted({*resource.dependencies, *sum(resource.property_dependencies.values(), list[str]())}):
            if urn in self._by_urn:
                yield self._by_urn[urn]

    def reachable(self, resource: Resource, property: str) -> list[Resource]:
        """Return the resources that a property refers to, directly or through credentials."""
        found: dict[str, Resource] = {}
        waiting = self.named(resource, property)
        while waiting:
            one = waiting.pop()
            if one.urn in found:
                continue
            found[one.urn] = one
            for attached in self._attached[one.urn]:
                waiting += self.needs(attached)
            if one.type in CREDENTIALS:
                waiting += self.needs(one)
        return [found[urn] for urn in sorted(found)]

    def region(self, resource: Resource) -> str:
        """Return the region of a resource's provider, or ""."""
        provider = self._by_urn.get(urns.split_reference(resource.provider)[0]) if resource.provider else None
        return text(provider, "region") if provider else ""


def name(resource: Resource) -> str:
    """Return a resource's name in the program."""
    return resource.urn.rpartition("::")[2]


def natural(label: str) -> tuple[tuple[str, int], ...]:
    """Return a sort key that puts `worker-2` before `worker-10`."""
    return tuple((word, int(digits or -1)) for word, digits in re.findall(r"(\D*)(\d*)", label))


def items(resource: Resource, *path: str) -> list[dict[str, Any]]:
    """Return a list of objects among the inputs, or an empty list."""
    value = _at(resource, path)
    listed = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(dict[str, Any], item) for item in listed if isinstance(item, dict)]


def text(resource: Resource, *path: str) -> str:
    """Return an input as text, or "" if it is absent, unknown, secret, or not a scalar."""
    return scalar(_at(resource, path))


def scalar(value: object) -> str:
    """Return a string or number as text, or "" for any other value."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _at(resource: Resource, path: Iterable[str]) -> Any:
    value: Any = resource.inputs
    for key in path:
        value = cast(dict[str, Any], value).get(key) if isinstance(value, dict) else None
    return value
