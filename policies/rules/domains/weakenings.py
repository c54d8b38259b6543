"""Weakenings of domains: TLS settings, HSTS, DNSSEC, CAA records and certificates."""

from __future__ import annotations

from policies.mutation.operators import ABSENT, Absent, Operator, Where, chain, drop, drop_all, having, put
from policies.mutation.weakening import Weakenings
from policies.rules.domains.rules import CERTIFICATES, DNSSEC, RECORD, SETTING
from policies.views.edge import ZONE


def setting(name: str, value: str | Absent) -> Operator:
    """Set a zone's setting, or do not declare it."""
    where = having("settingId", name)
    return drop(SETTING, where) if value is ABSENT else put(SETTING, "value", value, where)


def hsts(key: str, value: int) -> Operator:
    """Set a part of the HSTS header."""
    return put(SETTING, f"value.strict_transport_security.{key}", value, having("settingId", "security_header"))


def without_caa(tag: str) -> Operator:
    """Remove all CAA records of a tag from a zone."""

    def of(prefix: str) -> Where:
        tagged = having("data.tag", tag)
        return lambda record: record.name.startswith(prefix) and tagged(record)

    return chain(*(drop_all(RECORD, of(prefix)) for prefix in ("zone-", "status-zone-")))


WEAKENINGS: Weakenings = {
    "tls-is-strict": {
        **{
            f"{name} is {'not set' if value is ABSENT else value}": setting(name, value)
            for name, value in (
                ("ssl", "flexible"),
                ("ssl", "full"),
                ("min_tls_version", "1.0"),
                ("min_tls_version", ABSENT),
                ("tls_1_3", "off"),
                ("always_use_https", "off"),
            )
        },
        "a zone is paused": put(ZONE, "paused", True),
    },
    "https-is-remembered": {
        "HSTS is not set": setting("security_header", ABSENT),
        "HSTS lasts a day": hsts("max_age", 86400),
        "HSTS is disabled": hsts("enabled", False),
        "HSTS excludes subdomains": hsts("include_subdomains", False),
    },
    "names-are-signed": {
        "DNSSEC is not declared": drop(DNSSEC),
        "DNSSEC is disabled": put(DNSSEC, "status", "disabled"),
    },
    "issuers-are-named": {
        **{f"there is no CAA record {tag}": without_caa(tag) for tag in ("issue", "issuewild", "iodef")},
        "the certificate's authority has no CAA record": put(CERTIFICATES, "certificateAuthority", "digicert"),
        "a CAA record is for another name": put(RECORD, "name", "x.example", having("data.tag", "iodef")),
    },
    "certificates-cover-the-domain": {
        "no certificate is declared": drop(CERTIFICATES),
        "the certificate covers the apex only": put(CERTIFICATES, "hosts", lambda hosts: hosts[:1]),
    },
}
