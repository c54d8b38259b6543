"""Tokens with which operators call Cloudflare Workers. A Worker knows only a token's digest."""

from __future__ import annotations

import base64
import hashlib

import pulumi_random as random
from pulumi import Output, ResourceOptions

TOKEN_LENGTH = 40  # of 62 letters and digits: 238 bits, so that an unsalted SHA-256 is safe


def generated(name: str, opts: ResourceOptions) -> Output[str]:
    """Return a random token, generated once and kept in the stack's state; secret."""
    return random.RandomPassword(name, length=TOKEN_LENGTH, special=False, opts=opts).result


def signing_secret(name: str, opts: ResourceOptions) -> Output[str]:
    """A new secret that webhooks are signed with, as the Standard Webhooks specification writes it; secret."""
    return generated(name, opts).apply(lambda token: f"whsec_{base64.b64encode(token.encode()).decode()}")


def digest(token: str) -> str:
    """Return the token's SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()
