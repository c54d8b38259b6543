"""Fetch the report of the backup Workers (Cloudflare Workers). The token is sent to the given address only."""

from __future__ import annotations

import ssl

import httpx

from console.errors import CommandError
from console.tables import cell

TIMEOUT_SECONDS = 30.0  # the report Worker itself times out after 10
MAXIMUM_BYTES = 64 * 1024 * 1024  # four times the report of 65 groups with every run that the rotation keeps
OK, UNAUTHORIZED, UNAVAILABLE = 200, 401, 503


def read(url: str, token: str) -> str:
    """Return the body of `GET /report.json`. Raises `CommandError` with the reason and the remedy if it fails."""
    try:
        with (
            httpx.Client(timeout=TIMEOUT_SECONDS) as http,
            http.stream("GET", f"{url}/report.json", headers={"authorization": f"Bearer {token}"}) as response,
        ):
            _check(url, response)
            return _body(url, response)
    except httpx.TransportError as error:
        raise CommandError(_connection_error(url, error)) from None


def _check(url: str, response: httpx.Response) -> None:
    code = response.status_code
    if code == UNAUTHORIZED:
        raise CommandError(
            f"{url} rejects the token in BACKUPS_TOKEN; remedy: take it from "
            "`pulumi stack output backupsToken --show-secrets`"
        )
    if response.is_redirect:
        place = cell(response.headers.get("location", ""))
        raise CommandError(
            f"{url} redirects to {place}; the token is not sent there; "
            "remedy: check that --url is the address of the report Worker"
        )
    if code == UNAVAILABLE:
        raise CommandError(f"{url} answers 503: the catalogue (D1) is unavailable; remedy: try again later")
    if code != OK:
        raise CommandError(f"{url} answers {code}; remedy: check that --url is the backup report's, without a path")


def _body(url: str, response: httpx.Response) -> str:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAXIMUM_BYTES:
            raise CommandError(
                f"{url}: the response has more than {MAXIMUM_BYTES} bytes; "
                "remedy: check that --url is the address of the report Worker"
            )
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise CommandError(
            f"{url}: the response is not valid UTF-8; remedy: check that --url is the address of the report Worker"
        ) from None


def _connection_error(url: str, error: httpx.TransportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"{url}: the TLS certificate is not valid ({cause.verify_message}); the token was not sent; "
                "remedy: check the address, and that the domain's zone is active"
            )
        cause = cause.__cause__ or cause.__context__
    return f"{url} does not answer ({type(error).__name__}); remedy: check the address, or try again later"
