"""The read-only keys with which machines restore, and the automation that rehearses a restore."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from policies.graph import Graph, Resource, Undetermined
from policies.views.permissions import ACCESS_KEY, API_TOKEN, KEY, TOKEN, USER
from policies.views.placeholders import placeholders
from policies.views.rights.attachments import SECRET
from policies.views.rights.principal import Right
from policies.views.rights.principals import principals
from policies.views.shared import once
from policies.views.vault import ENCRYPTION, R2, Copy, copies

SECRET_VERSION: Final = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105 (a type)
DOCUMENT: Final = "aws:ssm/document:Document"
TAG: Final = "Restoring"
"""The tag that the secret with the read-only keys has during a restore."""
READ_ITEMS: Final = "Workers R2 Storage Bucket Item Read"


@dataclass(frozen=True, eq=False)
class Reader:
    """A credential in the secret with the read-only keys: a token, or an access key and its user."""

    credential: Resource
    principal: Resource

    @property
    def urn(self) -> str:
        """The URN of the credential."""
        return self.credential.urn

    @property
    def label(self) -> str:
        """`AccessKey vault-offsite-reader`."""
        return self.credential.label


@once
def reader_secrets(graph: Graph) -> list[Resource]:
    """Secret with the read-only keys of the copies."""
    name = f"{placeholders(graph)['platform']}/backups/readers"
    return [one for one in graph.of(SECRET) if one.text("name") == name]


@once
def readers(graph: Graph) -> list[Reader]:
    """Read-only keys of copies."""
    versions = [one for secret in reader_secrets(graph) for one in graph.referring(secret, SECRET_VERSION, "secretId")]
    found: list[Reader] = []
    for version in versions:
        for credential in graph.targets(version, "secretString", TOKEN, API_TOKEN, ACCESS_KEY):
            user = graph.target(credential, "user", USER) if credential.type == ACCESS_KEY else credential
            if user is None:
                raise Undetermined(credential.urn, "user", "is no user of this stack")
            found.append(Reader(credential, user))
    return found


def rights_of(graph: Graph, reader: Reader) -> list[Right]:
    """Return the rights of a reader. Raises `Undetermined` if a policy cannot be read."""
    principal = principals(graph)[reader.principal.label]
    for unknown in principal.unclear:
        raise unknown
    return principal.rights


def reading(graph: Graph, copy: Copy) -> frozenset[tuple[str, str]]:
    """Return what reading a copy needs: pairs of an action, in lower case, and a resource."""
    label = copy.bucket.label
    if copy.bucket.type == R2:
        return frozenset({(READ_ITEMS.lower(), label)})
    encrypting = graph.referring(copy.bucket, ENCRYPTION, "bucket")
    keys = {key.label for one in encrypting for key in graph.targets(one, "rules", KEY)}
    return frozenset(
        {
            ("s3:getobject", f"{label}/*"),
            ("s3:listbucket", label),
            *(("kms:decrypt", key) for key in keys),
        }
    )


def copies_read(graph: Graph, rights: list[Right]) -> list[Copy]:
    """Return the copies that these rights give any access to."""
    asked = {(one.action.lower(), one.resource) for one in rights}
    return [copy for copy in copies(graph) if reading(graph, copy) & asked]


@dataclass(frozen=True)
class Automation:
    """The content of an SSM Automation document."""

    resource: Resource
    content: Mapping[str, Any]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Its steps, in their order."""
        return cast("list[dict[str, Any]]", self.content.get("mainSteps") or [])

    @property
    def definition(self) -> str:
        """The ARN under which EventBridge starts it."""
        return f"{self.resource.text('arn').replace(':document/', ':automation-definition/')}:$DEFAULT"


def automations(graph: Graph) -> list[Automation]:
    """SSM Automation documents."""
    found: list[Automation] = []
    for document in graph.of(DOCUMENT):
        if document.text("documentType") == "Automation":
            try:
                content = json.loads(document.text("content"))
            except ValueError:
                raise Undetermined(document.urn, "content", "is not JSON") from None
            found.append(Automation(document, content))
    return found
