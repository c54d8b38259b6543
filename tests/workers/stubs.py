"""What the Workers talk to, played on the loopback: an API behind HTTP, and a PostgreSQL server's first words."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Api:
    """Answers every request with the same status and body, or hangs up when there is no body."""

    def __init__(self) -> None:
        self.status = 200
        self.body: str | None = None
        self.asked: list[str] = []

    @contextmanager
    def serving(self) -> Generator[str]:
        """Serve until the context ends; gives HOST:PORT."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(f"{self.headers['Host']} {self.path}")
                if api.body is None:
                    self.close_connection = True
                    return
                self.send_response(api.status)
                self.send_header("content-length", str(len(api.body.encode())))
                self.end_headers()
                self.wfile.write(api.body.encode())

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class Postgres:
    """Reads one message from each connection and answers with `reply`; `None` never answers."""

    def __init__(self, reply: bytes | None) -> None:
        self.reply = reply
        self.received: list[bytes] = []

    @contextmanager
    def serving(self) -> Generator[str]:
        """Serve until the context ends; gives a connection string."""
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()
        try:
            yield f"postgres://operator:pass-phrase@127.0.0.1:{listener.getsockname()[1]}/ledger"
        finally:
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        held: list[socket.socket] = []
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the listener was closed
                return
            self.received.append(connection.recv(1024))
            if self.reply is None:
                held.append(connection)
            else:
                connection.sendall(self.reply)
                connection.close()
