"""The time limit of all tests, and functions that wait for a condition.

A test waits for an event and then checks the result. The limit is so long that even a slow machine meets it only if the
event never happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

TIMEOUT_SECONDS = 120
"""Seconds."""


def attempts() -> Iterator[None]:
    """Yield repeatedly, with a short pause in between, until the time limit."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(0.02)


def until(happened: Callable[[], object], event: str) -> None:
    """Wait until `happened` returns true. After the time limit, fail with the description `event`."""
    assert any(happened() for _ in attempts()), f"did not happen within {TIMEOUT_SECONDS} s: {event}"
