"""The files of D1 databases, as miniflare names them."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from sandbox.edge import plan, start
from sandbox.machines.inventory import Inventory
from sandbox.machines.place import Place

_KIND = "miniflare-D1DatabaseObject"
_HALF = 16  # bytes


def id_of(inventory: Inventory, name: str) -> str | None:
    """Return the id of the database with this name."""
    return next((one.id for one in inventory.of_type(plan.DATABASE) if one.outputs["name"] == name), None)


def file_of(place: Place, id: str) -> Path:
    """Return the file of a database: workerd derives its name from the id, as that of any Durable Object."""
    key = sha256(_KIND.encode()).digest()
    first = hmac.digest(key, id.encode(), "sha256")[:_HALF]
    return start.folder(place) / "d1" / _KIND / f"{(first + hmac.digest(key, first, 'sha256')[:_HALF]).hex()}.sqlite"


def delete(place: Place, id: str) -> None:
    """Delete the files of a database."""
    file = file_of(place, id)
    for part in ("", "-wal", "-shm"):
        file.with_name(file.name + part).unlink(missing_ok=True)


def read(place: Place, id: str, query: str, *values: Any) -> Sequence[Sequence[Any]]:
    """Return the rows of a query. Raises `sqlite3.Error` without the database, or before it has the tables."""
    with closing(sqlite3.connect(f"file:{file_of(place, id)}?mode=ro", uri=True, timeout=1)) as connection:
        return connection.execute(query, values).fetchall()


def change(place: Place, id: str, statement: str, *values: Any) -> None:
    """Run a statement. The edge must be stopped: workerd expects that nobody else writes to its files."""
    with closing(sqlite3.connect(file_of(place, id))) as connection, connection:
        connection.execute(statement, values)
