"""Let machines run the steps of `backbuild-restore`, and wait for them."""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drills.sites.parallel import Result, everywhere
from drills.sites.site import Site, SiteError

COMMAND = "/usr/local/sbin/backbuild-restore"
SECONDS = 120  # the limit for a command that does not wait for a step
STEP_SECONDS = 12 * 3600  # copying and recovering terabytes
UNREACHABLE_SECONDS = 600  # a machine that boots does not answer
STARTS = 3  # a reboot ends a step, but not each time

Json = dict[str, Any]
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
        """Call a function for several members at once. Raises `SiteError` with the reasons of all that failed."""
        return everywhere(function, members)

    def begin(self, plan: Json, members: Sequence[str]) -> None:
        """Begin the restore on members, or continue it. Raises `SiteError` if some of them have another restore."""
        text = json.dumps(plan, sort_keys=True)
        self.everywhere(lambda member: self.ask(member, "begin", self._name, text), members)

    def status(self, member: str, step: str = "") -> Json:
        """Return what a member knows about the restore on it, with a step's result; empty if there is no restore."""
        return json.loads(self.ask(member, "status", *([step] if step else [])) or "{}")

    def step(self, name: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Run a step on members, each with its arguments, unless they have done it. Return the results.

        Raises `SiteError` with the reasons of all members on which it failed.
        """
        step = _Step(self, self._name, name, arguments)
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            progress = step.look()
            self._progress(name, progress)
            if not step.waiting:
                return step.results
            if time.monotonic() > deadline:
                raise SiteError(f"{', '.join(step.waiting)}: {name} did not end within {STEP_SECONDS} s")
            time.sleep(self._site.poll_seconds)


class _Step:
    """A step that runs on members."""

    def __init__(self, members: Members, restore: str, name: str, arguments: Mapping[str, Json]) -> None:
        self._members, self._restore, self._name, self._arguments = members, restore, name, arguments
        self._answered: dict[str, float] = dict.fromkeys(arguments, time.monotonic())
        self._starts: Counter[str] = Counter()
        self.waiting: list[str] = list(arguments)
        self.results: dict[str, Json] = {}

    def look(self) -> dict[str, Json]:
        """Ask all members, start the step where it does not run, and return the members' progress."""
        states = self._members.everywhere(self._state, self.waiting)
        failures = [
            f"{member}: {reason}" for member, state in states.items() if (reason := self._failure(member, state))
        ]
        if failures:
            raise SiteError("; ".join(failures))
        for member, state in states.items():
            if state and self._name in state["results"]:
                self.results[member] = state["results"][self._name]
                self.waiting.remove(member)
            elif state and not state["running"]:  # it has not begun here, or a reboot has ended it
                self._starts[member] += 1
                given = json.dumps(self._arguments[member])
                self._members.ask(member, "start", self._restore, self._name, given)
        return {member: state["progress"] if state else {} for member, state in states.items()}

    def _state(self, member: str) -> Json | None:
        """Return a member's state; None while it does not answer."""
        try:
            state = self._members.status(member, self._name)
        except SiteError:
            if time.monotonic() > self._answered[member] + UNREACHABLE_SECONDS:
                raise
            return None
        self._answered[member] = time.monotonic()
        return state

    def _failure(self, member: str, state: Json | None) -> str | None:
        if state is None:
            return None
        if state.get("name") != self._restore:
            return f"it has no restore {self._restore} any more; run the command again with the same arguments"
        if self._name in state["results"] or state["running"] or not self._starts[member]:
            return None
        if state["failed"]:
            return state["failed"]["reason"]
        if self._starts[member] == STARTS:
            return f"{self._name} ended {STARTS} times without a result; read `journalctl -u backbuild-restore` there"
        return None
