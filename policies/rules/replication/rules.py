"""Redundancy: the machines' files configure replication and failover as promised."""

from __future__ import annotations

from itertools import pairwise

from policies.controls import FAILOVER
from policies.graph import Graph, Undetermined
from policies.promises import number
from policies.rule import Severity, define
from policies.views.haproxy import Section, haproxy_sections, overridden, server_of
from policies.views.machines import (
    ENVIRONMENT,
    HAPROXY,
    PATRONI,
    UNITS,
    Machine,
    consensus_machines,
    coordinators,
    database_machines,
    gateway_machines,
)
from policies.views.patroni import parameters

SYNCHRONOUS = ("quorum", "on", "True")  # YAML's bare `on` is True


@define(
    "redundancy",
    "commits-are-synchronous",
    Severity.CRITICAL,
    "A commit is confirmed only after a second machine has written it to disk",
    over=database_machines,
    promises=("RED-2", "RED-3"),
    controls=FAILOVER,
    remedy="set bootstrap.dcs.synchronous_mode to quorum in machines/templates/database/etc/backbuild/patroni.yml",
)
def commits_are_synchronous(_: Graph, machine: Machine) -> str | None:
    """With asynchronous replication, the last commits are lost with the leader."""
    mode = machine.dcs.read("synchronous_mode")
    if str(mode) not in SYNCHRONOUS:
        return f"{PATRONI}: synchronous_mode is {mode!r}; quorum is expected"
    found = parameters(machine)
    level = found.get("synchronous_commit")
    if level is not None and str(level) not in {"on", "True", "remote_apply"}:
        return f"{PATRONI}: synchronous_commit is {level!r}: it does not wait for the standby's disk"
    for name in ("fsync", "full_page_writes"):
        value = found.get(name)
        if value is not None and str(value).lower() not in {"on", "true", "yes", "1"}:
            return f"{PATRONI}: {name} is {value!r}: confirmed commits may be lost in a crash"
    return None


@define(
    "redundancy",
    "commits-wait-in-groups-of-three",
    Severity.HIGH,
    "In groups of three or more, a commit waits until a standby is available",
    over=database_machines,
    promises=("RED-3",),
    controls=FAILOVER,
    remedy="set synchronous_mode_strict for groups of three or more (Group.strict in model/topology.py)",
)
def commits_wait(graph: Graph, machine: Machine) -> str | None:
    """Without strict mode, commits made while no standby is available are lost with the leader."""
    size = sum(1 for other in database_machines(graph) if other.group == machine.group)
    if size >= 3 and not machine.dcs.flag("synchronous_mode_strict"):
        return f"{PATRONI}: synchronous_mode_strict is not true in a group of {size}"
    return None


@define(
    "redundancy",
    "failsafe-mode",
    Severity.HIGH,
    "Writes continue if only etcd's quorum is lost",
    over=database_machines,
    promises=("RED-2", "RED-3"),
    controls=FAILOVER,
    remedy="set bootstrap.dcs.failsafe_mode to true in patroni.yml",
)
def failsafe_mode(_: Graph, machine: Machine) -> str | None:
    """In failsafe mode a leader that cannot reach etcd stays leader while all members of its group confirm it."""
    if not machine.dcs.flag("failsafe_mode"):
        return f"{PATRONI}: failsafe_mode is not true: the loss of etcd's quorum would stop all writes"
    return None


@define(
    "redundancy",
    "lease-arithmetic",
    Severity.HIGH,
    "A leader keeps its lease while etcd is slow, and a failed leader is replaced in time",
    over=database_machines,
    promises=("RED-3",),
    controls=FAILOVER,
    remedy="keep loop_wait + 2 * retry_timeout <= ttl, and ttl within the figure of RED-3 (promises.toml)",
)
def lease_arithmetic(_: Graph, machine: Machine) -> str | None:
    """Patroni requires loop_wait + 2 * retry_timeout <= ttl; a standby takes over when the lease has expired."""
    figures = {name: machine.dcs.number(name) for name in ("ttl", "loop_wait", "retry_timeout")}
    missing = [name for name, figure in figures.items() if figure is None]
    if missing:
        return f"{PATRONI}: {missing[0]} is not set"
    ttl, loop, retry = (figure or 0 for figure in figures.values())
    if loop + 2 * retry > ttl:
        return f"{PATRONI}: loop_wait {loop:g} + 2 * retry_timeout {retry:g} = {loop + 2 * retry:g} s > ttl {ttl:g} s"
    if ttl > (most := number("RED-3", "lease_seconds")):
        return f"{PATRONI}: ttl is {ttl:g} s; a standby takes over only after that, and RED-3 allows {most:g} s"
    return None


@define(
    "redundancy",
    "lost-leaders-rejoin",
    Severity.MEDIUM,
    "A former leader rejoins its group automatically, and the WAL that it needs for that is kept",
    over=database_machines,
    promises=("RED-2",),
    controls=FAILOVER,
    remedy="set use_pg_rewind, remove_data_directory_on_rewind_failure, use_slots and check_timeline in patroni.yml",
)
def lost_leaders_rejoin(_: Graph, machine: Machine) -> str | None:
    """A group is redundant again only when the former leader, or its replacement, follows as a standby."""
    for name in (
        "postgresql.use_pg_rewind",
        "postgresql.remove_data_directory_on_rewind_failure",
        "postgresql.use_slots",
        "check_timeline",
    ):
        if not machine.dcs.flag(name):
            return f"{PATRONI}: {name} is not true"
    return None


