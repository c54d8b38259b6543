"""GET /health: what is known, in time, and nothing else."""

import json
import time

from .stubs import Postgres
from .workerd import Host

AUTHENTICATION_SASL = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
STARTING_UP = b"E\0\0\0\x10SFATAL\0C57P03\0\0"
BINDINGS = {"ENVIRONMENT": "staging", "CLOCK": "2026-11-24T10:00:00.000Z"}


def start(host: Host, database: str | None, **changes: object) -> None:
    options = {
        "bindings": BINDINGS,
        "r2Buckets": ["BACKUPS"],
        "versionMetadata": "VERSION",
        "hyperdrives": {"HYPERDRIVE": database} if database else {},
    }
    host.start("api", **{**options, **changes})


def test_all_is_well(host: Host) -> None:
    server = Postgres(AUTHENTICATION_SASL)
    with server.serving() as database:
        start(host, database)
        response = host.fetch("/health")
    assert response["status"] == 200
    report = json.loads(response["body"])
    assert report.pop("version")
    assert report == {
        "status": "degraded",
        "components": {
            "edge": {"status": "ok"},
            "database": {"status": "ok", "acceptsConnections": True, "writable": "unknown"},
            "replication": {"status": "unknown"},
            "objectStorage": {"status": "ok"},
            "backups": {"status": "unknown"},
        },
        "environment": "staging",
        "time": "2026-11-24T10:00:00.000Z",
    }
    length = len(server.received[0]).to_bytes(4, "big")
    assert server.received[0] == length + b"\0\x03\0\0user\0operator\0database\0ledger\0\0"
    assert response["headers"]["cache-control"] == "no-store"
    assert response["headers"]["x-content-type-options"] == "nosniff"
    assert response["headers"]["content-security-policy"].startswith("default-src 'none'")


def test_a_server_that_refuses_is_down(host: Host) -> None:
    with Postgres(STARTING_UP).serving() as database:
        start(host, database)
        response = host.fetch("/health")
    assert response["status"] == 503
    report = json.loads(response["body"])
    assert report["status"] == "down"
    assert report["components"]["database"] == {"status": "down", "acceptsConnections": False, "writable": "unknown"}
    assert report["components"]["objectStorage"] == {"status": "ok"}


def test_a_server_that_hangs_up_is_down_and_not_named(host: Host) -> None:
    with Postgres(b"").serving() as database:
        start(host, database)
        response = host.fetch("/health")
    assert response["status"] == 503
    for secret in ("127.0.0.1", database.split(":")[-1], "pass-phrase", "operator", "ledger", "Error", ".js"):
        assert secret not in response["body"]


def test_a_server_that_hangs_does_not_hang_the_report(host: Host) -> None:
    with Postgres(None).serving() as database:
        start(host, database)
        began = time.monotonic()
        response = host.fetch("/health")
        took = time.monotonic() - began
    assert response["status"] == 503
    assert took < 2


def test_without_a_way_to_the_database_its_state_is_unknown(host: Host) -> None:
    start(host, None)
    response = host.fetch("/health")
    assert response["status"] == 200
    report = json.loads(response["body"])
    assert report["status"] == "degraded"
    assert report["components"]["database"]["status"] == "unknown"


def test_storage_that_fails_degrades(host: Host) -> None:
    with Postgres(AUTHENTICATION_SASL).serving() as database:
        start(host, database, r2Buckets=[])
        response = host.fetch("/health")
    assert response["status"] == 200
    report = json.loads(response["body"])
    assert report["status"] == "degraded"
    assert report["components"]["objectStorage"] == {"status": "down"}


def test_only_reads_of_known_paths(host: Host) -> None:
    start(host, None)
    head = host.fetch("/health", "HEAD")
    assert (head["status"], head["body"]) == (200, "")
    post = host.fetch("/health", "POST")
    assert (post["status"], post["headers"]["allow"]) == (405, "GET, HEAD")
    for path in ("/", "/health/", "/constructor"):
        missing = host.fetch(path)
        assert (missing["status"], json.loads(missing["body"])) == (404, {"error": "not found"})
