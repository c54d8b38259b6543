"""The memory of every process of a live stack, from its control groups."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sandbox.machines.machine import Machine
from sandbox.machines.processes import Group

PERIOD = 20.0  # seconds
AGE = 60.0  # seconds
_OWN = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)
_NAME = re.compile(r"^Name:\s+(.+)$", re.MULTILINE)


def memory_of(group: Group, least_age: float = AGE) -> dict[str, int]:
    """Return the anonymous resident memory (RssAnon) of a control group's processes in KiB, summed by program name.

    Only processes that have run for `least_age` seconds count: a command that ends soon cannot grow.
    """
    sizes: dict[str, int] = defaultdict(int)
    for folder, _, _ in os.walk(group.path):  # unlike `rglob`, it goes on if a control group ends meanwhile
        with suppress(OSError):
            for id in (Path(folder) / "cgroup.procs").read_text(encoding="utf-8").split():
                _add(int(id), least_age, sizes)
    return dict(sizes)


def age_of(id: int) -> float:
    """Return for how many seconds a process has run. Raises `OSError` if it has ended."""
    # Field 22 of the line; the second one is the name in parentheses, which may contain anything.
    begun = int(Path(f"/proc/{id}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - begun / os.sysconf("SC_CLK_TCK")


def _add(id: int, least_age: float, sizes: dict[str, int]) -> None:
    with suppress(OSError):  # the process has ended meanwhile
        text = Path(f"/proc/{id}/status").read_text(encoding="utf-8")
        own, name = _OWN.search(text), _NAME.search(text)
        if own and name and age_of(id) >= least_age:
            sizes[name[1]] += int(own[1])


class Sampler:
    """Samples the memory of groups in the background."""

    def __init__(self, machines: Mapping[str, Machine], others: Mapping[str, Group]) -> None:
        self._groups: dict[str, Group] = {**{name: one.group for name, one in machines.items()}, **others}
        self._stopped: threading.Event = threading.Event()
        self._thread: threading.Thread = threading.Thread(target=self._run, daemon=True)
        self.samples: dict[str, list[int]] = defaultdict(list)
        """The sizes in KiB by group and program, such as `coordinator-0 patroni`, oldest first."""
        self.rounds: int = 0
        """How often all groups were sampled."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD):
            for name, group in self._groups.items():
                for program, size in memory_of(group).items():
                    self.samples[f"{name} {program}"].append(size)
            self.rounds += 1
