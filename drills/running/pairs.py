"""Clients that commit the same number in two groups, one after the other: a restore is judged by torn pairs.

With Citus, `citus_create_restore_point` lets no distributed commit end while it makes a point in all groups. Without
Citus nothing does that, so these clients pause at the moments at which the machines make their points.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import psycopg

from drills.failover.writers import OPTIONS, Route, enter
from drills.running.aws.pairs import is_pause

TABLE = "drill_pairs"


class PairWriters(Protocol):
    """Clients of two groups; each commits its own numbers in both."""

    @property
    def count(self) -> int:
        """The number of pairs that were committed in both groups."""
        ...

    def start(self) -> None:
        """Make the tables and begin to write."""
        ...

    def stop(self) -> None:
        """Stop writing."""
        ...


class Pairs:
    """These clients on the live sandbox."""

    def __init__(self, first: Sequence[Route], second: Sequence[Route], clients: int = 4) -> None:
        self._routes: tuple[Sequence[Route], Sequence[Route]] = (first, second)
        self._stopped: threading.Event = threading.Event()
        self._counts: list[int] = [0] * clients
        self._threads: list[threading.Thread] = [
            threading.Thread(target=self._loop, args=(number,), daemon=True) for number in range(clients)
        ]

    @property
    def count(self) -> int:
        """The number of pairs that were committed in both groups."""
        return sum(self._counts)

    def start(self) -> None:
        """Make the tables and begin to write."""
        for routes in self._routes:
            thread = threading.Thread(target=self._make, args=(routes[0],))
            thread.start()
            thread.join()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop writing."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)

    def _make(self, route: Route) -> None:
        enter(route.namespace)
        with psycopg.connect(f"{route.conninfo} {OPTIONS}", autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
            connection.execute(f"CREATE TABLE {TABLE} (client int, number int, PRIMARY KEY (client, number))")

    def _loop(self, client: int) -> None:
        connections: list[psycopg.Connection] = []
        for routes in self._routes:
            enter(routes[0].namespace)
            connections.append(psycopg.connect(f"{routes[0].conninfo} {OPTIONS}", autocommit=True))
        with suppress(psycopg.Error):
            while not self._stopped.is_set():
                if is_pause(time.time()):
                    time.sleep(0.05)
                    continue
                number = self._counts[client] + 1
                for connection in connections:
                    connection.execute(f"INSERT INTO {TABLE} VALUES (%s, %s)", [client, number])
                self._counts[client] = number
        for connection in connections:
            connection.close()
