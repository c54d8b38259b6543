"""Tests of the PostgreSQL client: it reads answers in chunks of any size, and rejects malformed ones."""

import base64
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import TIMEOUT_SECONDS

from .stubs import complete, message, ready, row, row_description

NOTICE = message(b"N", b"SNOTICE\0C00000\0Mhello\0\0")
SETTING = message(b"S", b"TimeZone\0UTC\0")
ROWS = [{"writable": "t", "größe": "12"}, {"writable": None, "größe": ""}]
ANSWER = b"".join(
    [
        complete("SET"),
        NOTICE,
        row_description("writable", "größe"),
        row("t", "12"),
        SETTING,
        row(None, ""),
        complete("SELECT 2"),
        ready(),
    ]
)
REFUSED = message(b"E", b"SERROR\0VERROR\0C42883\0Mfunction does not exist\0\0") + ready()


@pytest.fixture(scope="module", autouse=True)
def _tools(host: object) -> None:
    """Start the host, which checks that Node.js is installed."""


def outcomes(answers: list[list[bytes]]) -> list[dict[str, Any]]:
    """Return the client's result for each answer: a list of chunks, after which the server closes the connection."""
    encoded = [[base64.b64encode(chunk).decode() for chunk in chunks] for chunks in answers]
    command = ["node", str(Path(__file__).with_name("postgres_answers.mjs"))]
    done = subprocess.run(
        command, input=json.dumps(encoded), capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS
    )
    return json.loads(done.stdout)


def test_answer_does_not_depend_on_the_size_of_chunks() -> None:
    cuts = [[ANSWER[:at], ANSWER[at:]] for at in range(len(ANSWER) + 1)]
    single = [ANSWER[at : at + 1] for at in range(len(ANSWER))]
    assert outcomes([*cuts, single, [b"", ANSWER, b""]]) == [{"rows": ROWS}] * (len(cuts) + 2)


def test_truncated_answer_is_an_error() -> None:
    for answer in (ANSWER, REFUSED):
        truncated = [[answer[:at]] for at in range(len(answer))]
        assert outcomes(truncated) == [{"error": "ProtocolError"}] * len(truncated)


def test_error_has_its_sqlstate_and_waits_for_ready_for_query() -> None:
    assert outcomes([[REFUSED]]) == [{"error": "PostgresError", "sqlState": "42883"}]


@pytest.mark.parametrize(
    "answer",
    {
        "too long": b"D" + (64 * 1024 + 1).to_bytes(4, "big") + bytes(64 * 1024),
        "two gigabytes": b"D\x7f\xff\xff\xff",
        "negative": b"D\xff\xff\xff\xff",
        "no length": b"D\0\0\0\0",
        "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "unknown type": message(b"?", b"") + ready(),
        "copy": message(b"G", b"\0\0\0") + ready(),
        "a row before its description": row("t") + ready(),
        "a row of other columns": row_description("a", "b") + row("t") + ready(),
        "a value longer than its row": row_description("a") + message(b"D", b"\0\1\0\0\0\x09t") + ready(),
        "a value of negative length": row_description("a") + message(b"D", b"\0\1\xff\xff\xff\xfe") + ready(),
        "a name without an end": message(b"T", b"\0\1a") + ready(),
        "a nameless column": message(b"T", b"\0\1") + ready(),
    }.items(),
    ids=lambda item: item[0],
)
def test_malformed_answers_are_rejected(answer: tuple[str, bytes]) -> None:
    assert outcomes([[answer[1]]]) == [{"error": "ProtocolError"}]


@pytest.mark.parametrize(
    "endless",
    {
        "rows": row_description("a") + row("x" * 1_000) * 80,
        "notices": NOTICE * 3_000,
        "settings": SETTING * 4_000,
    }.items(),
    ids=lambda item: item[0],
)
def test_an_answer_of_more_than_64_kib_is_refused(endless: tuple[str, bytes]) -> None:
    """Each message is short, and the last one ends the answer; only the total size is too large."""
    whole = endless[1] + complete("SELECT 1") + ready()
    chunks = [whole[at : at + 1_400] for at in range(0, len(whole), 1_400)]
    assert outcomes([[whole], chunks]) == [{"error": "ProtocolError"}] * 2


def test_changed_bytes_cause_an_answer_or_a_protocol_error() -> None:
    dice = random.Random(1)
    changed: list[list[bytes]] = []
    for _ in range(2_000):
        answer = bytearray(dice.choice((ANSWER, REFUSED)))
        for _ in range(dice.randint(1, 4)):
            answer[dice.randrange(len(answer))] = dice.randrange(256)
        changed.append([bytes(answer)])
    for outcome in outcomes(changed):
        assert "rows" in outcome or outcome["error"] in ("ProtocolError", "PostgresError"), outcome
