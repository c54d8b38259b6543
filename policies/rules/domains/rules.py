"""Redundancy: names, certificates and encryption at the edge, for each domain."""

from __future__ import annotations

from policies.controls import NAMES, TRANSPORT
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import Severity, define
from policies.views.edge import zones

SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
DNSSEC = "cloudflare:index/zoneDnssec:ZoneDnssec"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
CERTIFICATES = "cloudflare:index/certificatePack:CertificatePack"

# Cloudflare's name of a certificate authority to the domain that CAA records name it by.
ISSUER_OF = {"google": "pki.goog", "lets_encrypt": "letsencrypt.org", "ssl_com": "ssl.com"}
STRICT = {"strict", "origin_pull"}
SETTINGS = {"min_tls_version": {"1.2", "1.3"}, "tls_1_3": {"on", "zrt"}, "always_use_https": {"on"}, "ssl": STRICT}


@define(
    "redundancy",
    "tls-is-strict",
    Severity.HIGH,
    "Each domain accepts only TLS 1.2 or newer",
    over=zones,
    promises=("RED-5",),
    controls=TRANSPORT,
    remedy="restore the zone's settings (Domain in components/zone.py)",
)
def tls_is_strict(graph: Graph, zone: Resource) -> str | None:
    """An attacker can downgrade a connection to the weakest protocol that the domain accepts."""
    if zone.read("paused") is True:
        return "it is paused: requests bypass Cloudflare"
    settings = {one.text("settingId"): one for one in graph.referring(zone, SETTING, "zoneId")}
    for name, allowed in SETTINGS.items():
        value = settings[name].text("value") if name in settings else "not set"
        if value not in allowed:
            return f"{name} is {value}; {' or '.join(sorted(allowed))} is expected"
    return None


@define(
    "redundancy",
    "https-is-remembered",
    Severity.MEDIUM,
    "Browsers are told to use HTTPS only (HSTS)",
    over=zones,
    promises=("RED-5",),
    controls=TRANSPORT,
    remedy="restore the zone's security_header (Domain in components/zone.py)",
)
def https_is_remembered(graph: Graph, zone: Resource) -> str | None:
    """Without HSTS an attacker can redirect the first request of a visit, which is not encrypted, to another site."""
    headers = [one for one in graph.referring(zone, SETTING, "zoneId") if one.text("settingId") == "security_header"]
    if not headers:
        return "security_header is not set"
    place = "value.strict_transport_security"
    if not headers[0].flag(f"{place}.enabled"):
        return f"{place}.enabled is not true"
    age, least = headers[0].number(f"{place}.max_age") or 0, number("RED-5", "hsts_seconds")
    if age < least:
        return f"{place}.max_age is {age:g} s; {least:g} s at least are expected"
    return None if headers[0].flag(f"{place}.include_subdomains") else f"{place}.include_subdomains is not true"


@define(
    "redundancy",
    "names-are-signed",
    Severity.HIGH,
    "Each domain is signed with DNSSEC",
    over=zones,
    promises=("RED-5",),
    controls=NAMES,
    remedy="restore the zone's DNSSEC (Domain in components/zone.py)",
)
def names_are_signed(graph: Graph, zone: Resource) -> str | None:
    """Without DNSSEC, DNS responses for the domain can be forged."""
    signed = graph.referring(zone, DNSSEC, "zoneId")
    if not signed:
        return "it has no DNSSEC"
    status = signed[0].text("status")
    return None if status == "active" else f"DNSSEC is {status or 'not set'}; active is expected"


@define(
    "redundancy",
    "issuers-are-named",
    Severity.MEDIUM,
    "CAA records name the authorities that may issue certificates, and the address for reports of refused requests",
    over=zones,
    promises=("RED-5",),
    controls=NAMES,
    remedy="restore the zone's CAA records (Domain in components/zone.py)",
)
def issuers_are_named(graph: Graph, zone: Resource) -> str | None:
    """Without CAA records any authority may issue a certificate for the domain."""
    records: dict[str, set[str]] = {}
    for record in graph.referring(zone, RECORD, "zoneId"):
        if record.text("type") == "CAA" and record.text("name") in {zone.text("name"), "@"}:
            records.setdefault(record.text("data.tag"), set()).add(record.text("data.value"))
    for tag in ("issue", "issuewild", "iodef"):
        if not records.get(tag):
            return f"it has no CAA record with the tag {tag}"
    for pack in graph.referring(zone, CERTIFICATES, "zoneId"):
        issuer = ISSUER_OF.get(pack.text("certificateAuthority"), pack.text("certificateAuthority"))
        for tag in ("issue", "issuewild"):
            if issuer not in records[tag]:
                return f"its certificate is from {issuer}, which no CAA record with the tag {tag} allows"
    return None


@define(
    "redundancy",
    "certificates-cover-the-domain",
    Severity.HIGH,
    "A certificate that renews itself covers each domain and every name directly below it",
    over=zones,
    promises=("RED-5",),
    controls=NAMES,
    remedy="restore the zone's certificate pack (Domain in components/zone.py)",
)
def certificates_cover(graph: Graph, zone: Resource) -> str | None:
    """An expired or missing certificate is an outage."""
    domain = zone.text("name")
    covered = {host for pack in graph.referring(zone, CERTIFICATES, "zoneId") for host in pack.words("hosts")}
    missing = sorted({domain, f"*.{domain}"} - covered)
    return f"no certificate covers {', '.join(missing)}" if missing else None
