"""Tests of access to the admin API and of its rate limit, each with a Worker of its own."""

import hashlib
import http.client
import json
from urllib.parse import urlsplit

import pytest

from harness.status import Status
from harness.status_world import OPERATOR, TOKEN, World, start_status
from harness.waiting import TIMEOUT_SECONDS
from harness.workerd import Host

from .operators import BEARER, INCIDENT, key, made, post, request


def test_body_of_unknown_length_is_read_up_to_the_limit(host: Host) -> None:
    address = urlsplit(start_status(host, "127.0.0.1:1"))
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_SECONDS)
    for chunks, code in (([b" " * 4_096] * 16, 400), ([b" " * 4_096] * 16 + [b" "], 413)):
        headers = {**BEARER, "content-type": "application/json"}
        connection.request("POST", "/admin/incidents", iter(chunks), headers, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == code
        connection.close()


def test_body_that_is_not_utf8_is_rejected(host: Host) -> None:
    address = urlsplit(start_status(host, "127.0.0.1:1"))
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_SECONDS)
    body = json.dumps({**INCIDENT, "title": "caf?"}).encode().replace(b"?", b"\xe9")
    connection.request("POST", "/admin/incidents", body, {**BEARER, "content-type": "application/json"})
    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize(
    "operators",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        json.dumps({"ada": "short"}),
        json.dumps({"ada": None}),
        json.dumps({"ada": "g" * 64}),
    ],
)
def test_malformed_operators_grant_no_access(host: Host, operators: str) -> None:
    start_status(host, "127.0.0.1:1", OPERATORS=operators)
    answer = host.fetch("/admin/incidents", headers=BEARER)
    assert (answer["status"], json.loads(answer["body"])) == (500, {"error": "internal error"})


def test_each_operator_has_access_and_is_in_the_audit_log(host: Host) -> None:
    names = ["ada", "bob", "__proto__", "constructor", "zoe"]
    operators = {name: hashlib.sha256(f"token of {name}".replace(" ", "-").encode()).hexdigest() for name in names}
    start_status(host, "127.0.0.1:1", OPERATORS=json.dumps(operators))
    status = Status(host, World())
    for name in names:
        made(status, "incidents", INCIDENT, authorization=f"bearer token-of-{name}")
    assert [row for (row,) in status.rows("SELECT operator FROM audit ORDER BY id")] == names
    name = key()
    made(status, "incidents", INCIDENT, key=name, authorization="Bearer token-of-ada")
    code, answer = post(status, "incidents", INCIDENT, key=name, authorization="Bearer token-of-bob")
    assert (code, answer) == (409, {"error": "this idempotency-key was used for a different call; use a new UUID"})


def test_no_access_without_operators(host: Host) -> None:
    start_status(host, "127.0.0.1:1", OPERATORS="{}")
    assert host.fetch("/admin/incidents", headers=BEARER)["status"] == 401


def test_rate_limit_applies_per_address(host: Host) -> None:
    host.start(
        "status",
        bindings={"OPERATORS": json.dumps({OPERATOR: hashlib.sha256(TOKEN.encode()).hexdigest()})},
        d1Databases=["DB"],
        ratelimits={"ADMIN_LIMIT": {"simple": {"limit": 3, "period": 60}}},
    )

    def code(address: str, token: str) -> int:
        headers = {"authorization": f"Bearer {token}", "cf-connecting-ip": address}
        answer = host.fetch("/admin/incidents", headers=headers)
        assert answer["status"] != 429 or answer["headers"]["retry-after"] == "60"
        return answer["status"]

    assert [code("192.0.2.1", "guess") for _ in range(5)] == [401, 401, 401, 429, 429]
    assert code("192.0.2.1", TOKEN) == 429
    assert code("192.0.2.2", TOKEN) == 200


def test_database_failure_is_reported_without_details(status: Status) -> None:
    for method, body in (("GET", None), ("POST", INCIDENT)):
        sent = request(method, "incidents", body)
        sent["instruction"]["broken"] = ["DB"]
        answer = status.host.fetch(**sent)
        assert (answer["status"], json.loads(answer["body"])) == (500, {"error": "internal error"})
