"""Connections through the stand-ins for Cloudflare Tunnel: the edge's side, and the connectors on machines."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.edge import start
from sandbox.machines.services import packages
from tests.sandbox.edge.edges import LIMIT_SECONDS, free_ports

TOKEN = {"a": "account", "t": "tunnel", "s": "secret"}
CLOUDFLARED = packages.HERE / "cloudflared/usr/bin/cloudflared"


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1_024):
            self.request.sendall(b"echo " + data)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


class Edge:
    """The edge's side, with the port of a Hyperdrive configuration whose database is `service`."""

    def __init__(self, stack: ExitStack) -> None:
        (number,) = free_ports(1)
        self.address = f"127.10.{number >> 8}.{number & 255}"
        service = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo))
        threading.Thread(target=service.serve_forever, daemon=True).start()
        stack.callback(service.shutdown)
        tunnel = {
            "id": "tunnel",
            "token": TOKEN,
            "services": {"db.example": f"tcp://127.0.0.1:{service.server_address[1]}"},
        }
        hyperdrive = {"id": "h", "host": "db.example", "database": "d", "user": "u", "password": "p"}
        program = (
            f"const {{ Tunnels }} = await import({json.dumps(start.HOST.with_name('tunnels.mjs').as_uri())});"
            f"const tunnels = new Tunnels(); tunnels.tunnels = [{json.dumps(tunnel)}];"
            f"tunnels.listen({json.dumps(self.address)}, 7844);"
            f"console.log((await tunnels.addressesOf([{json.dumps(hyperdrive)}])).h);"
        )
        command = [str(start.node()), "--input-type=module", "--eval", program]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        assert process.stdout is not None
        self.database = urlsplit(process.stdout.readline().strip())

    def ask(self) -> bytes:
        """Send a message to the database, and return the answer; nothing if the connection ends."""
        address = ("127.0.0.1", self.database.port or 0)
        with socket.create_connection(address, timeout=LIMIT_SECONDS) as client, suppress(ConnectionError):
            client.sendall(b"hello")
            return client.recv(1_024)
        return b""


@contextmanager
def connector(edge: Edge, folder: Path, token: dict[str, str] = TOKEN) -> Generator[subprocess.Popen[bytes]]:
    """Run the stand-in for cloudflared; its `ready` tells whether it has a connection."""
    (port,) = free_ports(1)
    (folder / "token").write_bytes(base64.b64encode(json.dumps(token).encode()))
    program = CLOUDFLARED.read_text().replace("region1.v2.argotunnel.com", edge.address)
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(folder / f"notify-{port}"))
    environment = {
        **os.environ,
        "TUNNEL_TOKEN_FILE": str(folder / "token"),
        "NOTIFY_SOCKET": str(folder / f"notify-{port}"),
    }
    command = [sys.executable, "-c", program, "--metrics", f"127.0.0.1:{port}", "tunnel", "run"]
    with notified, subprocess.Popen(command, env=environment) as process:

        def status() -> int:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return 0

        process.status = status  # pyright: ignore[reportAttributeAccessIssue]
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


@pytest.fixture
def edge() -> Iterator[Edge]:
    with ExitStack() as stack:
        yield Edge(stack)


def test_hyperdrive_reaches_the_database_through_any_connector_that_lives(edge: Edge, tmp_path: Path):
    assert (edge.database.username, edge.database.path, edge.database.query) == ("u", "/d", "sslmode=require")
    with connector(edge, tmp_path) as first, connector(edge, tmp_path) as second:
        for one in (first, second):
            wait_for(lambda one=one: one.status() == 200)  # pyright: ignore[reportAttributeAccessIssue]
        assert [edge.ask() for _ in range(12)] == [b"echo hello"] * 12  # more than the connections that wait
        first.send_signal(signal.SIGSTOP)  # like a machine without power
        assert [edge.ask() for _ in range(12)] == [b"echo hello"] * 12
        second.kill()
        assert edge.ask() == b""
        first.send_signal(signal.SIGCONT)
        wait_for(lambda: edge.ask() == b"echo hello")


def test_a_connector_with_another_token_is_not_ready(edge: Edge, tmp_path: Path):
    with connector(edge, tmp_path, {**TOKEN, "s": "another secret"}) as one:
        assert wait_for(one.status) == 503  # pyright: ignore[reportAttributeAccessIssue]
        assert edge.ask() == b""
