"""Drives the watch Worker: backups are good until a test changes that, and the test sets the clock."""

import email
import email.policy
import hashlib
import json
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness import copies
from harness.webhooks import ALARM_SECRET, Hook
from harness.workerd import Host

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
ADA, BEA = "ada@operator.example", "bea@operator.example"
HOOK, OTHER_HOOK = "http://hook.example/secret-path", "http://other.example/"
FULL = "20261123-013005F"
INCREMENT = f"{FULL}_20261124-090005I"
FOLDER = "hourly/archive/{group}/17-1/0000000100000000/"
WAL = FOLDER + "0000000100000000000000A2-" + "cd" * 20 + ".zst"
SETTLED = FOLDER + "0000000100000000000000A1-" + "ab" * 20 + ".zst"
TABLES = ("alarms", "told", "runs", "findings", "objects", "object_copies", "copies", "manifests")
DAY = 1_440
KEY = "hourly/backup/coordinator/one"
BINDINGS: dict[str, Any] = {
    "GROUPS": ["coordinator"],
    "SENDER": "backups@notify.example",
    "ALARM_EMAILS": [ADA],
    "ALARM_WEBHOOKS": json.dumps([HOOK]),
    "ALARM_SECRET": ALARM_SECRET,
    "PLATFORM": "ledger-prod",
    "REPORT_URL": "https://backups.example/report.json",
    "ROTATION": {"pointInTimeDays": 7, "minimumFulls": 3, "keepDays": {"hourly": 8}},
    **copies.BINDINGS,
}
WELL = {
    "full": -480,
    "backup": -30,
    "wal": -1,
    "settled": -20,
    "manifest": -30,
    "replicate": -4,
    "verify": -2,
    "age-out": -45,
}
"""Times of the newest objects and runs, in minutes relative to each run of the watch Worker."""


