"""Clients on a database machine: write numbered rows, and append one line of JSON for each acknowledged commit.

Sent to the machine as it is, so it imports nothing of the platform. It has no password: the database accepts the
machine's certificate. Its only argument is JSON: `run`, `machine`, `file`, `table`, and `targets`, which has libpq's
connection string for each group.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any


def _driver() -> Any:
    """Return the driver that Patroni has brought along: both versions have the functions that are used here."""
    with suppress(ImportError):
        return import_module("psycopg")
    return import_module("psycopg2")


driver: Any = _driver()
PAUSE = 0.1  # seconds between two commits: a machine reports about 2 KB/s of lines for two groups
PATIENCE = 5.0  # seconds: a client that waits longer for an answer connects again
OPTIONS = (
    "connect_timeout=2 keepalives_idle=2 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=3000 "
    "application_name=drill"
)


class Client:
    """Writes to one group until the process ends. A failed commit may have happened: the next row has a new number."""

    def __init__(self, settings: dict[str, Any], group: str, file: int) -> None:
        self.group = group
        self.writer = f"{group} from {settings['machine']}"
        self._settings = settings
        self._file = file
        self._number = 0
        self._connection: Any = None
        self._waiting_since: float | None = None

    def hurry(self) -> None:
        """End the connection if the client has waited too long for an answer."""
        # A statement's timeout would not do: it ends a commit's wait for its standby, and then reports success.
        since, connection = self._waiting_since, self._connection
        if since is not None and connection is not None and time.monotonic() - since > PATIENCE:
            # It may have ended meanwhile.
            with suppress(OSError, driver.Error), socket.socket(fileno=os.dup(connection.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)

    def loop(self) -> None:
        """Connect and write, again and again."""
        while True:
            try:
                self._connection = driver.connect(f"{self._settings['targets'][self.group]} {OPTIONS}")
                self._connection.autocommit = True
                self._write(self._connection.cursor())
            except (OSError, driver.Error) as error:
                print(f"{self.writer}: {error}", file=sys.stderr)
            if self._connection is not None:
                self._connection.close()
            self._waiting_since = self._connection = None
            time.sleep(PAUSE)

    def _write(self, cursor: Any) -> None:
        table = self._settings["table"]
        self._waiting_since = time.monotonic()
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (run text, writer text, number bigint, "
            "PRIMARY KEY (run, writer, number))"
        )
        # Only a leader knows its timeline by this statement; a standby refuses it.
        cursor.execute("SELECT host(inet_server_addr()), left(pg_walfile_name(pg_current_wal_lsn()), 8)")
        server, timeline = cursor.fetchone()
        while True:
            self._number += 1
            begun = time.time()
            self._waiting_since = time.monotonic()
            row = [self._settings["run"], self.writer, self._number]
            cursor.execute(f"INSERT INTO {table} VALUES (%s, %s, %s)", row)
            self._waiting_since = None
            line = [self.group, self.writer, self._number, round(begun, 4), round(time.time(), 4), server, timeline]
            os.write(self._file, f"{json.dumps(line)}\n".encode())  # at once: lines of two clients never mix
            time.sleep(PAUSE)


def main() -> None:
    """Write to all groups."""
    settings = json.loads(sys.argv[1])
    file = os.open(settings["file"], os.O_WRONLY | os.O_APPEND)
    clients = [Client(settings, group, file) for group in settings["targets"]]
    for one in clients:
        threading.Thread(target=one.loop, daemon=True).start()
    while True:
        time.sleep(0.25)
        for one in clients:
            one.hurry()


if __name__ == "__main__":
    main()
