"""The report, asked for once: the token goes to the one address and nowhere else."""

from __future__ import annotations

import ssl

import httpx

from console.errors import CommandError
from console.tables import cell

PATIENCE_SECONDS = 30.0  # the Worker gives up after 10
LARGEST_BYTES = 64 * 1024 * 1024  # 65 groups with all that a rotation keeps are a quarter of it
OK, UNAUTHORIZED, UNAVAILABLE = 200, 401, 503


def read(url: str, token: str) -> str:
    """What `GET /report.json` answers; raises `CommandError` naming why there is nothing, and the remedy."""
    try:
        with (
            httpx.Client(timeout=PATIENCE_SECONDS) as http,
            http.stream("GET", f"{url}/report.json", headers={"authorization": f"Bearer {token}"}) as response,
        ):
            _check(url, response)
            return _whole(url, response)
    except httpx.TransportError as error:
        raise CommandError(_lost(url, error)) from None


def _check(url: str, response: httpx.Response) -> None:
    code = response.status_code
    if code == UNAUTHORIZED:
        raise CommandError(
            f"{url} does not know the token in BACKUPS_TOKEN; remedy: take it from "
            "`pulumi stack output backupsToken --show-secrets`"
        )
    if response.is_redirect:
        place = cell(response.headers.get("location", ""))
        raise CommandError(
            f"{url} sends the caller on, to {place}, where no token of ours is to go; "
            "remedy: check --url, and what answers there"
        )
    if code == UNAVAILABLE:
        raise CommandError(f"{url} answers 503: the catalogue does not answer; remedy: try again later")
    if code != OK:
        raise CommandError(f"{url} answers {code}; remedy: check that --url is the backup report's, without a path")


def _whole(url: str, response: httpx.Response) -> str:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > LARGEST_BYTES:
            raise CommandError(f"{url} answers with more than {LARGEST_BYTES} bytes; remedy: see what answers there")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise CommandError(f"{url} answers with what is no UTF-8; remedy: see what answers there") from None


def _lost(url: str, error: httpx.TransportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"{url} shows a certificate that is not believed ({cause.verify_message}); the token was not sent; "
                "remedy: check the address, and that the domain's zone is active"
            )
        cause = cause.__cause__ or cause.__context__
    return f"{url} does not answer ({type(error).__name__}); remedy: check the address, or try again later"
