"""Tests of GET /health of the API: the state of each component, within two seconds, without internals."""

import base64
import json
import re
import socket
import struct
import subprocess
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import TIMEOUT_SECONDS
from harness.workerd import Host

from .stubs import HEALTHY, REPLICATED, WELCOME, WELL, Postgres, answer, authentication, complete, error, message, ready

STANZAS = ("coordinator", "worker-1")
NOW = "2026-11-24T10:00:00Z"
SCRAM = authentication(10, b"SCRAM-SHA-256\0\0")


def start(host: Host, database: str | None, stanzas: Sequence[str] = STANZAS) -> None:
    """Start the API with fresh backups and a fixed clock."""
    host.start(
        "api",
        bindings={"ENVIRONMENT": "staging", "STANZAS": list(stanzas), "CLOCK": NOW},
        r2Buckets=["BACKUPS"],
        versionMetadata="VERSION",
        hyperdrives={"HYPERDRIVE": database} if database else {},
    )
    indices = [f"hourly/backup/{name}/backup.info" for name in stanzas]
    store = {"op": "put", "bucket": "BACKUPS", "text": "[backup]", "options": {"customMetadata": {"at": NOW}}}
    host.together(*({**store, "key": key} for key in indices))


def later(**span: float) -> str:
    """Return a time after the backups, for the clock."""
    return (datetime.fromisoformat(NOW) + timedelta(**span)).isoformat()


def components(response: dict[str, Any]) -> dict[str, Any]:
    return json.loads(response["body"])["components"]


def test_healthy_platform_reports_ok(host: Host) -> None:
    server = Postgres(WELL)
    with server.serving() as database:
        start(host, database)
        response = host.fetch("/health", instruction={"clock": later(minutes=75), "exact": True})
    assert response["status"] == 200
    report = json.loads(response["body"])
    assert report.pop("version")
    assert report.pop("time") == "2026-11-24T11:15:00.000Z"
    assert report == {
        "status": "ok",
        "components": {
            "edge": {"status": "ok"},
            "database": {"status": "ok", "writable": True},
            "replication": {
                "status": "ok",
                "standbys": 2,
                "synchronousStandbys": 2,
                "lagBytes": 0,
                "workerGroupsReplicated": True,
            },
            "objectStorage": {"status": "ok"},
            "backups": {"status": "ok", "ageMinutes": 75},
        },
        "environment": "staging",
    }
    assert [re.findall(b"statement_timeout = '(.*?)'", sent) for sent in server.received[1:]] == [
        [b"600ms"],
        [b"300ms"],
    ]
    assert server.received[0][4:] == b"\0\x03\0\0user\0operator\0database\0ledger\0\0"
    assert response["headers"]["cache-control"] == "no-store"
    assert response["headers"]["x-content-type-options"] == "nosniff"
    assert response["headers"]["content-security-policy"].startswith("default-src 'none'")