def at(minute: float) -> str:
    return (START + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Outside:
    """HTTP server that plays the off-site bucket, with the keys in `offsite`, and every webhook receiver."""

    offsite: set[str] = field(default_factory=set[str])
    offsite_status: int = 200
    hooks: list[Hook] = field(default_factory=list[Hook])
    answer: Callable[[str], int | None] = lambda _host: 204

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Return host and event of the webhooks since the last call; fail if a signature is wrong."""
        taken, self.hooks = self.hooks, []
        assert all(hook.signed_with(ALARM_SECRET) == [True] for hook in taken)
        return [(hook.host, hook.event) for hook in taken]

    @contextmanager
    def serving(self) -> Generator[str]:
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                there = self.path.removeprefix("/") in outside.offsite
                status = outside.offsite_status
                self._say(404 if status == 200 and not there else status)

            def do_GET(self) -> None:
                self._say(200)  # the target of a followed redirect

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                host = str(self.headers["host"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                outside.hooks.append(Hook(host, headers, body))
                status = outside.answer(host)
                if status is None:
                    self.close_connection = True
                else:
                    self._say(status)

            def _say(self, status: int) -> None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.send_header("connection", "close")
                if 300 <= status < 400:
                    self.send_header("location", "http://elsewhere.example/")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Do not log."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


@dataclass
class Watch:
    """Runs the Worker. Minutes count from START; the names of WELL in `stuck` get no new objects or runs."""

    host: Host
    outside: Outside
    address: str
    stuck: set[str] = field(default_factory=set[str])
    changed: bool = True  # whether other bindings are in use than tests expect

    def reset(self) -> None:
        """Restore the initial state: usual bindings, empty stores, no notifications."""
        self.stuck.clear()
        self.outside.offsite.clear()
        self.outside.offsite_status, self.outside.answer = 200, lambda _host: 204
        if self.changed:
            self.start()
            self.changed = False
        for bucket in copies.BUCKETS:
            for key in self.host.bulk("keys", bucket):
                self.host.delete(bucket, key)
        self.empty()
        self.outside.take()
        self.host.emails()

    def start(self, **bindings: Any) -> None:
        self.changed = True
        self.host.start(
            "backups/watch",
            bindings={**BINDINGS, **bindings},
            r2Buckets=list(copies.BUCKETS),
            d1Databases=["DB"],
            email={"send_email": [{"name": "EMAIL"}]},
            outboundService={"external": {"address": self.address, "http": {}}},
        )
        self.host.scheduled(at(-1_000), clock=at(-1_000))  # makes the tables
        self.empty()
        self.outside.take()
        self.host.emails()

    def empty(self) -> None:
        for table in TABLES:
            self.host.sql(f"DELETE FROM {table}")

    def fresh(self, minute: float, groups: Sequence[str] = ("coordinator",)) -> None:
        """Write new objects, manifests and runs, except the ones in `stuck`."""
        times = {name: at(minute + age) for name, age in WELL.items() if name not in self.stuck}
        for group in groups:
            backups = f"hourly/backup/{group}/"
            keys = {
                "full": f"{backups}{FULL}/backup.manifest",
                "backup": f"{backups}{INCREMENT}/backup.manifest",
                "wal": WAL.format(group=group),
                "settled": SETTLED.format(group=group),
            }
            for name, key in keys.items():
                if name in times:
                    self.host.put("COPY_PRIMARY", key, customMetadata={"at": times[name]})
            if "copies" not in self.stuck:
                for key in (keys["settled"], keys["wal"]):
                    self.host.put("COPY_REPLICA", key)
                    self.outside.offsite.add(key)
            if "manifest" in times:
                self.manifest(group, times["manifest"])
        for worker in ("replicate", "verify", "age-out"):
            if worker in times:
                self.run(worker, times[worker])

    def manifest(self, group: str, finished_at: str) -> None:
        self.host.sql(
            f"INSERT OR REPLACE INTO manifests VALUES ('{group}', '{INCREMENT}', 'incremental', '{finished_at}', "
            f"'{finished_at}', '{'ab' * 32}', NULL, '[]', 1, '{'0' * 24}', '{'0' * 24}', NULL, '{finished_at}')"
        )

    def run(self, worker: str, time: str, outcome: str = "ok") -> None:
        self.host.sql(f"INSERT OR REPLACE INTO runs VALUES ('{worker}', '{time}', '{outcome}', '{{}}')")

    def object(self, key: str, listed: float, checked: tuple[float | None, ...] = (None,) * 3, **columns: Any) -> None:
        """Add an object to the catalogue, with the verification time of each of its three copies; times are minutes."""
        times = [None if minute is None else at(minute) for minute in checked]
        row = {
            "key": key,
            "grp": "coordinator",
            "class": "hourly",
            "run": INCREMENT,
            "manifest": INCREMENT,
            "kind": "backup",
            "size": 5,
            "sha256": hashlib.sha256(b"bytes").hexdigest(),
            "stored_at": at(listed),
            "listed_at": at(listed),
            "check_after": at(listed),
            **columns,
        }
        self._insert("objects", row)
        for copy, verified_at in zip(copies.COPIES, times, strict=True):
            self._insert("copies", {"name": copy["name"], "since": at(-DAY)})
            of_it = {"key": key, "copy": copy["name"], "since": row["listed_at"], "verified_at": verified_at}
            self._insert("object_copies", of_it)

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        values = ", ".join("NULL" if value is None else f"'{value}'" for value in row.values())
        self.host.sql(f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({values})")

    def finding(self, kind: str, key: str, store: str = "replica") -> None:
        self.host.sql(
            f"INSERT INTO findings (kind, store, key, detail, found_at, seen_at) "
            f"VALUES ('{kind}', '{store}', '{key}', 'detail', '{at(0)}', '{at(0)}')"
        )

    def close_finding(self, key: str) -> None:
        self.host.sql(f"UPDATE findings SET closed_at = '{at(0)}', outcome = 'repaired' WHERE key = '{key}'")

    def look(self, minute: float, expected: str = "ok", **instruction: Any) -> list[str]:
        """Run the Worker as its cron trigger does; return the ids of the current alarms."""
        if "DB" not in instruction.get("broken", []):
            self.fresh(minute)
        assert self.host.scheduled(at(minute), **{"clock": at(minute), **instruction}) == expected
        return self.alarms()

    def alarms(self) -> list[str]:
        rows = self.host.sql("SELECT id FROM alarms WHERE ended_at IS NULL AND raised_at IS NOT NULL ORDER BY id")
        return [row["id"] for row in rows]

    def events(self) -> list[tuple[str, str]]:
        """Return the webhooks since the last call: id of the alarm, and whether it lasts or is over."""
        return [(event["id"], "lasts" if event["endedAt"] is None else "over") for _, event in self.outside.take()]

    def mail(self, count: int = 0) -> list[EmailMessage]:
        return [email.message_from_string(raw, policy=email.policy.default) for raw in self.host.emails(count)]

    def newest_run(self) -> tuple[str, Any]:
        (row,) = self.host.sql("SELECT outcome, detail FROM runs WHERE worker = 'watch' ORDER BY at DESC LIMIT 1")
        return row["outcome"], json.loads(row["detail"])


def lose_replica(watch: Watch) -> None:
    """Delete the settled WAL segment from the replica, and keep the copies from getting new ones."""
    watch.stuck.add("copies")
    watch.host.delete("COPY_REPLICA", SETTLED.format(group="coordinator"))
