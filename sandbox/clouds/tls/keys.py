"""Private keys: their algorithms, their parser, and the formats in which the provider returns them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from sandbox.clouds.facts import EvaluationContext
from sandbox.values import Properties

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

ALGORITHMS: Final = ("RSA", "ECDSA", "ED25519")
CURVES: Final = {"P224": ec.SECP224R1(), "P256": ec.SECP256R1(), "P384": ec.SECP384R1(), "P521": ec.SECP521R1()}
DEFAULT_CURVE: Final = "P224"
DEFAULT_RSA_BITS: Final = 2048
# Go's crypto/x509 chooses the hash by the size of the curve; SHA-256 for all others.
_HASHES: Final = {"secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}


def new_key(context: EvaluationContext) -> tuple[str, Properties]:
    """Return the id and the outputs of a new private key."""
    key = _generate(context)
    pkcs8 = _private(key, PrivateFormat.PKCS8)
    id, public = describe(key.public_key())
    return id, {
        "privateKeyPem": pkcs8 if algorithm_of(key) == "ED25519" else _private(key, PrivateFormat.TraditionalOpenSSL),
        "privateKeyPemPkcs8": pkcs8,
        "privateKeyOpenssh": _private(key, PrivateFormat.OpenSSH) if _in_openssh(key.public_key()) else "",
        **public,
    }


def describe(key: PublicKey) -> tuple[str, Properties]:
    """Return the id and the public outputs of a key. The OpenSSH ones are empty for the curve P224."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ssh = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) if _in_openssh(key) else b""
    blob = base64.b64decode(ssh.split(b" ")[1]) if ssh else b""
    return sha1_id(der), {
        "publicKeyPem": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "publicKeyOpenssh": f"{ssh.decode()}\n" if ssh else "",
        "publicKeyFingerprintMd5": hashlib.md5(blob, usedforsecurity=False).digest().hex(":") if ssh else "",
        "publicKeyFingerprintSha256": f"SHA256:{_unpadded(hashlib.sha256(blob).digest())}" if ssh else "",
    }


def algorithm_of(key: PrivateKey) -> str:
    """Return the provider's name of a key's algorithm."""
    match key:
        case rsa.RSAPrivateKey():
            return "RSA"
        case ec.EllipticCurvePrivateKey():
            return "ECDSA"
        case _:
            return "ED25519"


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Return the hash of the signatures that a key makes; None for ED25519, which defines its own hash."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return _HASHES.get(key.curve.name, hashes.SHA256())
        case rsa.RSAPrivateKey():
            return hashes.SHA256()
        case _:
            return None


def parse_pem(text: str) -> PrivateKey | None:
    """Return a private key in PKCS#1, SEC 1 or PKCS#8 format; None if it is invalid or of another kind."""
    # The real provider rejects OpenSSH's format here, but load_pem_private_key accepts it.
    return None if "OPENSSH" in text else _supported(text, load_pem_private_key)


def parse_openssh(text: str) -> PrivateKey | None:
    """Return a private key in OpenSSH's format; None if it is invalid or of another kind."""
    return _supported(text, load_ssh_private_key)


def private_key(value: str) -> str | None:
    """Accept a private key that `parse_pem` can parse."""
    if parse_pem(value) is not None:
        return None
    return (
        "is not a usable private key; give an unencrypted RSA, ECDSA (P224, P256, P384, P521) or ED25519 key "
        "in PEM format, such as the privateKeyPem of a PrivateKey"
    )


def is_supported(key: object) -> bool:
    """Whether a public key has an algorithm, and a curve, that the provider can handle."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return any(key.curve.name == curve.name for curve in CURVES.values())
    return isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey)


def sha1_id(der: bytes) -> str:
    """Return the id that the provider derives from a key or a request."""
    return hashlib.sha1(der.strip(), usedforsecurity=False).hexdigest()


def _generate(context: EvaluationContext) -> PrivateKey:
    match context["algorithm"]:
        case "RSA":
            return rsa.generate_private_key(public_exponent=65537, key_size=context.get("rsaBits") or DEFAULT_RSA_BITS)
        case "ECDSA":
            return ec.generate_private_key(CURVES[context.get("ecdsaCurve") or DEFAULT_CURVE])
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def _supported(text: str, load: Callable[[bytes, None], object]) -> PrivateKey | None:
    try:
        key = load(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key is encrypted
        return None
    if isinstance(key, PrivateKey) and is_supported(key.public_key()):
        return key
    return None


def _private(key: PrivateKey, format: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, format, NoEncryption()).decode()


def _in_openssh(key: PublicKey) -> bool:
    """Whether OpenSSH has a format for the key; it has none for the curve P224."""
    return not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == CURVES["P224"].name)


def _unpadded(digest: bytes) -> str:
    return base64.b64encode(digest).decode().rstrip("=")
