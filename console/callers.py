"""Tokens from the environment, and addresses that are safe to send them to."""

from __future__ import annotations

import os
from ipaddress import ip_address

import httpx

from console.errors import InputError


def address_from(given: str) -> str:
    """Return an address without the slash at its end; raise `InputError` if it is not safe to send a token there."""
    address = given.rstrip("/")
    if not _is_safe(address):
        raise InputError(
            f"{address} is not an https:// address without path, query or credentials; tokens are only sent to such "
            "addresses: correct it"
        )
    return address


def token_from(variable: str, remedy: str) -> str:
    """Return the token in an environment variable; raise an `InputError`, which does not show it, if it is invalid."""
    token = os.environ.get(variable, "").strip()
    if not token:
        raise InputError(f"{variable} is not set; remedy: {remedy}")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError(f"{variable} contains characters that are not valid in a token; remedy: copy it again")
    return token


def _is_safe(address: str) -> bool:
    """Whether a token may be sent to an address: it uses https, or is a loopback address."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    plain = url.path == "/" and not url.userinfo and not url.query and not url.fragment
    return plain and url.host != "" and (url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
