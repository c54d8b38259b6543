"""A client of the API: asks `/health` twice a second, and records what it gets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import httpx

from drills.failover.checks import longest_stall

PERIOD = 0.5  # seconds between the beginnings of two requests
TIMEOUT = 5.0  # seconds; the report is ready within two
OK = 200
STEADY = 3  # answers: an outage is over when so many in a row are good


@dataclass(frozen=True)
class Answer:
    """One request: its times by the monotonic clock, the status (0 without an answer), and each component's health."""

    begun: float
    ended: float
    status: int
    components: Mapping[str, str]

    @property
    def good(self) -> bool:
        """Whether the API serves: it answers 503 when customers notice a failure."""
        return self.status == OK


def components_of(body: str) -> dict[str, str]:
    """Return the health of each component in a report; nothing if the body is no report."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        report: Any = json.loads(body)
        return {str(name): str(one["status"]) for name, one in report["components"].items()}
    return {}


def outage(answers: Sequence[Answer], since: float, until: float) -> float:
    """Return the longest time without a good answer, in seconds."""
    return longest_stall([one.ended for one in answers if one.good], since, until).seconds


def first_failure(answers: Sequence[Answer], since: float) -> float | None:
    """Return when the first bad answer to a request after a moment came."""
    return next((one.ended for one in answers if one.begun >= since and not one.good), None)


def served_since(answers: Sequence[Answer], since: float) -> float | None:
    """Return the time of the first good answer after the last bad one; None if fewer than `STEADY` followed."""
    asked = [one for one in answers if one.begun >= since]
    good = list(takewhile(lambda one: one.good, reversed(asked)))
    return good[-1].ended if len(good) >= STEADY else None


class Prober:
    """Asks one URL until `stop`."""

    def __init__(self, url: str) -> None:
        self.answers: list[Answer] = []
        self._url: str = url
        self._stopped: threading.Event = threading.Event()
        self._thread: threading.Thread = threading.Thread(target=self._loop, name="prober", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking; the answers are kept."""
        self._stopped.set()
        self._thread.join(2 * TIMEOUT)

    def _loop(self) -> None:
        with httpx.Client(timeout=TIMEOUT) as client:
            while not self._stopped.is_set():
                begun = time.monotonic()
                self.answers.append(self._ask(client, begun))
                self._stopped.wait(max(0.0, begun + PERIOD - time.monotonic()))

    def _ask(self, client: httpx.Client, begun: float) -> Answer:
        try:
            answer = client.get(self._url)
        except httpx.HTTPError:
            return Answer(begun, time.monotonic(), 0, {})
        return Answer(begun, time.monotonic(), answer.status_code, components_of(answer.text))
