"""Provider functions: the public part of a private key, and the contents of a certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.clouds.facts import Function
from sandbox.clouds.tls import keys
from sandbox.clouds.tls.certificates import parse_certificate
from sandbox.provider import ProviderError
from sandbox.values import Properties


def get_public_key(arguments: Properties, settings: Mapping[str, str]) -> Properties:
    """Return the public key of a private key in PEM or OpenSSH format."""
    del settings
    pem, openssh = arguments.get("privateKeyPem"), arguments.get("privateKeyOpenssh")
    if (pem is None) == (openssh is None):
        raise ProviderError("getPublicKey: give exactly one of privateKeyPem and privateKeyOpenssh")
    key = keys.parse_openssh(str(openssh)) if pem is None else keys.parse_pem(str(pem))
    if key is None:
        given = "privateKeyOpenssh" if pem is None else "privateKeyPem"
        raise ProviderError(f"getPublicKey: {given}: is not an unencrypted RSA, ECDSA or ED25519 key in that format")
    id, public = keys.describe(key.public_key())
    return {**arguments, "id": id, "algorithm": keys.algorithm_of(key), **public}


def get_certificate(arguments: Properties, settings: Mapping[str, str]) -> Properties:
    """Return the contents of a certificate in PEM format. The certificates of servers are not simulated."""
    del settings
    content = arguments.get("content")
    if arguments.get("url") is not None or not isinstance(content, str):
        raise ProviderError("getCertificate: only certificates in content are simulated; give content, not url")
    certificate = parse_certificate(content)
    if certificate is None:
        raise ProviderError("getCertificate: content: cannot be parsed; give a certificate in PEM format")
    described = _described(certificate)
    return {**arguments, "id": keys.sha1_id(str(described).encode()), "certificates": [described]}


def _described(certificate: x509.Certificate) -> Properties:
    constraints = _constraints(certificate)
    return {
        "certPem": certificate.public_bytes(Encoding.PEM).decode(),
        "isCa": constraints.ca,
        "issuer": certificate.issuer.rfc4514_string(),
        "maxPathLength": -1 if constraints.path_length is None else constraints.path_length,
        "notAfter": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "notBefore": certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "publicKeyAlgorithm": _public_key_algorithm(certificate),
        "serialNumber": str(certificate.serial_number),
        "sha1Fingerprint": hashlib.sha1(certificate.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest(),
        "signatureAlgorithm": _signature_algorithm(certificate),
        "subject": certificate.subject.rfc4514_string(),
        "version": certificate.version.value + 1,
    }


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return x509.BasicConstraints(ca=False, path_length=None)


def _public_key_algorithm(certificate: x509.Certificate) -> str:
    """Return Go's name of the public key's algorithm."""
    match certificate.public_key():
        case rsa.RSAPublicKey():
            return "RSA"
        case ec.EllipticCurvePublicKey():
            return "ECDSA"
        case _:
            return "Ed25519"


def _signature_algorithm(certificate: x509.Certificate) -> str:
    """Return Go's name of the signature algorithm: SHA256-RSA, ECDSA-SHA384, Ed25519."""
    hash = certificate.signature_hash_algorithm
    if hash is None:
        return "Ed25519"
    by_rsa = certificate.signature_algorithm_oid.dotted_string.startswith("1.2.840.113549.1.1.")
    return f"{hash.name.upper()}-RSA" if by_rsa else f"ECDSA-{hash.name.upper()}"


FUNCTIONS: Final[dict[str, Function]] = {
    "tls:index/getPublicKey:getPublicKey": get_public_key,
    "tls:index/getCertificate:getCertificate": get_certificate,
}
