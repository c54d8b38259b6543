"""Clients that write one row after another, each in the network of a machine, and record each acknowledged commit."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from drills.failover.checks import Commit
from sandbox.machines.network import NAMESPACES

TABLE = "failover_drill"
PAUSE = 0.02  # seconds between two commits
PATIENCE = 5.0  # seconds: a client that waits longer for an answer connects again
# A client behind a broken link gives up after three to four seconds.
OPTIONS = (
    "connect_timeout=2 keepalives_idle=2 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=3000 "
    "application_name=failover_drill"
)
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Route:
    """A way to a database: the network namespace in which the client is, and libpq's connection string."""

    namespace: str
    conninfo: str


def enter(namespace: str) -> None:
    """Move this thread, and no other, into a network namespace."""
    with (NAMESPACES / namespace).open() as file:
        if _libc.setns(file.fileno(), NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")


def present(routes: Sequence[Route], run: str) -> set[tuple[str, int]]:
    """Return the writer and the number of each row that the database has. Raises the last route's error."""

    def ask(route: Route) -> set[tuple[str, int]]:
        enter(route.namespace)
        with psycopg.connect(f"{route.conninfo} {OPTIONS}") as connection:
            statement = f"SELECT writer, number FROM {TABLE} WHERE run = %s"
            return {(str(writer), int(number)) for writer, number in connection.execute(statement, [run])}

    # A thread of its own for each route: this one must stay in its network.
    error: Exception = RuntimeError("there is no route")
    for route in routes:
        with ThreadPoolExecutor(1) as pool:
            try:
                return pool.submit(ask, route).result()
            except (OSError, psycopg.Error) as problem:
                error = problem
    raise error


class Writer:
    """Writes until `stop`. A failed commit may have happened or not, so the next row gets a new number."""

    def __init__(self, run: str, group: str, name: str, routes: Sequence[Route]) -> None:
        self.group = group
        self.name = name
        self.routes = routes
        self.commits: list[Commit] = []
        self.error = ""
        self._run = run
        self._number = 0
        self._connection: psycopg.Connection | None = None
        self._first = True  # whether the connection takes the first route
        self._waiting_since: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Stop writing."""
        self._stopped.set()
        self._thread.join(PATIENCE)

    def hurry(self) -> None:
        """End the connection if the client has waited too long for an answer."""
        since = self._waiting_since
        if since is not None and time.monotonic() - since > PATIENCE:
            self._disconnect()

    def go_home(self) -> None:
        """End the connection if it takes another route than the first, which is then tried first again."""
        if not self._first:
            self._disconnect()

    def _disconnect(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)

    def _loop(self) -> None:
        while not self._stopped.is_set():
            for route in self.routes:
                before = len(self.commits)
                self._first = route is self.routes[0]
                try:
                    enter(route.namespace)
                    with psycopg.connect(f"{route.conninfo} {OPTIONS}", autocommit=True) as connection:
                        self._connection = connection
                        self._write(connection)
                except (OSError, psycopg.Error) as error:
                    self.error = str(error)
                self._connection = None
                if len(self.commits) > before:
                    break
            time.sleep(0.1)

    def _write(self, connection: psycopg.Connection) -> None:
        with self._patiently():
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {TABLE} (run text, writer text, number bigint, "
                "PRIMARY KEY (run, writer, number))"
            )
            # Only a leader knows its timeline by this statement; a standby refuses it.
            row = connection.execute(
                "SELECT host(inet_server_addr()), left(pg_walfile_name(pg_current_wal_lsn()), 8)"
            ).fetchone()
        assert row is not None
        server, timeline = str(row[0]), str(row[1])
        while not self._stopped.is_set():
            self._number += 1
            begun = time.monotonic()
            with self._patiently():
                connection.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, %s)", [self._run, self.name, self._number])
            self.commits.append(Commit(self.group, self.name, self._number, begun, time.monotonic(), server, timeline))
            time.sleep(PAUSE)

    @contextmanager
    def _patiently(self) -> Generator[None]:
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waiting_since = None


def watch(writers: Sequence[Writer], stopped: threading.Event) -> Callable[[], None]:
    """Start to end the connections of clients that wait too long, and return the function that ends this."""

    def loop() -> None:
        while not stopped.wait(0.25):
            for one in writers:
                one.hurry()

    threading.Thread(target=loop, name="watch", daemon=True).start()
    return stopped.set
