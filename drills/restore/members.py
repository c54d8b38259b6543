"""Let machines run the steps of `backbuild-restore`, and wait for them."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from drills.sites.site import Site, SiteError

COMMAND = "/usr/local/sbin/backbuild-restore"
SECONDS = 120  # the limit for a command that does not wait for a step
STEP_SECONDS = 12 * 3600  # copying and recovering terabytes

Json = dict[str, Any]
Result = TypeVar("Result")
Progress = Callable[[str, Mapping[str, Json]], None]
"""Called with a step's name, and the progress of each member."""


class Members:
    """Members of a stack that take part in one restore."""

    def __init__(self, site: Site, name: str, progress: Progress) -> None:
        self._site: Site = site
        self._name: str = name
        self._progress: Progress = progress

    def ask(self, member: str, *words: str, seconds: float = SECONDS) -> str:
        """Run a command of `backbuild-restore` on a member and return its output."""
        return self._site.run(member, shlex.join([COMMAND, *words]), seconds)

    def shell(self, member: str, command: str, seconds: float = SECONDS) -> str:
        """Run a shell command on a member and return its output."""
        return self._site.run(member, command, seconds)

    def everywhere(self, function: Callable[[str], Result], members: Sequence[str]) -> dict[str, Result]:
        """Call a function for several members at once."""
        with ThreadPoolExecutor(max(len(members), 1)) as pool:
            return dict(zip(members, pool.map(function, members), strict=True))

    def begin(self, plan: Json, members: Sequence[str]) -> None:
        """Begin the restore on members, or continue it. Raises `SiteError` if one of them has another restore."""
        text = json.dumps(plan, sort_keys=True)
        self.everywhere(lambda member: self.ask(member, "begin", self._name, text), members)

    def status(self, member: str) -> Json:
        """Return what a member knows about the restore on it; empty if there is none."""
        return json.loads(self.ask(member, "status") or "{}")

    def step(self, name: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Run a step on members, each with its arguments, unless they have done it. Return the results.

        Raises `SiteError` with the reasons of all members on which it failed.
        """
        results: dict[str, Json] = {}
        waiting = list(arguments)
        started: set[str] = set()
        deadline = time.monotonic() + STEP_SECONDS
        while waiting:
            states = self.everywhere(self.status, waiting)
            self._progress(name, {member: state.get("progress", {}) for member, state in states.items()})
            failures: list[str] = []
            for member, state in states.items():
                if name in state["results"]:
                    results[member] = state["results"][name]
                    waiting.remove(member)
                elif state["running"]:
                    pass
                elif member in started and state["failed"]:
                    failures.append(f"{member}: {state['failed']['reason']}")
                else:  # it has not begun here, or a reboot has ended it
                    self.ask(member, "start", self._name, name, json.dumps(arguments[member]))
                    started.add(member)
            if failures:
                raise SiteError("; ".join(failures))
            if waiting and time.monotonic() > deadline:
                raise SiteError(f"{', '.join(waiting)}: {name} did not end within {STEP_SECONDS} s")
            if waiting:
                time.sleep(self._site.poll_seconds)
        return results
