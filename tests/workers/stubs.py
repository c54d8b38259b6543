"""A scripted PostgreSQL server on the loopback interface, for answers that a real server does not give on request."""

import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cache


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message of the protocol: type, length and body."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def authentication(asked: int, details: bytes = b"") -> bytes:
    """Return an authentication request; 0 means that authentication is complete."""
    return message(b"R", asked.to_bytes(4, "big") + details)


def ready() -> bytes:
    """Return the message ReadyForQuery, which ends every answer."""
    return message(b"Z", b"I")


def complete(tag: str) -> bytes:
    """Return the message CommandComplete, which ends the answer to a statement."""
    return message(b"C", tag.encode() + b"\0")


def row_description(*columns: str) -> bytes:
    """Return the description of the next rows' columns, all of type text."""
    fields = b"".join(name.encode() + b"\0" + bytes(6) + b"\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0" for name in columns)
    return message(b"T", len(columns).to_bytes(2, "big") + fields)


def row(*values: str | None) -> bytes:
    """Return one row; None is NULL."""
    fields = b"".join(
        b"\xff\xff\xff\xff" if value is None else len(value.encode()).to_bytes(4, "big") + value.encode()
        for value in values
    )
    return message(b"D", len(values).to_bytes(2, "big") + fields)


def error(sql_state: str) -> bytes:
    """Return an error with internals that must not reach a client."""
    return message(b"E", f"SFATAL\0C{sql_state}\0Mpassword of operator at 10.20.30.40 is wrong\0\0".encode())


def answer(**values: str | None) -> bytes:
    """Return the complete answer to a query of one row."""
    return row_description(*values) + row(*values.values()) + complete("SELECT 1") + ready()


WELCOME = authentication(0) + ready()
HEALTHY = answer(writable="t", standbys="2", synchronous_standbys="2", lag_bytes="0")
REPLICATED = answer(worker_groups_replicated="t")
WELL = (WELCOME, HEALTHY, REPLICATED)


class Postgres:
    """Sends the next one of `lines` after each message of a client, and closes the connection after the last."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.lines = lines
        self.received: list[bytes] = []

    @contextmanager
    def serving(self) -> Generator[str]:
        """Serve until the context ends; yield a connection string, which is the same for every instance."""
        listener = _listener()
        before, listener.server = listener.server, self
        try:
            yield f"postgres://operator:pass-phrase@127.0.0.1:{listener.port}/ledger"
        finally:
            listener.server = before

    def play(self, connection: socket.socket) -> None:
        """Serve one connection."""
        for line in self.lines:
            heard = connection.recv(4096)
            if not heard:
                return
            self.received.append(heard)
            connection.sendall(line)


class _Listener:
    """One listener for all instances, so that Workers need no restart; without an instance it closes connections."""

    def __init__(self) -> None:
        self.server: Postgres | None = None
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]

    def accept(self) -> None:
        """Serve each connection in its own thread."""
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._converse, args=[connection, self.server], daemon=True).start()

    def _converse(self, connection: socket.socket, server: Postgres | None) -> None:
        with connection, suppress(ConnectionError):  # the client may close the connection early
            if server is not None:
                server.play(connection)


@cache
def _listener() -> _Listener:
    listener = _Listener()
    threading.Thread(target=listener.accept, daemon=True).start()
    return listener
