"""Redundancy: machines have short-lived certificates of the platform, and apply them when they are renewed."""

from __future__ import annotations

from policies.controls import KEYS, PEERS
from policies.graph import Graph, Resource
from policies.rule import Severity, define
from policies.views.machines import CONSENSUS, Machine, machines
from policies.views.permissions import ROLE
from policies.views.shell import lines_of, steered, stops_at_errors
from policies.views.transit import (
    AUTHORITY,
    CERTIFICATE,
    PRIVATE_KEY,
    REQUEST,
    SECRET,
    SECRET_POLICY,
    SECRET_VERSION,
    assigned_secret,
    differing,
    key_weakness,
    only,
    readers_of,
)
from policies.views.units import late, starts

PROFILE = "aws:iam/instanceProfile:InstanceProfile"
FETCH = "/usr/local/sbin/backbuild-secrets"
REFRESH = "backbuild-secrets-refresh"
REFRESH_SECONDS = 86400.0

# Browsers have this limit for public certificates. With a longer validity, a missing renewal is discovered later.
MOST_DAYS = 398
RENEWAL_DAYS = 30
LEAST_AUTHORITY_DAYS = 2 * MOST_DAYS
LEAF_USES = {"digital_signature", "server_auth", "client_auth"}
AUTHORITY_USES = {"cert_signing", "crl_signing"}


def certificates(graph: Graph) -> list[Resource]:
    """Certificates of machines."""
    return graph.of(CERTIFICATE)


def authorities(graph: Graph) -> list[Resource]:
    """Certificate authorities of machines."""
    return graph.of(AUTHORITY)


@define(
    "redundancy",
    "certificates-are-renewed-early",
    Severity.HIGH,
    "Machines' certificates have strong keys, are short-lived, and are renewed a month before they expire",
    over=certificates,
    promises=("RED-2",),
    controls=KEYS,
    remedy="restore the certificates' validity, renewal, uses and keys (components/certificates.py)",
)
def certificates_renewed(graph: Graph, certificate: Resource) -> str | None:
    """All machines of a role have the same certificate. When it expires, all of them lose their connections at once."""
    days, renewal = _days(certificate, "validityPeriodHours"), _days(certificate, "earlyRenewalHours")
    if not 0 < days <= MOST_DAYS:
        return f"it is valid for {days:g} days; {MOST_DAYS} at most are expected"
    if not RENEWAL_DAYS <= renewal < days:
        return f"it is renewed {renewal:g} days before it expires; {RENEWAL_DAYS} at least are expected"
    if set(certificate.words("allowedUses")) != LEAF_USES:
        return f"its uses must be {', '.join(sorted(LEAF_USES))}"
    if certificate.flag("isCaCertificate"):
        return "it is itself an authority"
    request = only(graph.targets(certificate, "certRequestPem", REQUEST), certificate, "certRequestPem")
    only(graph.targets(certificate, "caPrivateKeyPem", AUTHORITY), certificate, "caPrivateKeyPem")
    return key_weakness(only(graph.targets(request, "privateKeyPem", PRIVATE_KEY), request, "privateKeyPem"))


@define(
    "redundancy",
    "authorities-only-sign",
    Severity.HIGH,
    "The machines' authorities have strong keys, are valid longer than certificates, and are used only to sign",
    over=authorities,
    promises=("RED-2",),
    controls=KEYS,
    remedy="restore the authority's uses, validity and key (components/certificates.py)",
)
def authorities_only_sign(graph: Graph, authority: Resource) -> str | None:
    """Machines trust every certificate that an authority signs."""
    if not authority.flag("isCaCertificate"):
        return "isCaCertificate is not true"
    if set(authority.words("allowedUses")) != AUTHORITY_USES:
        return f"its uses must be {', '.join(sorted(AUTHORITY_USES))}"
    if (days := _days(authority, "validityPeriodHours")) < LEAST_AUTHORITY_DAYS:
        return f"it is valid for {days:g} days; {LEAST_AUTHORITY_DAYS} at least are expected, to replace it in time"
    return key_weakness(only(graph.targets(authority, "privateKeyPem", PRIVATE_KEY), authority, "privateKeyPem"))


def _days(certificate: Resource, path: str) -> float:
    return (certificate.number(path) or 0) / 24


