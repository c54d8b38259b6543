"""Fixtures: run a command line, and an HTTP server on the loopback with configurable responses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from backups.cli import main

TOKEN = "the-token-of-the-report"


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@dataclass
class Server:
    """The response to send, and the requests (path and authorization header) that were received."""

    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    repeat: int = 1
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def listen(self) -> ThreadingHTTPServer:
        """Bind a server to a free port. The caller runs it."""
        configured = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers.get("authorization")
                configured.requests.append((self.path, token))
                authorized = token == f"Bearer {TOKEN}"
                self.send_response(configured.code if authorized else 401)
                for name, value in configured.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for _ in range(configured.repeat):
                        self.wfile.write(configured.body if authorized else b"{}")
                except ConnectionError:
                    pass

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server that requires the token in BACKUPS_TOKEN."""
    monkeypatch.setenv("BACKUPS_TOKEN", TOKEN)
    configured = Server()
    with configured.listen() as listening:
        configured.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield configured
        listening.shutdown()
        thread.join()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs a command line in a terminal 300 columns wide."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> Ran:
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run
