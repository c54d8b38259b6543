"""systemd units among a machine's files, and the files that override them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.views.calendars import calendar_gap_seconds
from policies.views.machines import ENVIRONMENT, UNITS, Machine, duration_seconds, sections

SLACK_SECONDS: Final = 60.0  # systemd's default AccuracySec
# Keys with which a service does nothing, or something else, although its command is right.
DECIDING: Final = ("Condition", "Assert", "ExecCondition", "ExecStartPre", "Environment", "PassEnvironment")


@dataclass(frozen=True)
class Unit:
    """A unit of a machine, `backbuild-backup@full.service`: its own file, or its template's."""

    machine: Machine
    name: str

    @property
    def path(self) -> str:
        """The path of its file."""
        stem, kind = self._parts
        own = f"{UNITS}/{self.name}"
        return own if own in self.machine.files else f"{UNITS}/{stem.partition('@')[0]}@.{kind}" if "@" in stem else own

    @property
    def _parts(self) -> tuple[str, str]:
        stem, _, kind = self.name.rpartition(".")
        return stem, kind

    def values(self, section: str, key: str) -> list[str]:
        """Return all values of a key in a section; an empty value clears those before it."""
        found: list[str] = []
        for name, value in sections(self.machine.file(self.path)).get(section, ()):
            if name == key:
                found = [*found, value] if value else []
        return found

    def last(self, section: str, key: str) -> str:
        """Return the last value of a key, empty if it is not set."""
        return (self.values(section, key) or [""])[-1]

    def overridden(self) -> str | None:
        """Return what overrides its file, or makes it conditional."""
        for drop_in in self._drop_ins():
            return f"{drop_in} overrides {self.name}; write it into the unit itself"
        for section, settings in sections(self.machine.file(self.path)).items():
            for key, _ in settings:
                if key.startswith(DECIDING):
                    return f"{self.path}: {key} in [{section}] may change or prevent what it runs; remove it"
        return None

    def _drop_ins(self) -> Iterator[str]:
        stem, kind = self._parts
        for path in self.machine.files:
            folder = path.split("/")[-2]
            whose = folder.removesuffix(f"{kind}.d").removesuffix(".")
            if folder.endswith((f".{kind}.d", f"/{kind}.d")) or folder == f"{kind}.d":
                general = not whose or (whose.endswith("-") and stem.startswith(whose))
                if general or whose in {stem, f"{stem.partition('@')[0]}@"}:
                    yield path


def packaged_overridden(
    machine: Machine, service: str, drop_in: str, allowed: Mapping[str, tuple[str, ...] | None]
) -> str | None:
    """Return which file overrides a service of a Debian package, or which setting its own drop-in must not have.

    `allowed`: the keys that [Service] in the drop-in may set, with their values; None: any value is accepted.
    """
    for path in machine.files:
        if path != drop_in and re.search(rf"/({service}\.)?service(\.d/|$)", path):
            return f"{path} overrides {service}.service; use {drop_in}"
    for key, value in sections(machine.files.get(drop_in, "")).get("Service", ()):
        values = allowed.get(key, ())
        if values is not None and value not in values:
            return f"{drop_in}: {key}={value} may change the settings of {service}; remove it"
    return None


def late(machine: Machine, timer: str, most_seconds: float) -> str | None:
    """Return what is wrong with a timer that must run at least this often."""
    if timer not in machine.services:
        return f"{ENVIRONMENT}: SERVICES does not enable {timer}"
    if timer in machine.figure(ENVIRONMENT, "DISABLED").split():
        return f"{ENVIRONMENT}: DISABLED also lists {timer}"
    unit = Unit(machine, timer)
    gap, delay = _gap(unit), _delay(unit)
    if isinstance(gap, str) or isinstance(delay, str):
        return gap if isinstance(gap, str) else str(delay)
    if gap + delay > most_seconds:
        late_by = f" and {delay / 3600:g} h of delay" if delay else ""
        return (
            f"{unit.path}: up to {gap / 3600:g} h{late_by} between runs; {most_seconds / 3600:g} h at most are promised"
        )
    return unit.overridden()


def _gap(unit: Unit) -> float | str:
    """Return the longest time between two runs of a timer, or why it is unknown."""
    calendars = unit.values("Timer", "OnCalendar")
    gaps = {calendar: calendar_gap_seconds(calendar) for calendar in calendars}
    for calendar, gap in gaps.items():
        if gap is None:
            return f"{unit.path}: OnCalendar={calendar} cannot be read; write *-*-* HH:MM:SS UTC"
    return min((gap for gap in gaps.values() if gap), default=f"{unit.path}: [Timer] sets no OnCalendar")


def _delay(unit: Unit) -> float | str:
    """Return how much later than its calendar a timer may run, beyond systemd's default of a minute."""
    found = [duration_seconds(unit.last("Timer", key) or "0") for key in ("RandomizedDelaySec", "AccuracySec")]
    known = [seconds for seconds in found if seconds is not None]
    if len(known) < len(found):
        return f"{unit.path}: RandomizedDelaySec or AccuracySec cannot be read; write seconds"
    return max(sum(known) - SLACK_SECONDS, 0.0)


def starts(machine: Machine, timer: str, service: str, command: str) -> str | None:
    """Return what is wrong with the service that a timer starts, and with its one command."""
    unit = Unit(machine, timer)
    named = unit.last("Timer", "Unit") or f"{timer.removesuffix('.timer')}.service"
    if named != service:
        return f"{unit.path}: Unit={named}; {service} is expected"
    started = Unit(machine, service)
    commands = started.values("Service", "ExecStart")
    if commands != [command]:
        return f"{started.path}: ExecStart={' and '.join(commands) or 'not set'}; {command} is expected"
    return started.overridden()
