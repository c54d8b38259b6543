"""The contents of certificates and requests that inputs name: subjects, alternative names and allowed uses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from sandbox.clouds import rules
from sandbox.clouds.facts import EvaluationContext, Rule
from sandbox.provider import CheckFailure
from sandbox.values import Properties, holds_unknown

# The parts of a subject, in the order in which Go's crypto/x509 encodes them.
_PARTS: Final = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "streetAddresses": NameOID.STREET_ADDRESS,
    "postalCode": NameOID.POSTAL_CODE,
    "commonName": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
# The argument of `x509.KeyUsage` for each allowed use.
_KEY_USAGES: Final = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
    "encipher_only": "encipher_only",
    "decipher_only": "decipher_only",
}
_EXTENDED_KEY_USAGES: Final = {
    "any_extended": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec_end_system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec_tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec_user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft_server_gated_crypto": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape_server_gated_crypto": ObjectIdentifier("2.16.840.1.113730.4.1"),
    "microsoft_commercial_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.2.1.22"),
    "microsoft_kernel_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.61.1.1"),
}
USES: Final = tuple(sorted({**_KEY_USAGES, **_EXTENDED_KEY_USAGES}))


def _part(oid: ObjectIdentifier) -> Rule:
    """Accept a part of a subject that X.509 can express; an empty one counts as absent."""

    def rule(value: str) -> str | None:
        try:
            if value:
                _attribute(oid, value)
        except ValueError as error:
            return f"{value!r} is not valid in a certificate: {error}"
        return None

    return rule


def _ip_address(value: str) -> str | None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return f"{value!r} is not an IP address such as 10.0.0.4 or 2001:db8::4"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return f"{value!r} has a zone, which a certificate cannot contain; give the address only"
    return None


RULES: Final[dict[str, Rule]] = {
    **{f"subject.{part}{'[]' if part.endswith('es') else ''}": _part(oid) for part, oid in _PARTS.items()},
    "subject.country": rules.text(r"([A-Za-z]{2})?", "a country code of two letters, such as DE"),
    "dnsNames[]": rules.text(r"[!-~]+", "a DNS name in ASCII, such as db.example.com (or xn--… for other letters)"),
    "ipAddresses[]": _ip_address,
    "uris[]": rules.text(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", "a URI with a scheme, such as spiffe://example.com/db"),
}


def valid_combination_of_uses(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that `encipher_only` and `decipher_only` are used only with `key_agreement`, as RFC 5280 defines."""
    uses = inputs.get("allowedUses")
    if not isinstance(uses, list) or holds_unknown(uses):
        return
    for only in ("encipher_only", "decipher_only"):
        if only in uses and "key_agreement" not in uses:
            yield CheckFailure("allowedUses", f"{only} has a meaning only with key_agreement; add that")


def subject(context: EvaluationContext) -> x509.Name:
    """Return the distinguished name in the input `subject`; without parts if it is absent."""
    given: Properties = context.get("subject") or {}
    parts: list[x509.RelativeDistinguishedName] = []
    for part, oid in _PARTS.items():
        value = given.get(part)
        values = dict.fromkeys(str(each) for each in (value if isinstance(value, list) else [value]) if each)
        if values:
            parts.append(x509.RelativeDistinguishedName(_attribute(oid, each) for each in values))
    return x509.Name(parts)


def is_empty(inputs: Properties) -> bool:
    """Whether the input `subject` has no parts."""
    given = inputs.get("subject")
    return given is None or (isinstance(given, dict) and not any(given.values()))


def alternative_names(context: EvaluationContext) -> list[x509.GeneralName]:
    """Return the DNS names, IP addresses and URIs in the inputs."""
    return [
        *(x509.DNSName(name) for name in context.get("dnsNames") or ()),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in context.get("ipAddresses") or ()),
        *(x509.UniformResourceIdentifier(uri) for uri in context.get("uris") or ()),
    ]


def key_usage(uses: list[str]) -> x509.KeyUsage | None:
    """Return the key usage extension for the allowed uses, or None if they contain none of its bits."""
    bits = {argument: use in uses for use, argument in _KEY_USAGES.items()}
    return x509.KeyUsage(**bits) if any(bits.values()) else None


def extended_key_usage(uses: list[str]) -> x509.ExtendedKeyUsage | None:
    """Return the extended key usage extension for the allowed uses, or None if they contain none of its purposes."""
    purposes = [_EXTENDED_KEY_USAGES[use] for use in dict.fromkeys(uses) if use in _EXTENDED_KEY_USAGES]
    return x509.ExtendedKeyUsage(purposes) if purposes else None


def _attribute(oid: ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, value)
