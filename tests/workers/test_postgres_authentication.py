"""Tests of SCRAM-SHA-256 (RFC 5802): the client accepts only a server that proves that it knows the password."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import TIMEOUT_SECONDS

# The nonce that scram_server.mjs sends: 24 characters of the client's nonce, then the server's own.
SERVER_FIRST = len("r=" + "n" * 24 + "mine,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096")
SERVER_FINAL = len("v=") + 44


@pytest.fixture(scope="module", autouse=True)
def _tools(host: object) -> None:
    """Start the host, which checks that Node.js is installed."""


def outcomes(cases: list[dict[str, Any]]) -> list[str]:
    """Return the result of connecting in each case of scram_server.mjs: `open`, or the error's name."""
    command = ["node", str(Path(__file__).with_name("scram_server.mjs"))]
    done = subprocess.run(
        command, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS
    )
    return json.loads(done.stdout)


def test_connects_to_a_server_with_the_password() -> None:
    assert outcomes([{}, {"iterations": 1}, {"iterations": 100_000}]) == ["open"] * 3


def test_server_rejects_a_wrong_password() -> None:
    assert outcomes([{"password": "other"}]) == ["PostgresError"]


@pytest.mark.parametrize(
    "case",
    [
        {"without": ["final"]},
        {"nonce": "another-nonce"},
        {"nonce": "", "own": ""},
        {"own": ""},
        {"iterations": 100_001},
        {"iterations": 1_000_000_000},
    ],
    ids=[
        "no proof",
        "another nonce",
        "no nonce",
        "no nonce of the server",
        "too many iterations",
        "a billion iterations",
    ],
)
def test_server_that_violates_the_protocol_is_rejected(case: dict[str, Any]) -> None:
    assert outcomes([case]) == ["ProtocolError"]


@pytest.mark.parametrize(("message", "length"), [("first", SERVER_FIRST), ("final", SERVER_FINAL)])
def test_any_changed_byte_of_the_servers_messages_is_rejected(message: str, length: int) -> None:
    cases = [{message: {"at": at, "flip": bits}} for at in range(length) for bits in (1, 2, 32)]
    assert "open" not in outcomes(cases)
