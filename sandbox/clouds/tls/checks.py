"""Rules for the inputs of certificates. The real provider reports most of these errors only during the creation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sandbox.clouds.tls import keys, names
from sandbox.clouds.tls.certificates import parse_certificate, parse_request
from sandbox.provider import CheckFailure
from sandbox.values import Properties


def certificate(value: str) -> str | None:
    """Accept a certificate that `parse_certificate` can parse."""
    if parse_certificate(value) is not None:
        return None
    return "is not a certificate in PEM format; give one such as the certPem of a SelfSignedCert"


def request(value: str) -> str | None:
    """Accept a certificate request that `parse_request` can parse."""
    if parse_request(value) is not None:
        return None
    return "is not a certificate request in PEM format; give one such as the certRequestPem of a CertRequest"


def key_given(name: str) -> Callable[[Properties], Iterator[CheckFailure]]:
    """Check that a private key is given. The real provider also accepts it in a write-only input."""

    def rule(inputs: Properties) -> Iterator[CheckFailure]:
        if inputs.get(f"{name}Wo") is not None:
            yield CheckFailure(f"{name}Wo", f"write-only inputs are not simulated; give {name}")
        elif inputs.get(name) is None:
            yield CheckFailure(name, "is required and missing; give a private key in PEM format")

    return rule


def key_of_authority(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that the CA's private key matches its certificate."""
    certificate, key = inputs.get("caCertPem"), inputs.get("caPrivateKeyPem")
    if not isinstance(certificate, str) or not isinstance(key, str):
        return
    parsed, private = parse_certificate(certificate), keys.parse_pem(key)
    if parsed is not None and private is not None and parsed.public_key() != private.public_key():
        yield CheckFailure(
            "caPrivateKeyPem", "is not the key of the certificate in caCertPem; give the key it was made with"
        )


def path_length_of_authority(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that only a CA has a maximum path length, as Go's crypto/x509 does."""
    limit = inputs.get("maxPathLength")
    if isinstance(limit, int) and limit > 0 and not inputs.get("isCaCertificate"):
        yield CheckFailure("maxPathLength", f"{limit} is allowed for a CA only; set isCaCertificate, or remove it")


def key_identifier_for_itself(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that a self-signed certificate that refers to its own key identifier contains it."""
    if inputs.get("setAuthorityKeyId") is True and not (inputs.get("isCaCertificate") or inputs.get("setSubjectKeyId")):
        yield CheckFailure("setAuthorityKeyId", "needs a subject key identifier; set setSubjectKeyId too")


def subject_of_authority(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that a self-signed CA has a subject."""
    if inputs.get("isCaCertificate") is True and names.is_empty(inputs):
        yield CheckFailure("subject", "a CA needs at least one part of a subject; give commonName")


def subject_of_requested_authority(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that the certificate request for a CA has a subject."""
    text = inputs.get("certRequestPem")
    request = parse_request(text) if isinstance(text, str) and inputs.get("isCaCertificate") is True else None
    if request is not None and not request.subject.rdns:
        yield CheckFailure(
            "certRequestPem", "a CA needs at least one part of a subject; give commonName in the request"
        )
