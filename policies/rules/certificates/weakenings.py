"""Weakenings of the machines' certificates: too long valid, not renewed, or readable by other roles."""

from __future__ import annotations

import json

from policies.graph import Graph, Resource
from policies.mutation.files import DATABASE, disable, edit
from policies.mutation.operators import (
    ABSENT,
    New,
    Operator,
    Where,
    add,
    anything,
    declared,
    drop,
    each,
    ending,
    named,
    put,
    relink,
    revised,
    unlink,
)
from policies.mutation.weakening import Weakenings
from policies.rules.certificates.rules import FETCH, PROFILE, REFRESH
from policies.views.machines import COORDINATOR, ENVIRONMENT, INSTANCE, UNITS
from policies.views.permissions import ROLE_POLICY
from policies.views.transit import (
    AUTHORITY,
    CERTIFICATE,
    PRIVATE_KEY,
    REQUEST,
    SECRET,
    SECRET_POLICY,
    SECRET_VERSION,
)

HOURS = 24  # in a day


def certificate(path: str, new: New) -> Operator:
    """Change a certificate of a role."""
    return put(CERTIFICATE, path, new)


def key_of(path: str, new: New) -> Operator:
    """Change the keys of roles."""
    return put(PRIVATE_KEY, path, new, lambda one: "authority" not in one.name)


def key_of_authority(path: str, new: New) -> Operator:
    """Change the keys of authorities."""
    return put(PRIVATE_KEY, path, new, named("authority"))


def other_profile(graph: Graph, instance: Resource) -> Resource | None:
    """Return the instance profile of another role."""
    own = graph.target(instance, "iamInstanceProfile", PROFILE)
    return next((one for one in graph.of(PROFILE) if one is not own), None)


def supplied(type: str, path: str, source: str, where: Where = anything) -> Operator:
    """Let a secret property depend on another resource of the type `source`."""

    def change(graph: Graph, resource: Resource) -> Resource | None:
        needs = resource.property_dependencies.get(path, ())
        old = {one.urn for one in graph.of(source)} & set(needs)
        new = next((one.urn for one in graph.of(source) if one.urn not in old), None)
        if not old or new is None:
            return None
        others = tuple(new if urn in old else urn for urn in needs)
        return revised(resource, property_dependencies={**resource.property_dependencies, path: others})

    return each(type, where, change)


def also_readable(action: str, resource: str, where: Where) -> Operator:
    """Allow the roles of machines to read more secrets."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}

    def change(text: str) -> str:
        document = json.loads(text)
        return json.dumps({**document, "Statement": [*document["Statement"], statement]})

    return put(ROLE_POLICY, "policy", change, where)


def opened_secret(graph: Graph) -> Resource:
    """Return a policy that opens the coordinators' certificate to everybody."""
    secret = next(one for one in graph.of(SECRET) if one.name.endswith("coordinator-certificate"))
    return declared(graph, SECRET_POLICY, "more", {"id": "more", "secretArn": secret.properties["arn"]})


CERTIFICATE_SECRET = ending("-certificate")

