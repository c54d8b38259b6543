"""How long tests wait for what does come: the one limit, which no machine is slow enough to meet.

A test waits for an event and judges what it finds then. Only what never comes meets this limit, and that is a failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable

GENEROUS = 120
"""Seconds."""


def until(happened: Callable[[], object], what: str) -> None:
    """Wait until something has happened; `what` says it for whoever reads that it never did."""
    end = time.monotonic() + GENEROUS
    while not happened():
        assert time.monotonic() < end, f"never in {GENEROUS} s: {what}"
        time.sleep(0.01)
