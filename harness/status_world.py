"""What the status Worker meets outside: the API's health report, other components, and contacts' webhooks."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.patience import GENEROUS
from harness.webhooks import ALARM_SECRET, WEBHOOK_KEY, Hook
from harness.workerd import Host

COMPONENTS = ("edge", "database", "replication", "objectStorage", "backups")
OPERATOR, TOKEN = "ada", "the-operator's-token"
BINDINGS: dict[str, Any] = {
    "HEALTH_URL": "http://api.example/health",
    "STATUS_URL": "https://status.example",
    "CONTACT": "availability@example.com",
    "PLATFORM": "Ledger & <Sons>",
    "SLA": {
        "target": 99_900,
        "credits": [{"below": 99_900, "credit": 10}, {"below": 99_000, "credit": 25}, {"below": 95_000, "credit": 50}],
    },
    "NOTICE_HOURS": 72,
    "ALARM_EMAILS": ["oncall@operator.example"],
    "ALARM_WEBHOOKS": '["http://alarm.example/hook"]',
    "ALARM_SECRET": ALARM_SECRET,
    "SENDER": "notifications@status.example",
    "WEBHOOK_KEY": WEBHOOK_KEY,
    "OPERATORS": json.dumps({OPERATOR: hashlib.sha256(TOKEN.encode()).hexdigest()}),
}


def report(**changes: str) -> str:
    """Return a health report in which all is well but for `changes`."""
    states = {**dict.fromkeys(COMPONENTS, "ok"), **changes}
    overall = "down" if states["database"] == "down" else "ok" if set(states.values()) == {"ok"} else "degraded"
    return json.dumps({"status": overall, "components": {name: {"status": state} for name, state in states.items()}})


@dataclass
class World:
    """Plays every host: `api.example` answers with `status` and `body` (None hangs up), all others are webhooks."""

    status: int = 200
    body: str | None = field(default_factory=report)
    asked: list[str] = field(default_factory=list[str])
    hooks: list[Hook] = field(default_factory=list[Hook])
    answer: Callable[[Hook], int | None] = lambda _hook: 204
    retry_after: str | None = None  # what a webhook's answer says of it
    components: dict[str, int] = field(default_factory=dict[str, int])
    crowd: int = 1  # so many questions are answered together
    hanging: set[str] = field(default_factory=set[str])  # hosts that answer when they are released, or the world ends
    busy: int = 0
    busiest: int = 0  # questions at once
    changed: threading.Condition = field(default_factory=threading.Condition)

    def well(self) -> None:
        """Have the API report that all is well."""
        self.status, self.body = 200, report()

    def database_down(self) -> None:
        """Have the API report that the database is down."""
        self.status, self.body = 503, report(database="down")

    def silent(self) -> None:
        """Have the API hang up."""
        self.body = None

    def release(self) -> None:
        """Have every host that hangs answer."""
        with self.changed:
            self.hanging.clear()
            self.changed.notify_all()

    @contextmanager
    def serving(self) -> Generator[str]:
        """Be what answers until the context ends; gives HOST:PORT, which is the same for every world."""
        server = _server()
        before, server.world = server.world, self
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.world = before
            self.release()


class _Server(ThreadingHTTPServer):
    """Answers as its world does; one for all worlds, so that a Worker need not be started for each."""

    daemon_threads = True
    world: World | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a Worker that falls leaves its connections, and that is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    @property
    def _world(self) -> World:
        assert isinstance(self.server, _Server)
        assert self.server.world is not None, "a Worker asks after its test"
        return self.server.world

    def do_GET(self) -> None:
        world, host = self._world, str(self.headers["Host"])
        with world.changed:
            world.asked.append(f"{host} {self.path}")
            world.busy += 1
            world.busiest = max(world.busiest, world.busy)
            world.changed.notify_all()
            number = len(world.asked)
            together = -(-number // world.crowd) * world.crowd
            world.changed.wait_for(lambda: len(world.asked) >= together, GENEROUS)
            world.changed.wait_for(lambda: host not in world.hanging)
        if world.crowd > 1:
            time.sleep(0.1)  # for one too many to come: nobody judges by who is late
        with world.changed:
            world.busy -= 1
        if host in world.components:
            self._say(world.components[host], "")
        elif world.body is None:
            self.close_connection = True
        else:
            self._say(world.status, world.body)

    def do_POST(self) -> None:
        world = self._world
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        hook = Hook(headers["host"], headers, body)
        world.hooks.append(hook)
        status = world.answer(hook)
        if status is None:
            self.close_connection = True
        else:
            self._say(status, "")

    def _say(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body.encode())))
        if self._world.retry_after is not None:
            self.send_header("retry-after", self._world.retry_after)
        self.send_header("connection", "close")  # or the next request may meet the connection as it closes
        if 300 <= status < 400:
            self.send_header("location", "http://elsewhere.example/")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@cache
def _server() -> _Server:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    return server


def start_status(host: Host, address: str, *, port: int = 0, **bindings: Any) -> str:
    """Start the status Worker with empty stores before a world that answers at `address`; returns its own address."""
    return host.start(
        "status",
        port=port,
        bindings={**BINDINGS, **bindings},
        d1Databases=["DB"],
        email={"send_email": [{"name": "EMAIL"}]},
        ratelimits={"ADMIN_LIMIT": {"simple": {"limit": 1_000_000, "period": 60}}},
        outboundService={"external": {"address": address, "http": {}}},
    )