@define(
    "redundancy",
    "failover-needs-nobody",
    Severity.CRITICAL,
    "Failover is automatic, and every member may lead",
    over=database_machines,
    promises=("RED-3", "REC-2"),
    controls=FAILOVER,
    remedy="remove `pause`, and the tags nofailover and nosync, from patroni.yml; enable patroni.service",
)
def failover_needs_nobody(_: Graph, machine: Machine) -> str | None:
    """A paused group, or one whose standbys may not be promoted, waits for an operator."""
    if machine.dcs.flag("pause"):
        return f"{PATRONI}: pause is true"
    if machine.dcs.read("standby_cluster") is not None:
        return f"{PATRONI}: standby_cluster makes the whole group a standby of another group"
    if "patroni.service" not in machine.services:
        return f"{ENVIRONMENT}: SERVICES does not enable patroni.service"
    return _may_lead(machine) or _is_waited_for(machine)


def _may_lead(machine: Machine) -> str | None:
    for tag in ("nofailover", "nosync", "nostream"):
        if machine.patroni.flag(f"tags.{tag}"):
            return f"{PATRONI}: tags.{tag} is true"
    priority = machine.patroni.number("tags.failover_priority")
    if priority is not None and priority < 1:
        return f"{PATRONI}: tags.failover_priority is {priority:g}: it is never promoted"
    return None


def _is_waited_for(machine: Machine) -> str | None:
    waits, most = machine.dcs.number("primary_start_timeout"), number("RED-3", "lease_seconds")
    if waits is None or waits > most:
        told = "not set, and Patroni's default is 300 s" if waits is None else f"{waits:g} s"
        return f"{PATRONI}: primary_start_timeout is {told}; it must not exceed {most:g} s, the figure of RED-3"
    return None


@define(
    "redundancy",
    "consensus-starts",
    Severity.CRITICAL,
    "etcd starts with the machine and is restarted whenever it stops",
    over=consensus_machines,
    promises=("RED-2", "RED-3"),
    controls=FAILOVER,
    remedy="enable etcd.service in machines/files.py and keep Restart=always in its drop-in",
)
def consensus_starts(_: Graph, machine: Machine) -> str | None:
    """A consensus member that does not start after a reboot is lost."""
    if "etcd.service" not in machine.services:
        return f"{ENVIRONMENT}: SERVICES does not enable etcd.service"
    drop_in = f"{UNITS}/etcd.service.d/backbuild.conf"
    if machine.figure(drop_in, "Restart") != "always":
        return f"{drop_in}: Restart is not always"
    return None


@define(
    "redundancy",
    "gateways-follow-the-leader",
    Severity.CRITICAL,
    "Every gateway knows every coordinator member and sends writes to the leader",
    over=gateway_machines,
    promises=("RED-2", "RED-3"),
    controls=FAILOVER,
    remedy="render each coordinator member into both backends of machines/templates/gateway/etc/haproxy/haproxy.cfg",
)
def gateways_follow_leader(graph: Graph, machine: Machine) -> str | None:
    """A gateway that knows only one member fails with that member; without a check, writes may go to a standby."""
    text = machine.file(HAPROXY)
    there = {member.address for group in coordinators(graph) for member in group.members}
    for name in ("leader", "standbys"):
        listed = _listed(machine, name)
        if listed != there:
            return (
                f"{HAPROXY}: backend {name} differs from the coordinator group in {', '.join(sorted(listed ^ there))}"
            )
    if not _checks_for_leader(_section(machine, "backend leader")):
        return f"{HAPROXY}: backend leader does not check for the leader with Patroni (/primary)"
    writing = _section(machine, "frontend write")
    if writing.starting("use_backend") or writing.starting("default_backend") != [("default_backend", "leader")]:
        return f"{HAPROXY}: frontend write does not send to the backend leader only"
    if "on-marked-down shutdown-sessions" not in text:
        return f"{HAPROXY}: sessions to a former leader are not closed (on-marked-down shutdown-sessions)"
    missing = [name for name in ("haproxy.service", "backbuild-tunnel.service") if name not in machine.services]
    return f"{ENVIRONMENT}: SERVICES does not enable {missing[0]}" if missing else overridden(machine)


def _listed(machine: Machine, backend: str) -> set[str]:
    """Return the addresses of a backend's servers that HAProxy checks."""
    servers = [server_of(line) for line in _section(machine, f"backend {backend}").starting("server")]
    return {one.address for one in servers if one is not None and {"check", "port"} <= one.keywords.keys()}


def _checks_for_leader(backend: Section) -> bool:
    """Return whether a backend's one check asks for /primary and expects status 200."""
    sent, expected = backend.starting("http-check", "send"), ("http-check", "expect", "status", "200")
    checks = [line for line in backend.lines if line[0] in {"option", "no"} and line[-1].endswith(("chk", "-check"))]
    asks = len(sent) == 1 and ("uri", "/primary") in pairwise(sent[0])
    return asks and checks == [("option", "httpchk")] and backend.starting("http-check") == [*sent, expected]


def _section(machine: Machine, head: str) -> Section:
    """Return a section of HAProxy's configuration."""
    found = [one for one in haproxy_sections(machine) if one.head == head]
    if len(found) != 1:
        raise Undetermined(machine.urn, HAPROXY, f"does not have exactly one {head}")
    return found[0]
