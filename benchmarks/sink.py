"""A minimal S3 server that stores objects as files. It is fast enough not to limit a benchmark."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

CHUNK = 1 << 20


class _Server(ThreadingHTTPServer):
    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.seconds_a_mib = 0.0
        self.objects: dict[str, tuple[Path, str]] = {}
        """The file and SHA-256 of each object, by the path of its URL."""
        self.metadata: dict[str, str] = {}
        """The SHA-256 in the metadata of each upload in parts, by its path."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_PUT(self) -> None:
        path = self.server.folder / hashlib.sha256(self.path.encode()).hexdigest()
        digest, remaining = hashlib.sha256(), int(self.headers["content-length"])
        pause = self.server.seconds_a_mib
        with path.open("wb") as file:
            while remaining > 0 and (chunk := self.rfile.read(min(remaining, CHUNK))):
                digest.update(chunk)
                file.write(chunk)
                remaining -= len(chunk)
                time.sleep(pause * len(chunk) / CHUNK)
        matches = digest.hexdigest() == self.headers["x-amz-content-sha256"]
        if matches:
            self.server.objects[unquote(self.path)] = (path, digest.hexdigest())
        self._respond(200 if matches else 400)

    def do_POST(self) -> None:
        """Begin an upload in parts, or complete it."""
        address = urlsplit(self.path)
        if address.query.startswith("uploads"):
            self.server.metadata[address.path] = self.headers["x-amz-meta-sha256"]
            self._answer_xml("<UploadId>1</UploadId>")
            return
        self.rfile.read(int(self.headers["content-length"]))
        number, whole = 1, self.server.folder / hashlib.sha256(address.path.encode()).hexdigest()
        with whole.open("wb") as file:
            while part := self.server.objects.pop(f"{unquote(address.path)}?partNumber={number}&uploadId=1", None):
                with part[0].open("rb") as bytes_of_part:
                    shutil.copyfileobj(bytes_of_part, file)
                part[0].unlink()
                number += 1
        self.server.objects[unquote(address.path)] = (whole, self.server.metadata[address.path])
        self._answer_xml("<ETag>1</ETag>")

    def _answer_xml(self, text: str) -> None:
        body = f"<Result>{text}</Result>".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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
        self.send_header("etag", '"etag"')
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

    def slow_down(self, seconds_a_mib: float) -> None:
        """Take so many seconds longer for each MiB of a PUT."""
        self._server.seconds_a_mib = seconds_a_mib

    @property
    def address(self) -> str:
        """Return the server's HOST:PORT."""
        return f"127.0.0.1:{self._server.server_port}"

    def sha256(self, path: str) -> str:
        """Return the SHA-256 of a stored object's bytes."""
        with self._server.objects[path][0].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def close(self) -> None:
        """Stop the server and delete its files."""
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()
