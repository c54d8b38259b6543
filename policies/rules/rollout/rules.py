"""Redundancy: a rollout replaces or changes members one at a time, each after the previous one is healthy.

A health gate is an SSM association that runs backbuild-healthy on a new machine; the next machine depends on it.
"""

from __future__ import annotations

import re

from policies.controls import CHANGE, DISCLOSURE, REDUNDANCY
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import NotApplicable, Severity, define
from policies.views.edge import Worker, status_workers
from policies.views.events import unreported
from policies.views.machines import (
    ATTACHMENT,
    CONSENSUS,
    COORDINATOR,
    DATABASE,
    GATEWAY,
    KEEPS_DATA,
    Group,
    Machine,
    gates_of,
    groups,
    machines,
)
from policies.views.shared import stack

HEALTHY = "/usr/local/sbin/backbuild-healthy"
LEAST_WAIT = 300  # seconds; installing packages takes that long
# Kind of event to the statuses of failures, as Systems Manager spells them.
FAILURES = {
    "EC2 State Manager Association State Change": ("Failed",),
    "Maintenance Window Execution State-change Notification": ("FAILED", "TIMED_OUT"),
}


@define(
    "redundancy",
    "gate-waits-for-health",
    Severity.HIGH,
    "Each machine has a health gate that waits until it is healthy",
    over=machines,
    promises=("MNT-1", "RED-2"),
    controls=CHANGE,
    remedy="keep the association that runs backbuild-healthy on each new instance (components/citus.py)",
)
def gate_waits(graph: Graph, machine: Machine) -> str | None:
    """Without health gates, a rollout replaces all members of a group within minutes."""
    gates = gates_of(graph, machine)
    if not gates:
        return "it has no health gate"
    gate = gates[0]
    if gate.text("name") != "AWS-RunShellScript" or gate.flag("applyOnlyAtCronInterval"):
        return f"its gate {gate.name} does not run a shell command immediately"
    found = re.fullmatch(rf"{HEALTHY} --wait (\d+)", gate.text("parameters.commands"))
    if found is None:
        return f"its gate {gate.name} runs {gate.text('parameters.commands')!r}; {HEALTHY} --wait SECONDS is expected"
    waits = int(found[1])
    if waits < LEAST_WAIT:
        return f"its gate {gate.name} waits {waits} s; a machine needs at least {LEAST_WAIT} s to boot"
    for limit in ("waitForSuccessTimeoutSeconds", "parameters.executionTimeout"):
        seconds = gate.number(limit) or 0
        if seconds < waits:
            return f"its gate {gate.name} times out after {seconds:g} s ({limit}), before its check of {waits} s ends"
    return None


@define(
    "redundancy",
    "gate-follows-the-volume",
    Severity.MEDIUM,
    "A health gate runs after the data volume is attached",
    over=machines,
    promises=("MNT-1",),
    controls=CHANGE,
    remedy="let the gate depend on the volume's attachment (components/citus.py)",
)
def gate_follows_volume(graph: Graph, machine: Machine) -> str | None:
    """Before its volume is attached, a machine's health says nothing about its data."""
    if machine.role not in KEEPS_DATA:
        raise NotApplicable("it keeps no data")
    attachments = {one.urn for one in graph.referring(machine.instance, ATTACHMENT, "instanceId")}
    gates = gates_of(graph, machine)
    if not gates:
        return "it has no health gate"
    waits = attachments & gates[0].needs
    return None if waits else f"its gate {gates[0].name} does not wait for the volume's attachment"


