"""A client of the status page's admin API: `Client(url, token).post("incidents", {...})`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from console.callers import address_from, token_from
from console.errors import CommandError, InputError

TIMEOUT_SECONDS = 15.0
UNAUTHORIZED, UNUSABLE = 401, 422

_JSON = TypeAdapter(dict[str, Any])


class Client:
    """Calls the admin API of one status page as one operator. The token is only sent in the header."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url}/admin/", headers={"authorization": f"Bearer {token}"}, timeout=TIMEOUT_SECONDS
        )

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Send a GET request."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Send a POST request, idempotently. Fields that are None are omitted."""
        return self._call("POST", path, json={name: value for name, value in body.items() if value is not None})

    def delete(self, path: str) -> dict[str, Any]:
        """Send a DELETE request, idempotently."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        request = self._http.build_request(method, path, **options)
        if method != "GET":
            # With this key the page recognises a retry after a lost response.
            request.headers["idempotency-key"] = str(uuid.uuid4())
        response = self._try(request)
        if response is None or response.is_server_error:
            response = self._try(request)
        if response is None:
            raise CommandError(f"{self.url} does not answer; {_retry_advice(method)}")
        return self._answer(method, response)

    def _try(self, request: httpx.Request) -> httpx.Response | None:
        """Send the request; return None if the connection fails."""
        try:
            return self._http.send(request)
        except httpx.TransportError:
            return None

    def _answer(self, method: str, response: httpx.Response) -> dict[str, Any]:
        code = response.status_code
        try:
            answer = _JSON.validate_json(response.content)
        except ValidationError:
            wrong_url = "remedy: check that --url or STATUS_URL is the status page's"
            remedy = _retry_advice(method) if response.is_server_error else wrong_url
            raise CommandError(f"{self.url} answers {code} without JSON; {remedy}") from None
        if response.is_success:
            return answer
        if code == UNAUTHORIZED:
            raise CommandError(
                f"{self.url} rejects the token in STATUS_TOKEN; remedy: take it from "
                "`pulumi stack output statusTokens --show-secrets`"
            )
        if code == UNUSABLE:
            problems = [f"{problem['field'] or 'the body'} {problem['problem']}" for problem in answer["problems"]]
            raise InputError("; ".join(problems))
        conflicts = "".join(f"\n  {one['id']}: {one['title']}" for one in answer.get("conflicts", []))
        unsure = f"; {_retry_advice(method)}" if response.is_server_error else ""
        raise CommandError(f"{self.url} answers {code}: {answer.get('error')}{unsure}{conflicts}")


def client_of(url: str | None) -> Client:
    """Return a client for `url`, or for STATUS_URL; raise `InputError` if a variable is missing."""
    given = url or os.environ.get("STATUS_URL", "")
    if not given:
        raise InputError(
            "the status page's address is missing; set --url or STATUS_URL, such as https://status.example.com"
        )
    address = address_from(given)
    remedy = "export yours, from `pulumi stack output statusTokens --show-secrets`"
    return Client(address, token_from("STATUS_TOKEN", remedy))


def _retry_advice(method: str) -> str:
    return (
        "remedy: try again later"
        if method == "GET"
        else "the request may have been carried out; remedy: check with `list` or `audit` before you repeat it"
    )
