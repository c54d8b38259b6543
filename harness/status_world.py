"""A server that simulates the status Worker's environment: the API's health report, components and webhooks."""

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

from harness.waiting import TIMEOUT_SECONDS
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
    "LAST_RESTORE": {
        "at": "2026-11-20T10:05:30+00:00",
        "from": "replica",
        "beside": False,
        "point": "2026-11-20T10:01:30+00:00",
        "recoverySeconds": 205.2,
        "lossSeconds": 19.3,
        "title": "Whole database lost, rebuilt from replica alone",
        "stack": "staging",
        "sandbox": True,
        "report": "0008-2026-11-20-database-lost-replica",
        "sha256": "0" * 64,
    },
    "ALARM_EMAILS": ["oncall@operator.example"],
    "ALARM_WEBHOOKS": '["http://alarm.example/hook"]',
    "ALARM_SECRET": ALARM_SECRET,
    "SENDER": "notifications@status.example",
    "WEBHOOK_KEY": WEBHOOK_KEY,
    "OPERATORS": json.dumps({OPERATOR: hashlib.sha256(TOKEN.encode()).hexdigest()}),
}


def report(**changes: str) -> str:
    """Return a health report in which all components are ok, except `changes`."""
    states = {**dict.fromkeys(COMPONENTS, "ok"), **changes}
    overall = "down" if states["database"] == "down" else "ok" if set(states.values()) == {"ok"} else "degraded"
    return json.dumps({"status": overall, "components": {name: {"status": state} for name, state in states.items()}})


@dataclass
class World:
    """The simulated hosts. `api.example` responds with `status` and `body`; a POST to any host is a webhook.

    If `body` is None, the API closes the connection without a response.
    """

    status: int = 200
    body: str | None = field(default_factory=report)
    asked: list[str] = field(default_factory=list[str])
    hooks: list[Hook] = field(default_factory=list[Hook])
    answer: Callable[[Hook], int | None] = lambda _hook: 204
    retry_after: str | None = None  # the header of each response
    components: dict[str, int] = field(default_factory=dict[str, int])  # status codes of components, by host
    crowd: int = 1  # requests wait until this number of them can be answered together
    hanging: set[str] = field(default_factory=set[str])  # hosts that respond only after `release`
    busy: int = 0  # requests in progress
    busiest: int = 0  # the maximum of `busy`
    changed: threading.Condition = field(default_factory=threading.Condition)

    def well(self) -> None:
        """Let the API report all components as ok."""
        self.status, self.body = 200, report()

    def database_down(self) -> None:
        """Let the API report the database as down."""
        self.status, self.body = 503, report(database="down")

    def silent(self) -> None:
        """Let the API close connections without a response."""
        self.body = None

    def release(self) -> None:
        """Let all hanging hosts respond."""
        with self.changed:
            self.hanging.clear()
            self.changed.notify_all()

    @contextmanager
    def serving(self) -> Generator[str]:
        """Serve this world until the context ends. Yields HOST:PORT, which is the same for every world."""
        server = _server()
        before, server.world = server.world, self
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.world = before
            self.release()


class _Server(ThreadingHTTPServer):
    """The server of the present world. All worlds share it, so a Worker need not be restarted for each."""

    daemon_threads = True
    world: World | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: a Worker that crashes closes its connections, which some tests do on purpose."""


class _Handler(BaseHTTPRequestHandler):
    @property
    def _world(self) -> World:
        assert isinstance(self.server, _Server)
        assert self.server.world is not None, "a Worker sent a request after its test had ended"
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
            world.changed.wait_for(lambda: len(world.asked) >= together, TIMEOUT_SECONDS)
            world.changed.wait_for(lambda: host not in world.hanging)
        if world.crowd > 1:
            time.sleep(0.1)  # lets requests above the expected number arrive; a late one does not fail a test
        with world.changed:
            world.busy -= 1
        if host in world.components:
            self._respond(world.components[host], "")
        elif world.body is None:
            self.close_connection = True
        else:
            self._respond(world.status, world.body)

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
            self._respond(status, "")

    def _respond(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body.encode())))
        if self._world.retry_after is not None:
            self.send_header("retry-after", self._world.retry_after)
        self.send_header("connection", "close")  # else the next request could use a connection that is being closed
        if 300 <= status < 400:
            self.send_header("location", "http://elsewhere.example/")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@cache
def _server() -> _Server:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    return server


def start_status(host: Host, address: str, *, port: int = 0, **bindings: Any) -> str:
    """Start the status Worker with empty stores and a world at `address`. Return the Worker's address."""
    return host.start(
        "status",
        port=port,
        bindings={**BINDINGS, **bindings},
        d1Databases=["DB"],
        email={"send_email": [{"name": "EMAIL"}]},
        ratelimits={"ADMIN_LIMIT": {"simple": {"limit": 1_000_000, "period": 60}}},
        outboundService={"external": {"address": address, "http": {}}},
    )
