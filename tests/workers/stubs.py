"""A PostgreSQL server's part of the conversation, played on the loopback: whatever a real one cannot be made to say."""

import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cache


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message of the protocol: its type, its length, its body."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def authentication(asked: int, details: bytes = b"") -> bytes:
    """Return a request to authenticate; 0 asks for nothing more."""
    return message(b"R", asked.to_bytes(4, "big") + details)


def ready() -> bytes:
    """Return what ends every answer."""
    return message(b"Z", b"I")


def complete(tag: str) -> bytes:
    """Return what ends a statement's answer."""
    return message(b"C", tag.encode() + b"\0")


def row_description(*columns: str) -> bytes:
    """Return the columns that the next rows have, all of type text."""
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
    """Return a refusal with more to say than anybody should read."""
    return message(b"E", f"SFATAL\0C{sql_state}\0Mpassword of operator at 10.20.30.40 is wrong\0\0".encode())


def answer(**values: str | None) -> bytes:
    """Return the whole answer to a query of one row."""
    return row_description(*values) + row(*values.values()) + complete("SELECT 1") + ready()


WELCOME = authentication(0) + ready()
HEALTHY = answer(writable="t", standbys="2", synchronous_standbys="2", lag_bytes="0")
REPLICATED = answer(worker_groups_replicated="t")
WELL = (WELCOME, HEALTHY, REPLICATED)


class Postgres:
    """Says the next of `lines` after each message of a client, hangs up after the last."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.lines = lines
        self.received: list[bytes] = []

    @contextmanager
    def serving(self) -> Generator[str]:
        """Be the server until the context ends; gives a connection string, which is the same for every one."""
        listener = _listener()
        before, listener.server = listener.server, self
        try:
            yield f"postgres://operator:pass-phrase@127.0.0.1:{listener.port}/ledger"
        finally:
            listener.server = before

    def play(self, connection: socket.socket) -> None:
        """Have one conversation."""
        for line in self.lines:
            heard = connection.recv(4096)
            if not heard:
                return
            self.received.append(heard)
            connection.sendall(line)


class _Listener:
    """Listens for all of them, so that a Worker need not be started for each; without one it hangs up."""

    def __init__(self) -> None:
        self.server: Postgres | None = None
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]

    def accept(self) -> None:
        """Have every conversation in a thread of its own."""
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._converse, args=[connection, self.server], daemon=True).start()

    def _converse(self, connection: socket.socket, server: Postgres | None) -> None:
        with connection, suppress(ConnectionError):  # the client may have had enough
            if server is not None:
                server.play(connection)


@cache
def _listener() -> _Listener:
    listener = _Listener()
    threading.Thread(target=listener.accept, daemon=True).start()
    return listener
