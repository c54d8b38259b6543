"""Clients on a machine that commit the same number in two groups, one after the other.

Sent to the machine as it is, so it imports nothing of the platform. Its only argument is JSON: `table`, `clients`, and
`targets`, which has libpq's connection string for the first and for the second group.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

PERIOD, BEFORE, AFTER = 30.0, 1.0, 8.0  # seconds: points are made every half minute, a little after it


def is_pause(moment: float) -> bool:
    """Return whether a point may be made at a Unix time, or is about to be."""
    into = moment % PERIOD
    return into < AFTER or into > PERIOD - BEFORE


def _driver() -> Any:
    """Return the driver that Patroni has brought along: both versions have the functions that are used here."""
    with suppress(ImportError):
        return import_module("psycopg")
    return import_module("psycopg2")


def _cursor(target: str) -> Any:
    connection = _driver().connect(f"{target} connect_timeout=2 tcp_user_timeout=3000 application_name=drill")
    connection.autocommit = True
    return connection.cursor()


def write(settings: dict[str, Any], client: int) -> None:
    """Commit one number after the other in both groups. Any failure ends this client."""
    cursors, number = [_cursor(target) for target in settings["targets"]], 0
    while True:
        if is_pause(time.time()):
            time.sleep(0.05)
            continue
        number += 1
        for cursor in cursors:
            cursor.execute(f"INSERT INTO {settings['table']} VALUES (%s, %s)", [client, number])


def main() -> None:
    """Make the tables, and let all clients write."""
    settings = json.loads(sys.argv[1])
    for target in settings["targets"]:
        cursor, table = _cursor(target), settings["table"]
        cursor.execute(f"CREATE TABLE {table} (client int, number int, PRIMARY KEY (client, number))")
        cursor.connection.close()
    clients = [threading.Thread(target=write, args=(settings, number)) for number in range(settings["clients"])]
    for one in clients:
        one.start()


if __name__ == "__main__":
    main()
