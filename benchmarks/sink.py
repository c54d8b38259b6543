"""A minimal S3 server that stores objects as files. It is fast enough not to limit a benchmark."""

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
        """The file and SHA-256 of each object, by the path of its URL."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_PUT(self) -> None:
        path = self.server.folder / hashlib.sha256(self.path.encode()).hexdigest()
        digest, remaining = hashlib.sha256(), int(self.headers["content-length"])
        with path.open("wb") as file:
            while remaining > 0 and (chunk := self.rfile.read(min(remaining, CHUNK))):
                digest.update(chunk)
                file.write(chunk)
                remaining -= len(chunk)
        matches = digest.hexdigest() == self.headers["x-amz-content-sha256"]
        if matches:
            self.server.objects[unquote(self.path)] = (path, digest.hexdigest())
        self._respond(200 if matches else 400)

    def do_HEAD(self) -> None:
        found = self._found()
        self._respond(404 if found is None else 200, found)

    def do_GET(self) -> None:
        found = self._found()
        self._respond(404 if found is None else 200, found)
        if found is not None:
            with found[0].open("rb") as file:
                while chunk := file.read(CHUNK):
                    self.wfile.write(chunk)

    def _found(self) -> tuple[Path, str] | None:
        return self.server.objects.get(unquote(self.path))

    def _respond(self, status: int, found: tuple[Path, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(found[0].stat().st_size if found else 0))
        if found:
            self.send_header("x-amz-meta-sha256", found[1])
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Sink:
    """Serves GET, HEAD and PUT of objects until closed. Rejects a body whose SHA-256 differs from its header."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._server = _Server(Path(self._folder.name))
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    @property
    def address(self) -> str:
        """Return the server's HOST:PORT."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop the server and delete its files."""
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()
