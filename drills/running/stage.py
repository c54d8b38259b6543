"""Faults, repairs and waits of a scenario on a live stack. Each method adds to the report's timeline what it does."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from console.errors import CommandError, InputError
from drills.failover.fleet import Fleet
from drills.failover.writers import Route
from drills.restore.course import Course, Request, remove
from drills.restore.target import target_of
from drills.running import cloud, rolling
from drills.running.copies import Copies
from drills.running.edge import Edge
from drills.running.maintenance import Maintenance
from drills.running.pairs import Pairs, PairWriters
from drills.running.report import SANDBOX, Check
from drills.running.timeline import Timeline
from drills.running.traffic import FRESH_SECONDS, Clients, Traffic
from drills.sites.commands import as_postgres, psql
from drills.sites.live import LiveSite
from drills.sites.site import Site, SiteError
from model.restore_points import time_of
from model.topology import DATABASE_NAME, Port, Topology
from sandbox.machines.machine import Machine

PAUSE = 0.5
ROLLING_PAUSE = 1.0  # a machine boots in some seconds
POINT_SECONDS = 75.0  # more than MARGIN in drills/restore/target.py, plus half the period of restore points
HEALTHY_SECONDS = 600.0
CERTIFICATE = "/run/backbuild/tls"  # a link to the folder of the present certificate, on a machine
STEADY_SECONDS = 3.0  # the clients write for this long before the fault
POINT_AGE_SECONDS = 60.0
"""How much older than the fault a restore point may be: machines make two a minute."""
UNDISTURBED_SECONDS = 5.0
"""How long clients of a database that a fault does not touch may wait: a busy computer also stalls them."""


class NotReachedError(CommandError):
    """A state that a scenario waited for did not come in time."""


class Stage:
    """One live stack with clients that write. `drills.running.aws.stage` is the same for a stack at AWS."""

    on: str = "live"

    def __init__(self, topology: Topology, root: Path, folder: Path, run: str) -> None:
        self.topology: Topology = topology
        self.root: Path = root
        self.folder: Path = folder
        self._rebuilding: subprocess.Popen[bytes] | None = None
        self._deployed: Path = root
        self.timeline: Timeline = Timeline()
        self.traffic: Clients = Traffic(self.fleet, run, folder)
        self.edge: Edge = Edge(self)
        self.copies: Copies = Copies(self)
        self.fault_at: float | None = None
        self.served_at: float | None = None
        self.last_fault_at: float | None = None
        self.excepted: frozenset[str] = frozenset()
        """The groups that may be without a leader for longer than the scenario's limit."""
        self.restored: dict[str, Any] | None = None
        self.checks: list[Check] = []
        """The scenario's own checks; the runner adds those of every drill."""
        self.memory: dict[str, Any] = {}
        """Values that a step keeps for later steps."""
        self.left: list[str] = []
        """The faults that `mend` could not undo, with the reasons."""
        self._restore_step: str = ""
        self._beside: str | None = None
        """The restore beside that this drill has begun and not removed."""

    @property
    def limitations(self) -> Sequence[str]:
        """What a report must say about where it was measured."""
        return SANDBOX

    @property
    def groups(self) -> list[str]:
        """The names of the database groups, the coordinator first."""
        return [group.name for group in self.topology.database_groups]

    def members(self, *groups: str) -> list[str]:
        """Return the names of the members of groups."""
        return [member.name for group in self.topology.groups if group.name in groups for member in group.members]

    def leader(self, group: str) -> str:
        """Return the member that leads a group."""
        (found,) = self.fleet().primaries(group)
        return found

    def address(self, member: str) -> str:
        """Return a member's address."""
        return next(one.address for group in self.topology.groups for one in group.members if one.name == member)

    def in_zone_of(self, member: str) -> list[str]:
        """Return the names of all members in a member's zone."""
        everyone = [one for group in self.topology.groups for one in group.members]
        zone = next(one.zone for one in everyone if one.name == member)
        return [one.name for one in everyone if one.zone == zone]

    def unhealthy(self) -> dict[str, str]:
        """Return the reason for each machine that is not healthy."""
        return self.fleet().unhealthy()

    def check(self, text: str, holds: bool, found: str) -> None:
        """Record something that must hold."""
        self.checks.append(Check(text, holds, found))
        self.timeline.add("check", f"{text}: {found}")

    def steady(self) -> None:
        """Wait until every machine is healthy and every group serves, and let the clients write for a while."""
        self._wait_for_health(HEALTHY_SECONDS)
        for group in self.groups:
            self.until(f"{group} serves", lambda group=group: self.traffic.serves(group), 60)
        time.sleep(STEADY_SECONDS)

    def mend(self) -> None:
        """Undo what the drill has begun, also after a drill that stopped: the list below.

        Deleted resources and lost objects stay: `refresh` and `up` repair what the program declares.
        """
        for what, undo in (
            ("the update that it has begun", self._end_rebuilding),
            ("the machines and networks", lambda: self.fleet().mend()),
            ("the edge", self.edge.mend),
            ("the health of the machines", lambda: self._wait_for_health(HEALTHY_SECONDS)),
            ("the maintenance", self._end_maintenance),
            ("the deployment", self._end_deployment),
            ("the cluster beside", self.end_beside),
        ):
            self._undo(what, undo)

    def _wait_for_health(self, seconds: float, pause: float = PAUSE) -> None:
        self.until("every machine is healthy", lambda: not self.unhealthy(), seconds, pause)

    def end_traffic(self) -> None:
        """Stop the clients; a failure is kept in `left`."""
        self._undo("the clients", self.traffic.end)

    def _undo(self, what: str, undo: Callable[[], None]) -> None:
        """Undo a fault; if that fails or is interrupted, keep it in `left` and go on with the other ones."""
        try:
            undo()
        except (Exception, KeyboardInterrupt) as error:
            reason = "interrupted by the operator" if isinstance(error, KeyboardInterrupt) else error
            self.left.append(f"{what}: {reason}")
            self.timeline.add("stopped", f"not undone: {what}: {reason}")

    def _end_rebuilding(self) -> None:
        """Wait for an `up` that a stopped drill has begun: an interrupted `up` would leave resources half created."""
        if self._rebuilding is None or self._rebuilding.poll() is not None:
            return  # a step has reported its end
        code = self._rebuilding.wait(cloud.REBUILD_SECONDS)
        if code != 0 and self._deployed == self.root:  # else `_end_deployment` runs another one
            raise SiteError(f"`up` has failed (exit code {code}); run it again")

    def _end_deployment(self) -> None:
        """Deploy the project itself if another one is deployed."""
        if self._deployed != self.root:
            self.deploy(self.root)

    def _end_maintenance(self) -> None:
        if "maintenance" in vars(self):
            self.maintenance.end()

    @cached_property
    def maintenance(self) -> Maintenance:
        """Maintenance of the database, announced by the first operator in the settings."""
        tokens: dict[str, str] = json.loads(self.edge.output("statusTokens"))
        return Maintenance(self, next(iter(tokens.values())))

    def fleet(self) -> Fleet:
        """Return the machines as they are now: a rebuilt one is another instance."""
        return Fleet(self.root, self.topology.stack)

    def site(self) -> LiveSite:
        """Return the machines with the folders and objects of the sandbox."""
        return LiveSite(self.root, self.topology.stack)

    def machines(self) -> Site:
        """Return the machines, wherever the stack is."""
        return self.site()

    # Faults.

    def fault(self, text: str) -> None:
        """Record that a fault begins now: the outage is measured from the first one, lost data from the last one."""
        self.last_fault_at = self.timeline.add("fault", text)
        if self.fault_at is None:
            self.fault_at = self.last_fault_at

    def lose_power(self, *members: str) -> None:
        """End machines at once."""
        fleet = self.fleet()
        self.fault(f"{', '.join(members)}: power lost")
        fleet.everywhere(lambda member: fleet.machine(member).kill(), members)

    def give_power(self, *members: str) -> None:
        """Boot machines that have lost power."""
        self.timeline.add("recovery", f"{', '.join(members)}: power is back")
        self.fleet().boot(members)

    def lose_for_good(self, *members: str) -> None:
        """Lose machines with their volumes."""
        site = self.site()
        self.fault(f"{', '.join(members)}: machines and volumes lost")
        cloud.lose_machines(site.place, site.inventory, members)

    # What an operator does.

    def begin_rebuilding(self) -> None:
        """Begin to create what is lost again, in the background, as `pulumi refresh` and `pulumi up` do."""
        self.timeline.add("recovery", "refresh and up: lost resources are created again")
        self._rebuilding = cloud.begin_rebuilding(self.root, self.topology.stack, self._log)

    def first_members_run(self, seconds: float = 300) -> None:
        """Wait until the first machine of each database group has booted."""
        first = [group.members[0].name for group in self.topology.database_groups]
        site = self.site()
        for member in first:
            self.until(f"{member} runs", lambda member=member: self._has_booted(site, member), seconds)
        self.timeline.add("recovery", f"{', '.join(first)} have booted")

    def _has_booted(self, site: LiveSite, member: str) -> bool:
        """Return whether Patroni has been configured on a member, which may not exist yet."""
        with suppress(SiteError):
            site.run(member, "test -e /run/backbuild/patroni-curl", 30)
            return True
        return False

    def finish_rebuilding(self) -> None:
        """Wait until everything is created and every health gate has passed."""
        self._finish_up()
        self.timeline.add("recovery", "up has created everything, and every health gate has passed")

    @property
    def _log(self) -> Path:
        return self.folder / "up.log"

    def _finish_up(self) -> None:
        assert self._rebuilding is not None
        cloud.finish_rebuilding(self._rebuilding, self._log)

    def rebuild(self) -> None:
        """Create what is lost again, and wait until everything is created."""
        self.begin_rebuilding()
        self.finish_rebuilding()

    def roll(self, project: Path) -> None:
        """Replace every machine with `up` of a project; the clients move to the new machines."""
        self.timeline.add("recovery", "up begins to replace the machines")
        assert isinstance(self.traffic, Traffic)
        process = self._begin_deployment(project)
        known = self._reachable()
        while process.poll() is None:
            time.sleep(ROLLING_PAUSE)
            found = self._reachable()
            if found - known:
                self.traffic.renew()
            known = found
        self._finish_deployment(project)
        self.traffic.renew()
        self.timeline.add("recovery", "up has replaced every machine, and every health gate has passed")

    def deploy(self, project: Path) -> None:
        """Run `up` of a project that changes no machine."""
        self._begin_deployment(project)
        self._finish_deployment(project)
        self.timeline.add("recovery", "up has deployed the change")

    def _begin_deployment(self, project: Path) -> subprocess.Popen[bytes]:
        if project != self.root:
            self._deployed = project  # also if `up` fails: some of the change may be deployed
        self._rebuilding = rolling.begin(self.root, project, self.topology.stack, self._log)
        return self._rebuilding

    def _finish_deployment(self, project: Path) -> None:
        self._finish_up()
        self._deployed = project

    def _reachable(self) -> set[str]:
        """Return the ids of the machines that have got their certificate, so that clients can enter them."""
        place = self.fleet().place
        leaders = {id: Machine(place, id).leader() for id in self.site().inventory.instances}
        certificates = {id: Path(f"/proc/{leader}/root{CERTIFICATE}") for id, leader in leaders.items() if leader}
        return {id for id, certificate in certificates.items() if certificate.is_symlink()}

    def restore(self, copy: str, to: str, into: str | None = None, invariants: Sequence[str] = ()) -> dict[str, Any]:
        """Restore all groups from a copy, in place or beside."""
        self._beside = into
        self.timeline.add("recovery", f"restore from {copy} to {to} begins")
        course = Course(self.topology, self.machines(), Request(copy, target_of(to), into, invariants), self._step)
        result = course.restore(course.prepare())
        self.timeline.add("recovery", f"restored from {copy} to {result['point']}")
        self.restored = {"from": copy, **result}
        return result

    def _step(self, step: str, _: object) -> None:
        if self._restore_step != step:
            self._restore_step = step
            self.timeline.add("recovery", f"restore: {step}")

    # What can be asked and waited for.

    def pass_time(self, seconds: float) -> None:
        """Let time pass while the clients write."""
        time.sleep(seconds)

    def outage(self, group: str) -> float:
        """Return the longest time without an acknowledged commit of a group since the fault, in seconds."""
        assert self.fault_at is not None
        return self.traffic.outage(group, self.fault_at, time.monotonic())

    def check_writes_go_on(self, text: str) -> None:
        """Record a check that no group's clients have waited longer than `UNDISTURBED_SECONDS` since the fault."""
        longest = max(self.outage(group) for group in self.groups)
        self.check(text, longest <= UNDISTURBED_SECONDS, f"longest stall {longest:.1f} s")

    def check_point(self, point: str) -> None:
        """Record a check that a restore point is at most `POINT_AGE_SECONDS` older than the fault."""
        age = (datetime.fromisoformat(self.fault_time()) - time_of(point)).total_seconds()
        text = f"the restored data end at most {POINT_AGE_SECONDS:g} s before the fault"
        self.check(text, 0 <= age <= POINT_AGE_SECONDS, f"{age:.0f} s before it")

    def until(self, what: str, holds: Callable[[], bool], seconds: float, pause: float = PAUSE) -> float:
        """Wait until `holds`, and return when it did. Raises `NotReachedError` with `what` after some seconds."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise NotReachedError(f"{seconds:g} s have passed without this: {what}")
            time.sleep(pause)
        return time.monotonic()

    def detected(self, group: str, seconds: float = 60) -> None:
        """Wait until clients of a group notice that it does not serve."""
        self.until(f"{group} stops serving", lambda: not self.traffic.serves(group), seconds)
        self.timeline.add("detection", f"clients of {group} have had no acknowledged commit for two seconds")

    def fault_time(self) -> str:
        """Return when the fault began, in ISO 8601."""
        assert self.fault_at is not None
        moment = datetime.fromtimestamp(time.time() - (time.monotonic() - self.fault_at), UTC)
        return moment.isoformat(timespec="seconds")

    def served(self, *groups: str, seconds: float = 600) -> None:
        """Wait until groups acknowledge commits that began after the fault; the last of them ends the outage."""
        since = self.fault_at
        assert since is not None
        moments: list[float] = []
        for group in groups:
            self.until(f"{group} serves again", lambda group=group: self._fresh(group, since), seconds)
            found = self.traffic.first_after(self._quiet_end(group, since), group)
            assert found is not None
            moments.append(found)
        self.served_at = self.timeline.add("failover", f"clients of {', '.join(groups)} are served", max(moments))

    def _fresh(self, group: str, since: float) -> bool:
        return self.traffic.serves(group) and self.traffic.first_after(since, group) is not None

    def _quiet_end(self, group: str, since: float) -> float:
        """Return when the longest outage since the fault began: a commit may still be acknowledged after the fault.

        Without an outage, return the time of the fault.
        """
        times = [one.acknowledged for one in self.traffic.commits(group)]
        gaps = [(after - before, before) for before, after in pairwise(times) if after >= since]
        longest, begin = max(gaps, default=(0.0, since))
        return begin + 0.001 if longest >= FRESH_SECONDS else since

    def served_again(self, text: str) -> None:
        """Record that what was lost is back now."""
        self.served_at = self.timeline.add("recovery", text)

    def now(self) -> str:
        """Return the time in ISO 8601."""
        return datetime.now(UTC).isoformat(timespec="seconds")

    def full_backup(self) -> None:
        """Make a full backup of each group, and wait for the next restore point."""
        self.back_up("full")
        self.next_point()

    def back_up(self, kind: Literal["full", "incr"]) -> None:
        """Make a backup of each group."""
        for group in self.groups:
            self.machines().run(self.leader(group), as_postgres("/usr/local/sbin/backbuild-backup", kind), 900)
            self.timeline.add("recovery", f"{group}: backup ({kind})")

    def next_point(self) -> None:
        """Wait for the next restore point, and let its WAL be archived."""
        self.pass_time(POINT_SECONDS)

    def sql(self, group: str, statement: str) -> str:
        """Run a statement on a group's leader, in the application's database, and return its output."""
        return self.machines().run(self.leader(group), as_postgres(*psql("-c", statement)), 600).strip()

    def sql_beside(self, member: str, socket: str, port: str, statement: str) -> str:
        """Run a statement in a cluster beside, and return its output."""
        return self.machines().run(member, as_postgres(*psql("-h", socket, "-p", port, "-c", statement)), 600).strip()

    def routes(self, group: str) -> list[Route]:
        """Return the ways of a client to a group's leader."""
        return next(ways for (of, _), ways in self.fleet().routes(self.folder).items() if of == group)

    def pairs(self, first: str, second: str) -> PairWriters:
        """Return clients that commit the same numbers in two groups."""
        return Pairs(self.routes(first), self.routes(second))

    def sql_between_beside(self, member: str, other: str, statement: str) -> str:
        """Query another machine's cluster beside as Citus does: over the network, with the machine's certificate."""
        node = psql("-h", self.address(other), "-p", str(Port.RESTORED.number), "-U", "postgres", "-c", statement)
        trust = ("env", "PGSSLMODE=verify-full", f"PGSSLROOTCERT={CERTIFICATE}/authorities.pem")
        return self.machines().run(member, as_postgres(*trust, *node), 60).strip()

    def copy_table(self, member: str, socket: str, port: str, table: str) -> None:
        """Copy a table from a cluster beside to the coordinator's leader, over the machines' own network."""
        leader = self.leader("coordinator")
        dump = shlex.join(["pg_dump", "-h", socket, "-p", port, "-d", DATABASE_NAME, "-t", table])
        load = shlex.join(psql("-h", self.address(leader), "-U", "postgres"))
        pipe = f"set -o pipefail; {dump} | env PGSSLMODE=require {load}"
        self.machines().run(member, as_postgres("bash", "-c", pipe), 600)
        self.timeline.add("recovery", f"{table} copied from {member} to {leader}")

    def remove_restore(self, name: str) -> None:
        """End a restore and delete its cluster."""
        remove(self.topology, self.machines(), name, self._step)
        self._beside = None

    def end_beside(self) -> None:
        """Remove the cluster beside that a stopped drill has left: another restore would be refused."""
        if self._beside is not None:
            with suppress(InputError):  # no member has it: the restore has failed before it began
                self.remove_restore(self._beside)

    def healthy(self, seconds: float = HEALTHY_SECONDS) -> None:
        """Wait until every machine reports that it is healthy: redundancy is back."""
        self._wait_for_health(seconds)
        self.timeline.add("recovery", "every machine is healthy: redundancy is back")