REFUSALS = {
    "starting up": [error("57P03")],
    "wrong password": [authentication(3), error("28P01")],
    "no way to authenticate": [authentication(7)],
    "an unknown mechanism": [authentication(10, b"SCRAM-SHA-1\0\0")],
    "a nonce of its own": [SCRAM, authentication(11, b"r=x,s=AAAA,i=4096")],
    "no database behind Hyperdrive": [WELCOME, error("58000") + ready()],
    "disk full": [WELCOME, error("53100") + ready()],
    "statement timeout": [WELCOME, error("57014") + ready()],
    "read-only": [WELCOME, answer(writable="f", standbys=None, synchronous_standbys=None, lag_bytes=None)],
    "in recovery, without the function": [WELCOME, error("42883") + ready(), answer(pg_is_in_recovery="t")],
    "no row": [WELCOME, complete("SELECT 0") + ready()],
    "an answer without an end": [WELCOME, HEALTHY[:-3]],
    "garbage": [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "an endless message": [message(b"R", b"")[:1] + b"\x7f\xff\xff\xff"],
    "nothing": [b""],
}


@pytest.mark.parametrize("lines", REFUSALS.values(), ids=REFUSALS)
def test_database_that_rejects_writes_is_down_without_details(host: Host, lines: list[bytes]) -> None:
    with Postgres(lines).serving() as database:
        start(host, database)
        response = host.fetch("/health")
    assert response["status"] == 503
    assert json.loads(response["body"])["status"] == "down"
    said = components(response)
    assert said["database"] == {"status": "down", "writable": False}
    assert said["replication"]["status"] == "unknown"
    assert said["objectStorage"] == {"status": "ok"}
    secrets = ("127.0.0.1", database.split(":")[-1], "pass-phrase", "operator", "10.20.30.40", "rror", ".js", "BACKUPS")
    for secret in (*secrets, *STANZAS):
        assert secret not in response["body"]


@pytest.mark.parametrize("state", ["42883", "3F000", "42501"])
def test_database_without_the_health_functions_is_ok(host: Host, state: str) -> None:
    with Postgres([WELCOME, error(state) + ready(), answer(pg_is_in_recovery="f")]).serving() as database:
        start(host, database)
        response = host.fetch("/health")
    assert response["status"] == 200
    assert json.loads(response["body"])["status"] == "degraded"
    assert components(response)["database"] == {"status": "ok", "writable": "unknown"}
    assert components(response)["replication"]["status"] == "unknown"


def test_failed_query_of_worker_groups_does_not_change_the_database_state(host: Host) -> None:
    for groups in (error("57014") + ready(), b"", b"garbage that ends", answer(worker_groups_replicated=None)):
        with Postgres([WELCOME, HEALTHY, groups]).serving() as database:
            start(host, database)
            response = host.fetch("/health")
        assert response["status"] == 200
        assert components(response)["database"] == {"status": "ok", "writable": True}
        assert components(response)["replication"]["status"] == "unknown"
        assert components(response)["replication"]["synchronousStandbys"] == 2


class Falling(Postgres):
    """Stops answering after its lines, when the client asks for more."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        super().__init__(lines)
        self.silent = threading.Event()

    def play(self, connection: socket.socket) -> None:
        super().play(connection)
        connection.recv(4096)
        self.silent.set()
        connection.recv(4096)


@pytest.mark.parametrize("words", [0, 1, 2])
def test_hung_dependencies_do_not_delay_the_report(host: Host, words: int) -> None:
    """All dependencies hang, the database at each step of the protocol: the report still arrives within two seconds."""
    server = Falling(WELL[:words])
    with server.serving() as database:
        start(host, database)
        silent = {"silent": ["BACKUPS"], "held": True}
        response = host.report_while(lambda: server.silent.wait(TIMEOUT_SECONDS), 1_999, instruction=silent)
    assert response["status"] == (503 if words < 2 else 200)  # the last query concerns only the worker groups
    assert components(response)["objectStorage"] == {"status": "down"}
    assert components(response)["backups"] == {"status": "unknown", "ageMinutes": "unknown"}


class Resetting(Postgres):
    """Resets each connection after the client's first message."""

    def play(self, connection: socket.socket) -> None:
        connection.recv(4096)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close sends RST
        connection.close()


def test_reset_connection_means_that_the_database_is_down(host: Host) -> None:
    with Resetting([]).serving() as database:
        start(host, database)
        for seconds in range(0, 50, 10):
            response = host.fetch("/health", instruction={"clock": later(seconds=seconds)})
            assert components(response)["database"] == {"status": "down", "writable": False}


class Counted(Postgres):
    """Counts its conversations."""

    conversations = 0

    def play(self, connection: socket.socket) -> None:
        self.conversations += 1
        super().play(connection)


def test_readers_share_one_check_for_two_seconds(host: Host) -> None:
    """Many readers cannot use up the database's connections."""
    server = Counted(WELL)

    def asked(seconds: float) -> dict[str, Any]:
        instruction = {"clock": later(seconds=seconds)}
        return {"op": "fetch", "path": "/health", "method": "GET", "instruction": instruction}

    with server.serving() as database:
        start(host, database)
        looks = host.together(*[asked(0)] * 50)
        assert {look["status"] for look in looks} == {200}
        assert len({look["body"] for look in looks}) == server.conversations == 1
        assert host.together(asked(1.9))[0]["body"] == looks[0]["body"]
        assert server.conversations == 1
        assert json.loads(host.together(asked(2))[0]["body"])["time"] > json.loads(looks[0]["body"])["time"]
        assert server.conversations == 2


class Impostor(Postgres):
    """Accepts any client by SCRAM, with an invented proof, because it does not know the password."""

    def play(self, connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(SCRAM)
        nonce = connection.recv(4096).split(b"r=")[1]
        connection.sendall(authentication(11, b"r=" + nonce + b"mine,s=c2FsdA==,i=4096"))
        connection.recv(4096)
        connection.sendall(authentication(12, b"v=" + base64.b64encode(bytes(32))) + WELCOME)
        for line in (HEALTHY, REPLICATED):
            connection.recv(4096)
            connection.sendall(line)


def test_server_without_the_password_is_rejected(host: Host) -> None:
    with Impostor([]).serving() as database:
        start(host, database)
        assert components(host.fetch("/health"))["database"] == {"status": "down", "writable": False}


def test_database_state_is_unknown_without_a_binding(host: Host) -> None:
    start(host, None)
    response = host.fetch("/health")
    assert response["status"] == 200
    assert json.loads(response["body"])["status"] == "degraded"
    assert components(response)["database"] == {"status": "unknown", "writable": "unknown"}


def test_failed_storage_degrades_the_platform(host: Host) -> None:
    with Postgres(WELL).serving() as database:
        start(host, database)
        response = host.fetch("/health", instruction={"broken": ["BACKUPS"]})
    assert response["status"] == 200
    assert json.loads(response["body"])["status"] == "degraded"
    assert components(response)["objectStorage"] == {"status": "down"}
    assert components(response)["backups"] == {"status": "unknown", "ageMinutes": "unknown"}


def test_oldest_of_65_stanzas_determines_the_state(host: Host) -> None:
    start(host, None, ["coordinator", *(f"worker-{number}" for number in range(1, 65))])
    fresh = host.fetch("/health", instruction={"clock": later(minutes=75)})
    assert components(fresh)["backups"] == {"status": "ok", "ageMinutes": 75}
    stale = host.fetch("/health", instruction={"clock": later(minutes=76)})
    assert components(stale)["backups"] == {"status": "degraded", "ageMinutes": 76}
    assert stale["status"] == 200
    host.delete("BACKUPS", "hourly/backup/worker-64/backup.info")
    missing = host.fetch("/health")
    assert components(missing)["backups"] == {"status": "degraded", "ageMinutes": "unknown"}


@pytest.mark.parametrize(("stanzas", "milliseconds", "status"), [(65, 50, "ok"), (20, 200, "ok"), (65, 500, "unknown")])
def test_backup_check_limits_its_connections_and_duration(
    host: Host, stanzas: int, milliseconds: int, status: str
) -> None:
    """A Cloudflare Worker has six connections. If the bucket is too slow for all stanzas, backups are unknown."""
    assert host.process.poll() is None  # Node.js is installed
    command = ["node", str(Path(__file__).with_name("backups_at_once.mjs")), str(stanzas), str(milliseconds)]
    outcome = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_SECONDS).stdout)
    assert outcome["health"]["status"] == status
    assert outcome["most"] == 4
    assert outcome["took"] < 2_000


def test_backups_are_unknown_without_stanzas(host: Host) -> None:
    start(host, None, [])
    assert components(host.fetch("/health"))["backups"] == {"status": "unknown", "ageMinutes": "unknown"}


def test_only_reads_of_known_paths_are_allowed(host: Host) -> None:
    start(host, None)
    head = host.fetch("/health", "HEAD")
    assert (head["status"], head["body"]) == (200, "")
    post = host.fetch("/health", "POST")
    assert (post["status"], post["headers"]["allow"]) == (405, "GET, HEAD")
    for path in ("/", "/health/", "/constructor"):
        missing = host.fetch(path)
        assert (missing["status"], json.loads(missing["body"])) == (404, {"error": "not found"})
