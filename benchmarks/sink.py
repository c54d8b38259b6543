"""An S3 that keeps bytes in files and is in nobody's way: for measuring what comes to it."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

CHUNK = 1 << 20


class _Server(ThreadingHTTPServer):
    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.objects: dict[str, tuple[Path, str]] = {}
        """File and SHA-256, by path."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_PUT(self) -> None:
        path = self.server.folder / hashlib.sha256(self.path.encode()).hexdigest()
        digest, left = hashlib.sha256(), int(self.headers["content-length"])
        with path.open("wb") as file:
            while left > 0 and (chunk := self.rfile.read(min(left, CHUNK))):
                digest.update(chunk)
                file.write(chunk)
                left -= len(chunk)
        good = digest.hexdigest() == self.headers["x-amz-content-sha256"]
        if good:
            self.server.objects[unquote(self.path)] = (path, digest.hexdigest())
        self._answer(200 if good else 400)

    def do_HEAD(self) -> None:
        found = self._found()
        self._answer(404 if found is None else 200, found)

    def do_GET(self) -> None:
        found = self._found()
        self._answer(404 if found is None else 200, found)
        if found is not None:
            with found[0].open("rb") as file:
                while chunk := file.read(CHUNK):
                    self.wfile.write(chunk)

    def _found(self) -> tuple[Path, str] | None:
        return self.server.objects.get(unquote(self.path))

    def _answer(self, status: int, found: tuple[Path, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(found[0].stat().st_size if found else 0))
        if found:
            self.send_header("x-amz-meta-sha256", found[1])
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Sink:
    """Serves `GET`, `HEAD` and `PUT` of objects until closed; refuses a body that is not of the announced SHA-256."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._server = _Server(Path(self._folder.name))
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """End it, and remove what it has."""
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()
