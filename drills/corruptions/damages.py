"""The ways to damage an object of a copy. Pure."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Where = Literal["stored", "manifest", "newest", "extra"]
"""Which objects: backup files and WAL, manifests that a restore reads, a newer manifest, or a copy of a backup file."""


@dataclass(frozen=True)
class Damage:
    """A way to damage an object."""

    name: str
    of: Where
    change: Callable[[random.Random, bytes, bytes], bytes | None]
    """Takes the object's bytes and those of another one of its kind. Returns the damaged bytes; None: it is removed."""
    harmless: bool = False
    """Whether a restore can still fetch all data."""


def flip(chance: random.Random, content: bytes, _: bytes) -> bytes:
    """Flip one bit."""
    position = chance.randrange(len(content))
    return content[:position] + bytes([content[position] ^ 1 << chance.randrange(8)]) + content[position + 1 :]


def truncate(chance: random.Random, content: bytes, _: bytes) -> bytes:
    """Cut the end off."""
    return content[: chance.randrange(len(content))]


def sign_again(_: random.Random, envelope: bytes, __: bytes) -> bytes:
    """Sign a manifest with a key that is not the platform's."""
    document: dict[str, Any] = json.loads(envelope)
    payload, kind = base64.b64decode(document["payload"]), document["payloadType"]
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    signature = Ed25519PrivateKey.generate().sign(signed)
    document["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return json.dumps(document).encode()


def exchange(_: random.Random, __: bytes, other: bytes) -> bytes:
    """Put another object's bytes in its place."""
    return other


def keep(_: random.Random, content: bytes, __: bytes) -> bytes:
    """Change nothing."""
    return content


def nothing(_: random.Random, __: bytes, ___: bytes) -> None:
    """Remove it."""
    return


DAMAGES = (
    Damage("one flipped bit", "stored", flip),
    Damage("truncated", "stored", truncate),
    Damage("missing", "stored", nothing),
    Damage("manifest with a flipped bit", "manifest", flip),
    Damage("manifest signed with another key", "manifest", sign_again),
    Damage("manifest missing", "manifest", nothing),
    Damage("stale manifest", "manifest", exchange),
    # The WAL that it lists is still there, so a restore reaches the same point from the run before.
    Damage("newest manifest missing", "newest", nothing, harmless=True),
    Damage("extra object", "extra", keep, harmless=True),
)
