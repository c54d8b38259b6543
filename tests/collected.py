"""A plugin for pytest that writes what was collected: each test's id and its parameters, in order, as JSON.

Loaded by `-p tests.collected`, it writes to the file that the variable COLLECTED names.
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
"""Where a session keeps what it collected."""


def pytest_collection_finish(session: pytest.Session) -> None:
    Path(os.environ["COLLECTED"]).write_text(json.dumps(of(session.items)))


def of(items: Iterable[pytest.Item]) -> list[Any]:
    """Return each test's id and its parameters, as they are once read from JSON."""
    return [[item.nodeid, told(getattr(getattr(item, "callspec", None), "params", {}))] for item in items]


def told(value: Any) -> Any:
    """Return a value as JSON: equal for equal values, wherever in the memory they lie."""
    match value:
        case Mapping():
            return [[told(key), told(item)] for key, item in value.items()]
        case list() | tuple():
            return [told(item) for item in value]
        case set() | frozenset():  # its members count, the order in which they come does not
            return sorted((told(item) for item in value), key=json.dumps)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return [type(value).__name__, *([one.name, told(getattr(value, one.name))] for one in fields(value))]
        case _:
            return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
