"""Weakenings of how machines are patched: outside the window, side by side, or without anybody's health."""

from __future__ import annotations

from typing import Any

from policies.graph import Graph, Resource
from policies.mutation.machines import CONSENSUS, DATABASE, ENVIRONMENT, GATEWAY, UNITS
from policies.mutation.operators import Operator, add, drop, edit, put, write
from policies.mutation.weakening import GATE, Weakening

TASK = "aws:ssm/maintenanceWindowTask:MaintenanceWindowTask"
WINDOW = "aws:ssm/maintenanceWindow:MaintenanceWindow"
TARGET = "aws:ssm/maintenanceWindowTarget:MaintenanceWindowTarget"
PATCH = "/usr/local/sbin/backbuild-patch"
INSTALL = "/usr/local/sbin/backbuild-install"
APT = "/etc/apt/apt.conf.d/"
ITSELF = "patches-come-in-the-window"
ROLLS = "maintenance-rolls"
HELD = "patches-hold-the-database-back"
COMMANDS = "taskInvocationParameters.runCommandParameters.parameters[0].values"


def another(like: str, **changes: Any) -> Operator:
    """One more resource of a type, like the first one of it but for some properties."""

    def make(graph: Graph) -> Resource:
        first = graph.of(like)[0]
        return Resource(
            f"{first.urn}-more",
            like,
            {**first.properties, "id": "more", "arn": "more", **changes},
            parent=first.parent,
            property_dependencies=first.property_dependencies,
        )

    return add(make)


def script(pattern: str, replacement: str) -> Operator:
    """What patches does something else."""
    return edit(PATCH, pattern, replacement)


WEAKENINGS = (
    # the window
    Weakening("patches on all machines at once", ROLLS, put(TASK, "maxConcurrency", "100%")),
    Weakening("patches go on after an error", ROLLS, put(TASK, "maxErrors", "5")),
    Weakening("a window that is off", ROLLS, put(WINDOW, "enabled", False)),
    Weakening("no maintenance", ROLLS, drop(TASK)),
    Weakening("maintenance on 31 February", ROLLS, put(WINDOW, "schedule", "cron(0 3 31 2 ? *)")),
    Weakening("maintenance once a year", ROLLS, put(WINDOW, "schedule", "cron(0 3 1 1 ? *)")),
    Weakening("maintenance of nothing", ROLLS, put(TASK, "targets", [{"key": "InstanceIds", "values": ["i-0"]}])),
    Weakening("patches by a document without a gate", ROLLS, put(TASK, "taskArn", "AWS-RunPatchBaseline")),
    Weakening("patches by apt alone", ROLLS, put(TASK, COMMANDS, ["apt-get update", "apt-get -y upgrade"])),
    Weakening("patches whatever becomes of them", ROLLS, put(TASK, COMMANDS, [f"{PATCH} || true"])),
    Weakening("two tasks that patch at a time", ROLLS, another(TASK)),
    Weakening("a second task, by the account's baseline", ROLLS, another(TASK, taskArn="AWS-RunPatchBaseline")),
    Weakening(
        "maintenance of another platform",
        "maintenance-finds-every-machine",
        put(TARGET, "targets[0].values", ["other"]),
    ),
    # what installs by itself
    Weakening("apt installs every day", ITSELF, edit(f"{APT}60backbuild", '"0"', '"1"')),
    Weakening("apt is told nothing", ITSELF, edit(f"{APT}60backbuild", "^APT.*\n", "")),
    Weakening("a later file has apt install", ITSELF, write(f"{APT}99more", 'apt::periodic::enable "always";\n')),
    Weakening("a later file has it in a block", ITSELF, write(f"{APT}99more", 'APT { Periodic { Enable "1"; }; };\n')),
    Weakening("a later file forgets the earlier", ITSELF, write(f"{APT}99more", "#clear APT::Periodic;\n")),
    Weakening(
        "unattended upgrades are installed",
        ITSELF,
        edit(ENVIRONMENT, '^PACKAGES="', 'PACKAGES="unattended-upgrades '),
    ),
    Weakening("needrestart is installed", ITSELF, edit(ENVIRONMENT, '^PACKAGES="', 'PACKAGES="needrestart ')),
    Weakening("apt's timer is enabled", ITSELF, edit(ENVIRONMENT, '^SERVICES="', 'SERVICES="apt-daily-upgrade.timer ')),
    Weakening("cron patches", ITSELF, write("/etc/cron.daily/patch", "#!/bin/sh\napt-get -y dist-upgrade\n")),
    Weakening(
        "a timer patches",
        ITSELF,
        write(f"{UNITS}/patch.service", f"[Service]\nExecStart={PATCH}\n"),
    ),
    Weakening(
        "the metrics' service patches",
        ITSELF,
        edit(f"{UNITS}/backbuild-metrics.service", "^ExecStart=", f"ExecStartPre={PATCH}\nExecStart="),
    ),
    Weakening(
        "cloudflared updates itself",
        ITSELF,
        edit(f"{UNITS}/backbuild-tunnel.service", " --no-autoupdate", "", GATEWAY),
    ),
    Weakening("an association patches", ITSELF, another(GATE, name="AWS-RunPatchBaseline", targets=[], parameters={})),
    Weakening(
        "an association upgrades",
        ITSELF,
        another(GATE, targets=[], parameters={"commands": "apt-get -y upgrade"}),
    ),
    # how the window patches
    Weakening("an ill member is patched", ITSELF, script(r"^/usr/local/sbin/backbuild-healthy .*\n", "")),
    Weakening("an ill member is patched all the same", ITSELF, script(r"( --wait \d+)$", r"\1 || true")),
    Weakening("a member has a second to be well", ITSELF, script(r" --wait \d+$", " --wait 1")),
    Weakening("failures are passed over", ITSELF, script("^set -eu$", "set -u")),
    Weakening("a member is patched while another is away", ITSELF, script("^if ! others_stand_in", "if false")),
    Weakening("a leader reboots as it is", ITSELF, script(r"^step_down\n", "")),
    Weakening("old code runs on", ITSELF, script("^exit 194$", "exit 0")),
    # what is held
    *(
        Weakening(f"{package} is not held", HELD, edit(ENVIRONMENT, rf"^(HELD=.*?){package}\S*( ?)", r"\1", roles))
        for package, roles in (
            ("patroni", DATABASE),
            ("pgbackrest", DATABASE),
            ("etcd-server", CONSENSUS),
            ("haproxy", GATEWAY),
            ("cloudflared", GATEWAY),
        )
    ),
    Weakening("nothing is held", HELD, edit(INSTALL, r"^for package in \$HELD.*\n", "")),
)
