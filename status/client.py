"""The admin API, called as an operator: `Client(url, token).post("incidents", {...})`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from console.callers import address_from, token_from
from console.errors import CommandError, InputError

PATIENCE_SECONDS = 15.0
UNAUTHORIZED, UNUSABLE = 401, 422

_JSON = TypeAdapter(dict[str, Any])


class Client:
    """Calls one status page for one operator; the token goes nowhere but into the header."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url}/admin/", headers={"authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS
        )

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read something."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Do something, once; fields that are None are left out."""
        return self._call("POST", path, json={name: value for name, value in body.items() if value is not None})

    def delete(self, path: str) -> dict[str, Any]:
        """Remove something, once."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        request = self._http.build_request(method, path, **options)
        if method != "GET":
            # By it the page knows the second call when the first one's answer was lost.
            request.headers["idempotency-key"] = str(uuid.uuid4())
        response = self._try(request)
        if response is None or response.is_server_error:
            response = self._try(request)
        if response is None:
            raise CommandError(f"{self.url} does not answer; {_unsure(method)}")
        return self._answer(method, response)

    def _try(self, request: httpx.Request) -> httpx.Response | None:
        """The answer, or None when it was lost."""
        try:
            return self._http.send(request)
        except httpx.TransportError:
            return None

    def _answer(self, method: str, response: httpx.Response) -> dict[str, Any]:
        code = response.status_code
        try:
            answer = _JSON.validate_json(response.content)
        except ValidationError:
            remedy = "remedy: check that --url or STATUS_URL is the status page's"
            raise CommandError(
                f"{self.url} answers {code} and no JSON; {_unsure(method) if response.is_server_error else remedy}"
            ) from None
        if response.is_success:
            return answer
        if code == UNAUTHORIZED:
            raise CommandError(
                f"{self.url} does not know the token in STATUS_TOKEN; remedy: take it from "
                "`pulumi stack output statusTokens --show-secrets`"
            )
        if code == UNUSABLE:
            problems = [f"{problem['field'] or 'the body'} {problem['problem']}" for problem in answer["problems"]]
            raise InputError("; ".join(problems))
        conflicts = "".join(f"\n  {one['id']}: {one['title']}" for one in answer.get("conflicts", []))
        unsure = f"; {_unsure(method)}" if response.is_server_error else ""
        raise CommandError(f"{self.url} answers {code}: {answer.get('error')}{unsure}{conflicts}")


def client_of(url: str | None) -> Client:
    """The client that the environment describes; raises `InputError` naming what is missing."""
    given = url or os.environ.get("STATUS_URL", "")
    if not given:
        raise InputError("which status page? Give --url or set STATUS_URL, such as https://status.example.com")
    address = address_from(given)
    remedy = "export yours, from `pulumi stack output statusTokens --show-secrets`"
    return Client(address, token_from("STATUS_TOKEN", remedy))


def _unsure(method: str) -> str:
    return (
        "remedy: try again later"
        if method == "GET"
        else "it may have been done or not; remedy: look with `list` or `audit` before you repeat it"
    )
