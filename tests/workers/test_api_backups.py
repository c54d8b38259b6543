"""Tests of the backups' state in the API's health report, which the status page reads."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest

from harness.waiting import TIMEOUT_SECONDS
from harness.workerd import Host

from .test_api import NOW, later

INDEX = "hourly/backup/coordinator/backup.info"
API: dict[str, Any] = {
    "bindings": {"ENVIRONMENT": "staging", "STANZAS": ["coordinator"], "CLOCK": NOW},
    "r2Buckets": ["BACKUPS"],
    "versionMetadata": "VERSION",
}


def backups(host: Host, **instruction: Any) -> dict[str, Any]:
    response = host.fetch("/health", instruction=instruction)
    assert response["status"] == 200
    return json.loads(response["body"])["components"]["backups"]


def start(host: Host, service: Any) -> None:
    """Start the API with a fresh backup and a service binding whose server the test plays."""
    host.start("api", **API, serviceBindings=service)
    host.put("BACKUPS", INDEX, customMetadata={"at": NOW})


@contextmanager
def playing(status: int, body: str | None, asked: threading.Event | None = None) -> Generator[dict[str, Any]]:
    """Serve one answer, or none, while the context lasts; yield the service binding. A request sets `asked`."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.set()
            if body is None:
                over.wait(TIMEOUT_SECONDS)
                self.close_connection = True
                return
            self.send_response(status if self.path == "/health" else 200)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Do not log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield {"BACKUP_REPORT": {"external": {"address": f"127.0.0.1:{server.server_port}", "http": {}}}}
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_alarm_of_the_watch_worker_is_in_the_health_report(host: Host) -> None:
    """Run both Workers, bound to each other as in a deployment."""
    bindings = {"GROUPS": ["coordinator"], "ROTATION": {}, "TOKEN_SHA256": "ab" * 32, "CLOCK": NOW}
    host.start_all(
        {
            "api": {**API, "serviceBindings": {"BACKUP_REPORT": "report"}},
            "backups/report": {"bindings": bindings, "d1Databases": ["DB"]},
        }
    )
    host.put("BACKUPS", INDEX, customMetadata={"at": NOW})

    looks = count()

    def health() -> str:
        instruction = {"clock": later(seconds=2 * next(looks))}  # a report is reused for two seconds
        return json.loads(host.fetch("/health", instruction=instruction)["body"])["components"]["backups"]["status"]

    def sql(statement: str) -> None:
        host.ask("sql", statement=statement, worker="report")

    assert health() == "degraded"  # watch has never run
    looked = "2026-11-24T09:59:00.000Z"
    sql(f"INSERT INTO runs VALUES ('watch', '{looked}', 'ok', '{{}}')")
    assert health() == "ok"
    sql(f"INSERT INTO alarms (id, since, text, raised_at) VALUES ('findings:undelivered', '{looked}', '', '{looked}')")
    assert health() == "degraded"
    sql(f"UPDATE alarms SET ended_at = '{looked}'")
    assert health() == "ok"
    sql("UPDATE runs SET outcome = 'failed'")
    assert health() == "degraded"


STALE = {"clock": later(minutes=76)}


@pytest.mark.parametrize(
    ("said", "fresh", "stale"),
    [("ok", "ok", "degraded"), ("degraded", "degraded", "degraded"), ("unknown", "unknown", "degraded")],
)
def test_worse_state_of_report_and_age_counts(host: Host, said: str, fresh: str, stale: str) -> None:
    with playing(200, json.dumps({"status": said})) as service:
        start(host, service)
        assert backups(host)["status"] == fresh
        assert backups(host, **STALE)["status"] == stale
        unknown = "degraded" if said == "degraded" else "unknown"
        assert backups(host, broken=["BACKUPS"]) == {"status": unknown, "ageMinutes": "unknown"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, ""),
        (200, "ok"),
        (200, "null"),
        (200, "7"),
        (200, '"ok"'),
        (200, '{"status": ["ok"]}'),
        (200, '{"status": "down"}'),
        (302, '{"status": "ok"}'),
        (500, '{"status": "ok"}'),
    ],
)
def test_invalid_response_is_unknown(host: Host, status: int, body: str) -> None:
    with playing(status, body) as service:
        start(host, service)
        assert backups(host) == {"status": "unknown", "ageMinutes": 0}


def test_hung_service_does_not_delay_the_report(host: Host) -> None:
    asked = threading.Event()
    with playing(200, None, asked) as service:
        start(host, service)
        for seconds, silent, age in ((0, [], 0), (2, ["BACKUPS"], "unknown")):
            asked.clear()
            instruction = {"silent": silent, "held": True, "clock": later(seconds=seconds)}
            response = host.report_while(lambda: asked.wait(TIMEOUT_SECONDS), 1_999, instruction=instruction)
            assert json.loads(response["body"])["components"]["backups"] == {"status": "unknown", "ageMinutes": age}


def test_without_a_service_binding_only_the_age_counts(host: Host) -> None:
    start(host, {})
    assert backups(host) == {"status": "ok", "ageMinutes": 0}
