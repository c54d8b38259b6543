"""The clients of a stack at AWS. They write on its machines, and this computer reads what they record."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from drills.failover.checks import Commit
from drills.running.aws import machines
from drills.running.traffic import Clients
from drills.sites.parallel import everywhere
from drills.sites.site import Site, SiteError
from model.topology import Topology

READ_SECONDS = 1.0  # between two reads of a machine's lines; the command itself takes one or two seconds
COMMAND_SECONDS = 30
STALE_SECONDS = 10.0  # a machine whose lines could not be read for so long may have lost its clients
CLOCKS_SECONDS = 1.0  # a computer that keeps time over NTP is far below


class RemoteTraffic(Clients):
    """Clients on the machines of each database group, which write to the other groups."""

    def __init__(self, topology: Topology, site: Callable[[], Site], run: str, sql: Callable[[str, str], str]) -> None:
        self._topology: Topology = topology
        self._site: Callable[[], Site] = site
        self._run: str = run
        self._sql: Callable[[str, str], str] = sql
        self._machines: dict[str, tuple[str, ...]] = machines.clients_of(topology)
        self._known: list[Commit] = []
        self._offsets: dict[str, int] = {}
        self._occupied: set[str] = set()
        """The machines on which clients may run."""
        self._read_at: dict[str, float] = {}
        """The moment, by the monotonic clock, up to which a machine's lines have been read."""
        self._lock: threading.Lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {machine: threading.Lock() for machine in self._machines}
        self._stopped: threading.Event = threading.Event()
        self._readers: list[threading.Thread] = []
        self._epoch: float = time.time() - time.monotonic()
        self._clocks: dict[str, float] = {}
        """Within how many seconds the clocks of the machines and of this computer agree, as far as it is known."""

    @property
    def groups(self) -> Collection[str]:
        """The groups that the clients write to."""
        return [group.name for group in self._topology.database_groups]

    def begin(self) -> None:
        """Start the clients on all machines, and begin to read what they record."""
        self.begin_on_machines()
        for machine in self._machines:
            thread = threading.Thread(target=self._loop, args=(machine,), name=f"reader of {machine}", daemon=True)
            thread.start()
            self._readers.append(thread)

    def begin_on_machines(self) -> None:
        """Start the clients on all machines, and read their clocks."""
        begun = {machine: machines.start(self._topology, machine, self._run) for machine in self._machines}
        self._offsets = dict.fromkeys(begun, 0)
        self._occupied = set(begun)
        everywhere(lambda machine: self._site().run(machine, begun[machine], COMMAND_SECONDS), list(begun))
        everywhere(self.read, list(begun))

    def end(self) -> None:
        """Stop the clients, read the rest of their lines, and remove them from the machines that answer."""
        self._stopped.set()
        for thread in self._readers:
            thread.join()
        self._readers = []
        everywhere(self._end_on, list(self._offsets))
        self._offsets = {}

    def _end_on(self, machine: str) -> None:
        with suppress(SiteError):  # a machine that lost power has no clients any more
            self._site().run(machine, machines.STOP, COMMAND_SECONDS)
            while self.read(machine):
                pass
        with suppress(SiteError):
            self._site().run(machine, machines.REMOVE, COMMAND_SECONDS)
            self._occupied.discard(machine)

    def remove(self) -> None:
        """Stop and remove the clients of machines that did not answer at the end. Raises `SiteError`."""
        everywhere(self._remove_from, sorted(self._occupied))
        self._occupied = set()

    def _remove_from(self, machine: str) -> None:
        for command in (machines.STOP, machines.REMOVE):
            self._site().run(machine, command, COMMAND_SECONDS)

    def _loop(self, machine: str) -> None:
        while not self._stopped.wait(READ_SECONDS):
            with suppress(SiteError):  # `known_until` tells when that lasts
                self.read(machine)

    def read(self, machine: str) -> int:
        """Read what a machine's clients have recorded since the last time; return the number of commits.

        Raises `SiteError` if the machine does not answer, or if its clock is wrong.
        """
        with self._reading[machine]:
            sent = time.time()
            output = self._site().run(machine, machines.read(self._offsets[machine]), COMMAND_SECONDS)
            received = time.time()
            found = machines.reading_of(output)
            if (error := machines.clock_error(sent, found.clock, received)) > CLOCKS_SECONDS:
                raise SiteError(
                    f"the clocks of {machine} and of this computer differ by at least {error:.1f} s, so no time can be "
                    "compared; synchronise this computer's clock, for example with chrony"
                )
            with self._lock:
                self._offsets[machine] += found.size
                self._known += [machines.shifted(one, self._epoch) for one in found.commits]
                self._read_at[machine] = found.until - self._epoch
                bound = machines.clock_bound(sent, found.clock, received)
                self._clocks[machine] = min(self._clocks.get(machine, math.inf), bound)
        return len(found.commits)

    @property
    def clock_seconds(self) -> float:
        """Within how many seconds the clocks of all machines that were read and this computer's agree."""
        with self._lock:
            return max(self._clocks.values(), default=math.inf)

    def outage(self, group: str, since: float, until: float) -> float:
        """Return the longest time without an acknowledged commit of a group, in seconds."""
        for machine, groups in self._machines.items():
            if group in groups:
                with suppress(SiteError):
                    self.read(machine)
        return super().outage(group, since, until)

    def recorded(self) -> list[Commit]:
        """Return the acknowledged commits, in any order."""
        with self._lock:
            return list(self._known)

    def known_until(self, group: str) -> float:
        """Return the moment up to which all acknowledged commits of a group are known; now, if no machine answers."""
        now = time.monotonic()
        with self._lock:
            moments = [self._read_at.get(machine, 0) for machine, groups in self._machines.items() if group in groups]
        return min((one for one in moments if now - one < STALE_SECONDS), default=now)

    def present(self, group: str) -> Collection[tuple[str, int]]:
        """Return the writer and the number of each commit that a group has now."""
        return machines.numbers_of(self._sql(group, machines.present(self._run)))
