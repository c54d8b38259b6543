"""The key pair that signs backup manifests, derived from a generated password."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def public_key(password: str) -> str:
    """Return the Ed25519 public key, in base64, of the key pair whose seed is the password's SHA-256."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(password.encode()).digest())
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