@define(
    "redundancy",
    "gates-chain-members",
    Severity.HIGH,
    "The members of a group change one at a time",
    over=groups,
    promises=("MNT-1", "RED-2"),
    controls=CHANGE,
    remedy="let each member's instance depend on the gate of the previous one (NodeGroup in components/citus.py)",
)
def gates_chain_members(graph: Graph, group: Group) -> str | None:
    """Pulumi changes resources in parallel unless one depends on the other."""
    gates = {member.name: {gate.urn for gate in gates_of(graph, member)} for member in group.members}
    waits = {
        member.name: {name for name, urns in gates.items() if urns & member.instance.needs} for member in group.members
    }
    free = [name for name, others in waits.items() if not others]
    if len(free) > 1:
        return f"{', '.join(sorted(free))} wait for no other member: they would change at once"
    followed: dict[str, list[str]] = {}
    for name, others in waits.items():
        for other in others:
            followed.setdefault(other, []).append(name)
    for other, names in followed.items():
        if len(names) > 1:
            return f"{', '.join(sorted(names))} all wait for {other} alone: they would change at once"
    return None


@define(
    "redundancy",
    "gates-chain-groups",
    Severity.HIGH,
    "Groups change in order: consensus, then databases, then gateways",
    over=groups,
    promises=("MNT-1", "RED-3"),
    controls=CHANGE,
    remedy="let the next group depend on the gate of the previous one (CitusCluster in components/citus.py)",
)
def gates_chain_groups(graph: Graph, group: Group) -> str | None:
    """A change that replaces every machine must not stop consensus and the databases that use it at the same time."""
    before = {**dict.fromkeys(DATABASE, CONSENSUS), GATEWAY: COORDINATOR}.get(group.role)
    if before is None:
        raise NotApplicable("no group changes before it")
    needed = [one for one in groups(graph) if one.role == before]
    first = [member for member in group.members if not any(_follows(graph, member, other) for other in group.members)]
    for member in first:
        for other in needed:
            if not any(_follows(graph, member, last) for last in other.members):
                return f"{member.name} does not depend on the health gate of any member of group {other.name}"
    return None


def _follows(graph: Graph, member: Machine, other: Machine) -> bool:
    return any(gate.urn in member.instance.needs for gate in gates_of(graph, other))


@define(
    "redundancy",
    "failed-gates-alarm",
    Severity.MEDIUM,
    "Operators are notified if a machine does not become healthy in time, or patching stops",
    over=stack,
    promises=("MNT-1", "RED-2"),
    controls=CHANGE,
    remedy="keep the EventBridge rules for failed associations and maintenance windows (components/alarms.py)",
)
def failed_gates_alarm(graph: Graph, _: Resource) -> str | None:
    """A rollout that stops leaves a group with one member missing: the next failure would interrupt the service."""
    missed = (unreported(graph, kind, "status", statuses) for kind, statuses in FAILURES.items())
    return next((wrong for wrong in missed if wrong is not None), None)


@define(
    "redundancy",
    "termination-is-refused",
    Severity.MEDIUM,
    "Machines have termination protection, and AWS moves them away from failed hardware",
    over=machines,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="set disable_api_termination and maintenance_options.auto_recovery of the instance (components/citus.py)",
)
def termination_refused(_: Graph, machine: Machine) -> str | None:
    """If a second member is terminated or fails while one is already missing, the group stops working."""
    if not machine.instance.flag("disableApiTermination"):
        return "disableApiTermination is not true"
    if machine.instance.text("maintenanceOptions.autoRecovery") == "disabled":
        return "maintenanceOptions.autoRecovery is disabled"
    return None


@define(
    "redundancy",
    "disruption-is-announced",
    Severity.MEDIUM,
    "Disruptive maintenance is announced as far ahead as promised",
    over=status_workers,
    promises=("MNT-2",),
    controls=DISCLOSURE,
    remedy="set maintenance.noticeHours to at least the figure of MNT-2 (promises.toml)",
)
def disruption_announced(_: Graph, worker: Worker) -> str | None:
    """The status page refuses announcements with shorter notice."""
    notice = worker.document("NOTICE_HOURS")
    least = number("MNT-2", "notice_hours")
    if not isinstance(notice, int | float) or notice < least:
        return f"NOTICE_HOURS is {notice}; {least:g} at least are promised"
    return None
