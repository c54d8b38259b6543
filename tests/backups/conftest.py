"""The command line, and a server on loopback that answers as it is told."""

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
    """A command that has ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@dataclass
class Server:
    """What it answers, and what it was asked."""

    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    repeat: int = 1
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def listen(self) -> ThreadingHTTPServer:
        """A server that is not running yet."""
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers.get("authorization")
                told.asked.append((self.path, token))
                right = token == f"Bearer {TOKEN}"
                self.send_response(told.code if right else 401)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for _ in range(told.repeat):
                        self.wfile.write(told.body if right else b"{}")
                except ConnectionError:
                    pass

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that wants the token, which the environment has."""
    monkeypatch.setenv("BACKUPS_TOKEN", TOKEN)
    told = Server()
    with told.listen() as listening:
        told.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield told
        listening.shutdown()
        thread.join()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line as a shell would, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> Ran:
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run
