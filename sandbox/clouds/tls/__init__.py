"""Simulated TLS provider: it makes real keys, certificate requests and certificates.

As with the real provider, a certificate is replaced at the first plan after its early renewal begins.
"""

from __future__ import annotations

from typing import Final

from sandbox.clouds import rules
from sandbox.clouds.facts import Facts, Package, Renewal, Rule
from sandbox.clouds.tls import certificates, checks, functions, keys, names
from sandbox.values import Properties

# The real provider stores periods as 64-bit nanoseconds. More hours would overflow.
_MAX_HOURS: Final = 2_562_047

# Every change forces a replacement, except that of a certificate's `earlyRenewalHours`.
_REPLACES_OWNER: Final = ("subject", "dnsNames", "ipAddresses", "uris", "privateKeyPem")
_REPLACES_CERTIFICATE: Final = (
    "allowedUses",
    "isCaCertificate",
    "maxPathLength",
    "setSubjectKeyId",
    "validityPeriodHours",
)
_CERTIFICATE_RULES: Final[dict[str, Rule]] = {
    "allowedUses[]": rules.one_of(*names.USES),
    "earlyRenewalHours": rules.between(0, _MAX_HOURS, "hours"),
    "maxPathLength": rules.at_least(-1),
    "validityPeriodHours": rules.between(0, _MAX_HOURS, "hours"),
}
_CERTIFICATE_DEFAULTS: Final = {
    "earlyRenewalHours": 0,
    "isCaCertificate": False,
    "setSubjectKeyId": False,
    "readyForRenewal": certificates.is_due_from_the_start,
}
_RENEWAL: Final = Renewal("readyForRenewal", certificates.is_due)

TYPES: Final = {
    "tls:index/privateKey:PrivateKey": Facts(
        generated=keys.new_key,
        sensitive=("privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"),
        defaults={"ecdsaCurve": keys.DEFAULT_CURVE, "rsaBits": keys.DEFAULT_RSA_BITS},
        replaces=("*",),
        rules={
            "algorithm": rules.one_of(*keys.ALGORITHMS),
            "ecdsaCurve": rules.one_of(*keys.CURVES),
            # Go rejects shorter keys, OpenSSL longer ones.
            "rsaBits": rules.between(1024, 16384, "bits"),
        },
    ),
    "tls:index/certRequest:CertRequest": Facts(
        generated=certificates.new_request,
        # The id is a hash of the request, so equal requests can have equal ids. The scope distinguishes their objects.
        scope="{hex16}",
        sensitive=("privateKeyPem",),
        replaces=("*",),
        rules={**names.RULES, "privateKeyPem": keys.private_key},
        inputs_rules=(checks.key_given("privateKeyPem"),),
    ),
    "tls:index/selfSignedCert:SelfSignedCert": Facts(
        generated=certificates.new_self_signed,
        renewal=_RENEWAL,
        sensitive=("privateKeyPem",),
        computed={"maxPathLength": None},
        defaults={**_CERTIFICATE_DEFAULTS, "setAuthorityKeyId": False},
        replaces=(*_REPLACES_CERTIFICATE, *_REPLACES_OWNER, "setAuthorityKeyId"),
        rules={**_CERTIFICATE_RULES, **names.RULES, "privateKeyPem": keys.private_key},
        inputs_rules=(
            checks.key_given("privateKeyPem"),
            checks.key_identifier_for_itself,
            checks.path_length_of_authority,
            checks.subject_of_authority,
            names.valid_combination_of_uses,
        ),
    ),
    "tls:index/locallySignedCert:LocallySignedCert": Facts(
        generated=certificates.new_locally_signed,
        renewal=_RENEWAL,
        sensitive=("caPrivateKeyPem",),
        computed={"maxPathLength": None},
        defaults=_CERTIFICATE_DEFAULTS,
        replaces=(*_REPLACES_CERTIFICATE, "caCertPem", "caPrivateKeyPem", "certRequestPem"),
        rules={
            **_CERTIFICATE_RULES,
            "caCertPem": checks.certificate,
            "caPrivateKeyPem": keys.private_key,
            "certRequestPem": checks.request,
        },
        inputs_rules=(
            checks.key_given("caPrivateKeyPem"),
            checks.key_of_authority,
            checks.path_length_of_authority,
            checks.subject_of_requested_authority,
            names.valid_combination_of_uses,
        ),
    ),
}


def _settings(_: Properties) -> dict[str, str]:
    return {"region": "", "account": ""}


PACKAGE = Package(name="tls", types=TYPES, functions=functions.FUNCTIONS, settings=_settings)
