"""Who calls with a token, and where a token may go."""

from __future__ import annotations

import os
from ipaddress import ip_address

import httpx

from console.errors import InputError


def address_from(given: str) -> str:
    """An address that a token may be sent to, without a slash at its end; raises `InputError` for any other."""
    address = given.rstrip("/")
    if not _is_safe(address):
        raise InputError(
            f"{address} is not an https:// address without path or credentials, to which a token may be sent"
        )
    return address


def token_from(variable: str, remedy: str) -> str:
    """The token in an environment variable; raises `InputError` when there is none, and shows it nowhere."""
    token = os.environ.get(variable, "").strip()
    if not token:
        raise InputError(f"{variable} is not set; remedy: {remedy}")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError(f"{variable} holds characters that no token has; remedy: copy it again")
    return token


def _is_safe(address: str) -> bool:
    """Whether a token may go there: by https, or without leaving this machine."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    plain = url.path == "/" and not url.userinfo and not url.query and not url.fragment
    return plain and url.host != "" and (url.scheme == "https" or (url.scheme == "http" and _is_this_machine(url.host)))


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
