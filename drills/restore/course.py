"""The course of a restore, from the first plan to open doors. Each part can be repeated after an interruption."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from console.errors import CommandError, InputError
from drills.restore.decisions import common_point, ends_of, unequal_references
from drills.restore.members import Members, Progress
from drills.restore.target import Target
from drills.sites.commands import as_postgres, psql
from drills.sites.site import Site, SiteError
from model.topology import Member, Port, Topology

IN_PLACE = "in-place"
DOORS = "/usr/local/sbin/backbuild-doors"

Json = dict[str, Any]


class CheckError(CommandError):
    """The restored data are not what they should be. The group stays shut, or the cluster beside stays isolated."""


@dataclass(frozen=True)
class Request:
    """What an operator asks for."""

    copy: str
    target: Target
    into: str | None
    """The name of a cluster beside the groups; None: in place."""
    invariants: Sequence[str] = ()
    """Queries on the coordinator. Each row that they return must be true."""
    apart: bool = False
    """Also restore old backups without a common restore point, each by itself."""


@dataclass(frozen=True)
class Outlook:
    """What a restore will do, shown to the operator before anything is changed."""

    point: str | None
    groups: Mapping[str, Json]
    """What each group has fetched: run, class, bytes, objects, unlisted WAL."""


class Course:
    """One restore of one stack."""

    def __init__(self, topology: Topology, site: Site, request: Request, progress: Progress) -> None:
        self._topology: Topology = topology
        self._site: Site = site
        self._request: Request = request
        self._members: Members = Members(site, request.into or IN_PLACE, progress)

    @property
    def _secret(self) -> str:
        return self._topology.secrets.backup_readers

    @cached_property
    def _restorers(self) -> dict[str, Member]:
        """The member of each group that restores: in place the first one, beside a standby if there is one."""
        running = self._running
        chosen: dict[str, Member] = {}
        for group in self._topology.database_groups:
            present = [member for member in group.members if member.name in running]
            if not present:
                raise SiteError(
                    f"no machine of {group.name} runs; run `pulumi up`, and restore while it waits at its gate"
                )
            chosen[group.name] = self._beside(present) if self._request.into else present[0]
        return chosen

    @cached_property
    def _running(self) -> set[str]:
        """The members that run. After the loss of a group, the later ones are created once the first is healthy."""
        return self._site.running()

    def _beside(self, present: Sequence[Member]) -> Member:
        states = self._members.everywhere(self._members.status, [one.name for one in present])
        for member in present:
            if states[member.name].get("name") == self._request.into:
                return member  # an interrupted restore began here
        curl = "curl --config /run/backbuild/patroni-curl -fs -o /dev/null"
        leads = f"{curl} https://$ADDRESS:$PORT/primary && echo yes || true"
        for member in reversed(present):
            if not self._members.shell(
                member.name, f"ADDRESS={member.address} PORT={Port.PATRONI.number}; {leads}"
            ).strip():
                return member
        return present[0]

    def prepare(self) -> Outlook:
        """Fetch everything from the copy and choose the restore point. The groups are not touched."""
        request = self._request
        target = request.target
        plan = {
            "copy": request.copy,
            "to": target.text,
            "before": target.before.isoformat() if target.before else None,
            "upto": target.upto,
        }
        restorers = [member.name for member in self._restorers.values()]
        others = [] if request.into else [one.name for one in self._all_members() if one.name not in restorers]
        self._members.begin(plan, [*restorers, *others])
        self._site.allow_reading(self._secret)
        try:
            fetched = self._step("fetch", {group: {} for group in self._restorers})
        finally:
            self._site.forbid_reading(self._secret)
        promoted = [group for group, found in fetched.items() if found["class"] != "hourly"]
        points = {group: found["points"] for group, found in fetched.items()}
        point = common_point(target, points, promoted, apart=request.apart)
        return Outlook(point, fetched)

    def restore(self, outlook: Outlook) -> Json:
        """Carry the restore out: in place up to open doors, or up to a cluster beside. Return what was found."""
        kept: list[str] = []
        if self._request.into is None:
            kept = self._shut()
        recovered = self._step(
            "recover",
            {
                group: {"point": outlook.point, "segment": found["points"].get(outlook.point)}
                for group, found in outlook.groups.items()
            },
        )
        settled = self._settle(recovered)
        checked = self._step("check", {group: {} for group in self._restorers})
        if unequal := unequal_references({group: found["references"] for group, found in checked.items()}):
            raise CheckError("; ".join(unequal))
        served = self._open(recovered) if self._request.into is None else self._serve()
        return {
            "point": outlook.point,
            "groups": {
                group: {
                    **{name: found[name] for name in ("run", "class", "bytes", "objects", "unlisted")},
                    "databaseBytes": recovered[group]["bytes"],
                    "relations": checked[group]["relations"],
                    "transactions": settled[group],
                }
                for group, found in outlook.groups.items()
            },
            "snapshots": kept,
            **served,
        }

    def _shut(self) -> list[str]:
        """Shut the doors, then every member, and keep the volumes aside."""
        self._doors("shut")
        members = [member.name for member in self._all_members()]
        self._members.step("shut", {member: {} for member in members})
        label = f"before-{self._request.copy}-{self._request.target.text}".replace(":", "")
        return self._site.keep_aside(members, label)

    def _settle(self, recovered: Mapping[str, Json]) -> dict[str, Json]:
        numbers = {group.name: str(group.citus_group) for group in self._topology.database_groups}
        port = Port.RESTORED.number if self._request.into else Port.POSTGRES.number
        nodes = {numbers[name]: [member.address, port] for name, member in self._restorers.items()}
        prepared = {name: [one["gid"] for one in found["prepared"]] for name, found in recovered.items()}
        gids = sorted({gid for found in prepared.values() for gid in found})
        found = self._step("committed", {group: {"gids": gids} for group in self._restorers}) if gids else {}
        committed = {numbers[name]: one["committed"] for name, one in found.items()}
        ends = {name: ends_of(found, committed) for name, found in prepared.items()}
        arguments = {
            name: {"nodes": nodes, "commit": end.commit, "rollback": end.rollback} for name, end in ends.items()
        }
        self._step("settle", arguments)
        return {name: asdict(end) for name, end in ends.items()}

    def _open(self, recovered: Mapping[str, Json]) -> Json:
        """Open the groups, the coordinator first, then check the invariants, and open the doors last."""
        for name in self._restorers:
            self._step("open", {name: {}})
        followers = {
            member.name: {"system": recovered[group.name]["system"]}
            for group in self._topology.database_groups
            for member in group.members
            if member.name in self._running and member != self._restorers[group.name]
        }
        self._members.step("join", followers)
        coordinator = self._restorers[self._topology.coordinator.name]
        self._check_invariants(coordinator, "/var/run/postgresql", Port.POSTGRES.number)
        members = [member.name for member in self._all_members()]
        self._members.step("finish", {member: {} for member in members})
        self._doors("open")
        self._members.everywhere(lambda member: self._members.ask(member, "remove", IN_PLACE), members)
        return {}

    def _serve(self) -> Json:
        served = self._step("serve", {group: {} for group in self._restorers})
        coordinator = self._topology.coordinator.name
        self._check_invariants(self._restorers[coordinator], served[coordinator]["socket"], Port.RESTORED.number)
        return {"beside": {self._restorers[name].name: found for name, found in served.items()}}

    def _check_invariants(self, member: Member, socket: str, port: int) -> None:
        for query in self._request.invariants:
            words = psql("-h", socket, "-p", str(port), "-c", query)
            command = as_postgres("env", "PGOPTIONS=-c default_transaction_read_only=on", *words)
            rows = self._members.shell(member.name, command, seconds=3600).split()
            if not rows or set(rows) != {"t"}:
                state = "the restored cluster stays" if self._request.into else "the doors stay shut"
                raise CheckError(f"the invariant `{query}` returned {' '.join(rows[:5]) or 'no row'}, not t; {state}")

    def _step(self, name: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Run a step on the restorers of groups; arguments and results are by group."""
        by_member = {self._restorers[group].name: given for group, given in arguments.items()}
        results = self._members.step(name, by_member)
        return {group: results[self._restorers[group].name] for group in arguments}

    def _doors(self, word: str) -> None:
        _doors(self._members, self._topology, self._running, word)

    def _all_members(self) -> list[Member]:
        groups = self._topology.database_groups
        return [member for group in groups for member in group.members if member.name in self._running]


def remove(topology: Topology, site: Site, name: str, progress: Progress) -> list[str]:
    """End the restore with a name: delete its files and its cluster. Return the members that had it."""
    members = Members(site, name, progress)
    running = site.running()
    everyone = [one.name for group in topology.database_groups for one in group.members if one.name in running]
    found = [
        member for member, state in members.everywhere(members.status, everyone).items() if state.get("name") == name
    ]
    if not found:
        raise InputError(f"no member of {topology.stack} has a restore {name}")
    members.everywhere(lambda member: members.ask(member, "remove", name), found)
    site.forbid_reading(topology.secrets.backup_readers)
    if name == IN_PLACE:
        _doors(members, topology, running, "open")
    return found


def _doors(members: Members, topology: Topology, running: Collection[str], word: str) -> None:
    """Shut or open the gateways that run."""
    gateways = [member.name for member in topology.gateways.members if member.name in running]
    members.everywhere(lambda member: members.shell(member, f"{DOORS} {word}"), gateways)
