"""Redundancy: packages are installed in the maintenance window, on one machine at a time, after a health check."""

from __future__ import annotations

from itertools import chain

from policies.controls import CHANGE
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import Severity, define
from policies.views.calendars import window_gap_days
from policies.views.machines import ENVIRONMENT, Machine, machines
from policies.views.patching import (
    INSTALL,
    PATCH,
    SERVES,
    TARGET,
    WINDOW,
    commands_of,
    installing_tasks,
    installs_by_itself,
    told_to_install,
)

MOST_DAYS = 31  # between two patch runs
# Lines that the script must have, in this order: own health, the other members, packages, step-down, reboot.
STEPS = (
    "set -eu",
    "/usr/local/sbin/backbuild-healthy --wait ",
    "if ! peers_healthy; then",
    "    exit 1",
    "apt-get -q update",
    "    upgrade",
    "step_down",
    "exit 194",
)
HOLDING = 'for package in $HELD; do ! installed "$package" || apt-mark hold "$package"; done'


@define(
    "redundancy",
    "maintenance-rolls",
    Severity.HIGH,
    "Patches go to one machine at a time and stop at the first error",
    over=installing_tasks,
    promises=("MNT-1",),
    controls=CHANGE,
    remedy="let one task run backbuild-patch, with max_concurrency 1 and max_errors 0 (components/maintenance.py)",
)
def maintenance_rolls(graph: Graph, task: Resource) -> str | None:
    """Two machines that restart at the same time may belong to the same group."""
    if task.text("taskArn") != "AWS-RunShellScript" or commands_of(task) != [PATCH]:
        return f"it runs {commands_of(task) or task.text('taskArn')}, which checks no member's health; {PATCH} does"
    for limit, right in (("maxConcurrency", "1"), ("maxErrors", "0")):
        if task.text(limit) != right:
            return f"{limit} is {task.text(limit) or 'not set'}; {right} is expected"
    others = [one.name for one in installing_tasks(graph) if one is not task]
    if others:
        return f"{', '.join(others)} also installs packages, on another machine at the same time"
    return _scheduled(graph, task)


def _scheduled(graph: Graph, task: Resource) -> str | None:
    """Return why a task does not run on its targets often enough."""
    window = graph.target(task, "windowId", WINDOW)
    if window is None or not window.text("schedule"):
        return "it belongs to no scheduled window"
    if window.read("enabled") is False:
        return f"its window {window.name} is not enabled"
    gap = window_gap_days(window.text("schedule"))
    if gap is None or gap > MOST_DAYS:
        how = "a schedule that this rule cannot read" if gap is None else f"{gap:g} days between two runs"
        return f"its window {window.name} has {how}: {window.text('schedule')}; {MOST_DAYS} days at most are expected"
    return None if graph.targets(task, "targets", TARGET) else "it names no target of its window, so it runs nowhere"


@define(
    "redundancy",
    "maintenance-finds-every-machine",
    Severity.MEDIUM,
    "Every machine is patched",
    over=machines,
    promises=("MNT-1",),
    controls=CHANGE,
    remedy="let the target of the patching task select the tag that every instance has (components/maintenance.py)",
)
def maintenance_finds(graph: Graph, machine: Machine) -> str | None:
    """A machine that no maintenance window patches keeps vulnerabilities that Debian has already fixed."""
    for task in installing_tasks(graph):
        for target in graph.targets(task, "targets", TARGET):
            for chosen in target.items("targets"):
                key, values = chosen.text("key"), chosen.words("values")
                if key.startswith("tag:") and machine.instance.text(f"tags.{key.removeprefix('tag:')}") in values:
                    return None
    return "no target of a patch task selects it"


@define(
    "redundancy",
    "patches-come-in-the-window",
    Severity.HIGH,
    "Nothing installs packages or restarts services outside the maintenance window and its health gate",
    over=machines,
    promises=("MNT-1", "RED-2"),
    controls=CHANGE,
    remedy="keep apt's own timers off (60backbuild), and let only the window run backbuild-patch",
)
def patches_in_window(graph: Graph, machine: Machine) -> str | None:
    """An automatic update reaches all members of a group within hours, without a health check between them."""
    outside = next(chain(installs_by_itself(machine), told_to_install(graph)), None)
    return outside or _wrong_inside(machine)


def _wrong_inside(machine: Machine) -> str | None:
    """Return what is wrong with the machine's patch script."""
    lines = machine.file(PATCH).splitlines()
    at = -1
    for step in STEPS:
        following = [index for index, line in enumerate(lines) if index > at and line.startswith(step)]
        if not following:
            return f"{PATCH} has no line {step.strip()!r} in the expected order"
        at = following[0]
    waits = next(line for line in lines if line.startswith(STEPS[1])).removeprefix(STEPS[1])
    least = number("MNT-1", "health_seconds")
    if not waits.isdigit() or int(waits) < least:
        return f"{PATCH} has no line `{STEPS[1]}SECONDS` with {least:g} s or more that ends the script if it fails"
    return None


@define(
    "redundancy",
    "patches-hold-the-database-back",
    Severity.HIGH,
    "Patch runs do not upgrade the packages that serve queries",
    over=machines,
    promises=("MNT-1",),
    controls=CHANGE,
    remedy="add the package to _HELD_DEBIAN_PACKAGES or _HELD_VENDOR_PACKAGES (machines/files.py)",
)
def patches_hold_back(_: Graph, machine: Machine) -> str | None:
    """An upgrade of PostgreSQL in a patch run would restart the leader of every group."""
    held = machine.figure(ENVIRONMENT, "HELD").split()
    missing = [name for name in SERVES[machine.role] if not any(one.startswith(name) for one in held)]
    if missing:
        return f"{ENVIRONMENT}: HELD does not hold back {', '.join(missing)}"
    if HOLDING not in machine.file(INSTALL).splitlines():
        return f"{INSTALL} does not run {HOLDING}"
    return None
