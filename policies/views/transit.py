"""How machines authenticate each other: certificates with their secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final, cast

from policies.graph import Graph, Resource, Undetermined
from policies.views.machines import ENVIRONMENT, Machine
from policies.views.permissions import ROLE_POLICY, statements

AUTHORITY: Final = "tls:index/selfSignedCert:SelfSignedCert"
CERTIFICATE: Final = "tls:index/locallySignedCert:LocallySignedCert"
REQUEST: Final = "tls:index/certRequest:CertRequest"
PRIVATE_KEY: Final = "tls:index/privateKey:PrivateKey"
SECRET: Final = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a type)
SECRET_VERSION: Final = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105
SECRET_POLICY: Final = "aws:secretsmanager/secretPolicy:SecretPolicy"  # noqa: S105

TRUSTED: Final = "/run/backbuild/tls/authorities.pem"
SHOWN: Final = "/run/backbuild/tls/certificate.pem"
KEY: Final = "/run/backbuild/tls/key.pem"
BOTH: Final = "/run/backbuild/tls/both.pem"  # the certificate and its key


def differing(found: object, right: Mapping[str, object], where: str, free: tuple[str, ...] = ()) -> str | None:
    """Return which setting of a section is not exactly as expected. Settings in `free` may have any value.

    The message does not contain the actual value, because that may be a password.
    """
    settings = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    for key in (*right, *settings):
        if key not in free and settings.get(key) != right.get(key):
            expected = f"must be {right[key]!r}" if key in right else "must not be set"
            return f"{where}{key} {expected}"
    return None


def assigned_secret(machine: Machine, file: str) -> str:
    """Return the name of the secret that a machine writes to a file below /run/backbuild/secrets."""
    found = re.findall(rf"^(\S+) {re.escape(file)} \S+$", machine.file(ENVIRONMENT), re.MULTILINE)
    if len(found) != 1:
        raise Undetermined(machine.urn, f"{ENVIRONMENT}: SECRETS", f"does not name exactly one secret for {file}")
    return found[0]


def only(found: list[Resource], subject: Resource | Machine, what: str) -> Resource:
    """Return the only resource of a list. An empty list, or one with several resources, is undetermined."""
    if len(found) != 1:
        names = ", ".join(sorted(one.name for one in found)) or "none"
        raise Undetermined(subject.urn, what, f"must lead to exactly one resource of this stack; found: {names}")
    return found[0]


def key_weakness(key: Resource) -> str | None:
    """Return why a private key is too weak, or None. Strong enough: ECDSA from P-256, or RSA from 3072 bits."""
    algorithm, curve, bits = key.text("algorithm"), key.text("ecdsaCurve"), key.number("rsaBits") or 0
    if algorithm == "ECDSA" and curve in {"P256", "P384", "P521"}:
        return None
    if algorithm == "RSA" and bits >= 3072:
        return None
    return f"{key.label} is {algorithm} {curve if algorithm == 'ECDSA' else f'{bits:g}'}; ECDSA P256 is expected"


def readers_of(graph: Graph, secret: Resource) -> Iterator[Resource]:
    """Return the policies of roles that allow reading a secret."""
    arn = secret.text("arn")
    for policy in graph.of(ROLE_POLICY):
        for statement in statements(policy):
            if (
                statement.allows
                and any(fnmatchcase("secretsmanager:getsecretvalue", one.lower()) for one in statement.actions)
                and any(fnmatchcase(arn, one) for one in statement.resources)
            ):
                yield policy