@define(
    "redundancy",
    "machines-show-their-own-certificate",
    Severity.HIGH,
    "Each machine fetches its role's certificate, which is valid for the machine's address",
    over=machines,
    promises=("RED-2", "RED-3"),
    controls=PEERS,
    remedy="restore the secret's value, the subject and the addresses (components/certificates.py, machines/files.py)",
)
def machines_show_own(graph: Graph, machine: Machine) -> str | None:
    """Other machines grant permissions by the subject, and check by the address that they reached the right machine."""
    secret = _secret_of(graph, machine)
    version = only(graph.referring(secret, SECRET_VERSION, "secretId"), secret, "its value")
    certificate = only(graph.targets(version, "secretString", CERTIFICATE), version, "secretString")
    request = only(graph.targets(certificate, "certRequestPem", REQUEST), certificate, "certRequestPem")
    key = graph.targets(request, "privateKeyPem", PRIVATE_KEY)
    if graph.targets(version, "secretString", PRIVATE_KEY) != key:
        return f"{version.label} does not hold the key of {certificate.label}"
    signers = graph.targets(certificate, "caPrivateKeyPem", AUTHORITY)
    if not signers or not set(signers) <= set(graph.targets(version, "secretString", AUTHORITY)):
        return f"{version.label} does not hold the authority that signed {certificate.label}"
    field = "commonName" if machine.role == CONSENSUS else "organizationalUnit"
    if wrong := differing(request.read("subject"), {field: machine.role}, f"{request.label}: subject."):
        return wrong
    if request.words("dnsNames") != [machine.role]:
        return f"{request.label}: dnsNames must be {machine.role} alone"
    own = {other.address for other in machines(graph) if other.role == machine.role}
    if machine.address not in request.words("ipAddresses") or set(request.words("ipAddresses")) != own:
        return f"{request.label}: ipAddresses must be the addresses of all {machine.role} machines"
    return None


@define(
    "redundancy",
    "certificates-reach-one-role",
    Severity.HIGH,
    "Only the machines of a role may read the key of the role's certificate",
    over=machines,
    promises=("RED-3",),
    controls=PEERS,
    remedy="restore READABLE_SECRETS (components/machine_access.py)",
)
def certificates_reach_one_role(graph: Graph, machine: Machine) -> str | None:
    """A gateway with a database machine's key could log in to every database as superuser.

    The policies contain the secrets' ARNs, which AWS assigns, so a first preview cannot judge this rule.
    """
    secret = _secret_of(graph, machine)
    profile = only(graph.targets(machine.instance, "iamInstanceProfile", PROFILE), machine, "iamInstanceProfile")
    own = only(graph.targets(profile, "role", ROLE), profile, "role")
    readers = {role for policy in readers_of(graph, secret) for role in graph.targets(policy, "role", ROLE)}
    if own not in readers:
        return f"{own.label} may not read {secret.label}"
    if others := sorted(role.name for role in readers - {own}):
        return f"{', '.join(others)} may also read {secret.label}"
    if opened := graph.referring(secret, SECRET_POLICY, "secretArn"):
        return f"{opened[0].label} gives others access to {secret.label}"
    return None


def _secret_of(graph: Graph, machine: Machine) -> Resource:
    name = assigned_secret(machine, "certificate")
    return only([one for one in graph.of(SECRET) if one.text("name") == name], machine, f"the secret {name}")


@define(
    "redundancy",
    "renewed-certificates-are-applied",
    Severity.HIGH,
    "Machines fetch their secrets at least daily, and apply those that have changed",
    over=machines,
    promises=("RED-2",),
    controls=KEYS,
    remedy="restore backbuild-secrets-refresh.timer and its service (machines/templates/common)",
)
def renewed_are_applied(_: Graph, machine: Machine) -> str | None:
    """When a machine's old certificate expires, other machines reject its connections."""
    script = machine.file(FETCH).splitlines()
    for line in ("/usr/local/lib/backbuild/install-certificate", "    /usr/local/lib/backbuild/apply-secrets"):
        if line not in script:
            return f"{FETCH} has no line {line.strip()}"
    if not stops_at_errors(lines_of(machine.file(FETCH)) or ()):
        return f"{FETCH} does not stop at the first error (set -eu)"
    timer = f"{REFRESH}.timer"
    return (
        steered(machine) or late(machine, timer, REFRESH_SECONDS) or starts(machine, timer, f"{REFRESH}.service", FETCH)
    )
