"""How long tests wait for what does come: the one limit, which no machine is slow enough to meet.

A test waits for an event and judges what it finds then. Only what never comes meets this limit, and that is a failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

GENEROUS = 120
"""Seconds."""


def attempts() -> Iterator[None]:
    """Come again and again, with a short pause between, until the limit."""
    end = time.monotonic() + GENEROUS
    while time.monotonic() < end:
        yield
        time.sleep(0.02)


def until(happened: Callable[[], object], what: str) -> None:
    """Wait until something has happened; `what` says it for whoever reads that it never did."""
    assert any(happened() for _ in attempts()), f"never within {GENEROUS} s: {what}"
