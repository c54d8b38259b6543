"""A pytest plugin that writes the id and the parameters of each collected test as JSON, in order.

Load it with `-p tests.collected`. It writes to the file in the environment variable COLLECTED.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

COLLECTED = pytest.StashKey[list[Any]]()
"""The key of a session's collected tests."""


def pytest_collection_finish(session: pytest.Session) -> None:
    Path(os.environ["COLLECTED"]).write_text(json.dumps(of(session.items)))


def of(items: Iterable[pytest.Item]) -> list[Any]:
    """Return each test's id and parameters as JSON values."""
    return [[item.nodeid, plain(getattr(getattr(item, "callspec", None), "params", {}))] for item in items]


def plain(value: Any) -> Any:
    """Return a value as JSON, without memory addresses, so that equal values give equal JSON."""
    match value:
        case Mapping():
            return [[plain(key), plain(item)] for key, item in value.items()]
        case list() | tuple():
            return [plain(item) for item in value]
        case set() | frozenset():  # sorted, because the order of a set varies
            return sorted((plain(item) for item in value), key=json.dumps)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return [type(value).__name__, *([one.name, plain(getattr(value, one.name))] for one in fields(value))]
        case _:
            return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
