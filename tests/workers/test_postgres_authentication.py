"""The client authenticates by SCRAM-SHA-256 only before a server that proves to know the password (RFC 5802)."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import TIMEOUT_SECONDS

# What scram_server.mjs sends: 24 characters of the client's nonce, then the server's own.
SERVER_FIRST = len("r=" + "n" * 24 + "mine,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096")
SERVER_FINAL = len("v=") + 44


@pytest.fixture(scope="module", autouse=True)
def _tools(host: object) -> None:
    """Node.js is there when the host is."""


def outcomes(cases: list[dict[str, Any]]) -> list[str]:
    """How connecting ends in each case of scram_server.mjs: `open`, or the error's name."""
    command = ["node", str(Path(__file__).with_name("scram_server.mjs"))]
    done = subprocess.run(
        command, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS
    )
    return json.loads(done.stdout)


def test_it_opens_before_a_server_that_knows_the_password() -> None:
    assert outcomes([{}, {"iterations": 1}, {"iterations": 100_000}]) == ["open"] * 3


def test_a_wrong_password_is_refused_by_the_server() -> None:
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
def test_a_server_that_breaks_the_exchange_is_refused(case: dict[str, Any]) -> None:
    assert outcomes([case]) == ["ProtocolError"]


@pytest.mark.parametrize(("message", "length"), [("first", SERVER_FIRST), ("final", SERVER_FINAL)])
def test_no_changed_byte_of_the_servers_messages_opens_a_connection(message: str, length: int) -> None:
    cases = [{message: {"at": at, "flip": bits}} for at in range(length) for bits in (1, 2, 32)]
    assert "open" not in outcomes(cases)