WEAKENINGS: Weakenings = {
    "certificates-are-renewed-early": {
        "a certificate is valid for two years": certificate("validityPeriodHours", 730 * HOURS),
        "a certificate's validity is not set": certificate("validityPeriodHours", ABSENT),
        "a certificate is renewed in its last week": certificate("earlyRenewalHours", 7 * HOURS),
        "a certificate is not renewed": certificate("earlyRenewalHours", ABSENT),
        "a certificate is always due": certificate("earlyRenewalHours", 366 * HOURS),
        **{
            f"a certificate has not the use {use}": certificate(
                "allowedUses", lambda uses, use=use: [one for one in uses if one != use]
            )
            for use in ("digital_signature", "server_auth", "client_auth")
        },
        "a certificate may sign others": certificate("allowedUses", lambda uses: [*uses, "cert_signing"]),
        "a certificate is an authority": certificate("isCaCertificate", True),
        "a key has the curve P224": key_of("ecdsaCurve", "P224"),
        "a key has the default curve": key_of("ecdsaCurve", ABSENT),
        "a key is RSA with 2048 bits": key_of("algorithm", "RSA"),
        "a key is of another kind": key_of("algorithm", "DSA"),
        "the request is not this stack's": put(CERTIFICATE, "certRequestPem", "x"),
        "the authority is not this stack's": unlink(CERTIFICATE, AUTHORITY),
    },
    "authorities-only-sign": {
        "the authority's certificate is no authority's": put(AUTHORITY, "isCaCertificate", False),
        "the authority may also serve": put(AUTHORITY, "allowedUses", lambda uses: [*uses, "server_auth"]),
        "the authority may not sign": put(AUTHORITY, "allowedUses", ["crl_signing"]),
        "the authority is valid for a year": put(AUTHORITY, "validityPeriodHours", 365 * HOURS),
        "the authority's key has the curve P224": key_of_authority("ecdsaCurve", "P224"),
        "the authority's key is RSA with 2048 bits": key_of_authority("algorithm", "RSA"),
    },
    "machines-show-their-own-certificate": {
        "the secret is not declared": drop(SECRET, CERTIFICATE_SECRET),
        "the secret has no value": drop(SECRET_VERSION, CERTIFICATE_SECRET),
        "machines fetch another role's secret": edit(
            ENVIRONMENT, "^(backbuild-prod/certificates/).* certificate ", r"\1gateway certificate ", DATABASE
        ),
        "machines fetch two certificates": edit(
            ENVIRONMENT, "^(backbuild-prod/certificates/.* certificate .*)$", r"\1\n\1"
        ),
        "a secret has another role's certificate": supplied(SECRET_VERSION, "secretString", CERTIFICATE),
        "a secret has another role's key": supplied(SECRET_VERSION, "secretString", PRIVATE_KEY),
        "a secret has no authority": unlink(SECRET_VERSION, AUTHORITY),
        "a role has another one's subject": put(
            REQUEST, "subject.organizationalUnit", "coordinator", lambda one: COORDINATOR not in one.name
        ),
        "a subject also has a common name": put(REQUEST, "subject.commonName", "patroni"),
        "a role has the name of coordinators": put(REQUEST, "dnsNames", lambda names: [*names, "coordinator"]),
        "a certificate has no name": put(REQUEST, "dnsNames", []),
        "a certificate is not for all addresses": put(REQUEST, "ipAddresses", lambda addresses: addresses[1:]),
        "a certificate is for one more address": put(
            REQUEST, "ipAddresses", lambda addresses: [*addresses, "10.20.0.99"]
        ),
    },
    "certificates-reach-one-role": {
        "a role may read all secrets": also_readable("secretsmanager:GetSecretValue", "*", named("access-")),
        "a role may read all certificates": also_readable(
            "secretsmanager:Get*", "arn:aws:secretsmanager:*:*:secret:backbuild-prod/certificates/*", named("access-")
        ),
        "a role may not read its certificate": put(
            ROLE_POLICY, "policy", lambda text: text.replace("/certificates/", "/others/"), named("access-")
        ),
        "machines have another role's profile": relink(INSTANCE, "iamInstanceProfile", other_profile),
        "a policy opens a secret": add(opened_secret),
    },
    "renewed-certificates-are-applied": {
        "the timer is not enabled": disable(f"{REFRESH}.timer"),
        "the timer runs once a week": edit(
            f"{UNITS}/{REFRESH}.timer", "^OnCalendar=.*", "OnCalendar=Mon *-*-* 03:00:00 UTC"
        ),
        "the timer may be three days late": edit(f"{UNITS}/{REFRESH}.timer", "^AccuracySec=.*", "AccuracySec=3d"),
        "the timer starts nothing": edit(f"{UNITS}/{REFRESH}.service", "^ExecStart=.*", "ExecStart=/usr/bin/true"),
        "the certificate is not installed": edit(FETCH, r"^/usr/local/lib/backbuild/install-certificate\n", ""),
        "a changed secret is not applied": edit(FETCH, "^    /usr/local/lib/backbuild/apply-secrets$", "    :"),
        "the script goes on after an error": edit(FETCH, "^set -eu$", "set -u"),
        "the script goes on after an error by its variables": edit(ENVIRONMENT, r"^(STACK=.*)$", r"\1\nset +e"),
        "the script goes on after an error in the end": edit(FETCH, "^set -eu$", "set -eu\nset +e"),
    },
}
