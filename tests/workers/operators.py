"""Calls of the status page's admin API."""

import json
import uuid
from typing import Any

from harness.status import Status, at
from harness.status_world import TOKEN

BEARER = {"authorization": f"Bearer {TOKEN}"}
INCIDENT = {"title": "Slow logins", "impact": "minor", "components": ["database"], "body": "We are looking."}
UPDATE = {"status": "identified", "body": "Found it."}
HOUR = 60
PLAN = {
    "title": "Upgrade",
    "body": "Ten minutes of read-only.",
    "components": ["database", "edge"],
    "startsAt": at(72 * HOUR),
    "endsAt": at(74 * HOUR),
}
EMAIL = {"name": "Ann", "channel": "email", "address": "ann@customer.example"}
WEBHOOK = {"name": "Bot", "channel": "webhook", "address": "https://hook.example/in?token=of-the-customer"}


def request(
    method: str, path: str, body: Any = None, *, key: str | None = None, minute: float = 0, **headers: str
) -> dict[str, Any]:
    """Return a request for the host; `headers` replace the usual ones (with `-` for `_`)."""
    sent = {**BEARER, **({} if body is None else {"content-type": "application/json"})}
    sent |= {} if key is None else {"idempotency-key": key}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    return {
        "path": f"/admin/{path}",
        "method": method,
        "headers": sent,
        "instruction": {"clock": at(minute)},
        **({} if text is None else {"body": text}),
    }


def ask(status: Status, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    answer = status.host.fetch(**request(method, path, body, **options))
    assert answer["headers"]["content-type"] == "application/json; charset=utf-8"
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["status"], json.loads(answer["body"])


def post(status: Status, path: str, body: Any, **options: Any) -> tuple[int, Any]:
    return ask(status, "POST", path, body, **options)


def made(status: Status, path: str, body: Any, **options: Any) -> Any:
    code, answer = post(status, path, body, **options)
    assert code == 201, answer
    return answer


def problems(status: Status, path: str, body: Any, **options: Any) -> dict[str, str]:
    code, answer = post(status, path, body, **options)
    assert code == 422, answer
    assert answer["error"] == "the input is invalid"
    assert len({problem["field"] for problem in answer["problems"]}) == len(answer["problems"])
    return {problem["field"]: problem["problem"] for problem in answer["problems"]}


def nothing_happened(status: Status) -> bool:
    tables = ("incidents", "maintenances", "updates", "contacts", "deliveries", "audit")
    return all(status.rows(f"SELECT COUNT(*) FROM {table}") == [(0,)] for table in tables)


def key() -> str:
    return str(uuid.uuid4())
