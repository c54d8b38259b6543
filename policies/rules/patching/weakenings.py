"""Weakenings of patching: outside the window, on several machines at once, or without a health check."""

from __future__ import annotations

from policies.mutation.files import CONSENSUS, DATABASE, GATEWAY, edit, write
from policies.mutation.operators import Operator, Where, declare_another, drop, put
from policies.mutation.weakening import Weakenings
from policies.views.machines import ENVIRONMENT, GATE, UNITS
from policies.views.patching import APT, INSTALL, PATCH, TARGET, TASK, WINDOW

COMMANDS = "taskInvocationParameters.runCommandParameters.parameters[0].values"


def environment(name: str, word: str) -> Operator:
    """Add a word to a list in the machines' environment file."""
    return edit(ENVIRONMENT, f'^{name}="', f'{name}="{word} ')


def not_held(package: str, where: Where) -> Operator:
    """Let a patch run upgrade a package."""
    return edit(ENVIRONMENT, rf"^(HELD=.*?){package}\S*( ?)", r"\1", where)


WEAKENINGS: Weakenings = {
    "maintenance-rolls": {
        "all machines are patched at once": put(TASK, "maxConcurrency", "100%"),
        "patching continues after an error": put(TASK, "maxErrors", "5"),
        "the window is disabled": put(WINDOW, "enabled", False),
        "the patch task is not declared": drop(TASK),
        "the window is on 31 February": put(WINDOW, "schedule", "cron(0 3 31 2 ? *)"),
        "the window is once a year": put(WINDOW, "schedule", "cron(0 3 1 1 ? *)"),
        "the task has no target of its window": put(TASK, "targets", [{"key": "InstanceIds", "values": ["i-0"]}]),
        "the task runs a document without a health check": put(TASK, "taskArn", "AWS-RunPatchBaseline"),
        "the task runs apt alone": put(TASK, COMMANDS, ["apt-get update", "apt-get -y upgrade"]),
        "the task ignores failures": put(TASK, COMMANDS, [f"{PATCH} || true"]),
        "two tasks patch at the same time": declare_another(TASK),
        "a second task runs the account's patch baseline": declare_another(TASK, taskArn="AWS-RunPatchBaseline"),
    },
    "maintenance-finds-every-machine": {
        "the window's target is another platform": put(TARGET, "targets[0].values", ["other"]),
    },
    "patches-come-in-the-window": {
        "apt installs daily": edit(f"{APT}60backbuild", '"0"', '"1"'),
        "apt has no periodic setting": edit(f"{APT}60backbuild", "^APT.*\n", ""),
        "a later file enables apt": write(f"{APT}99more", 'apt::periodic::enable "always";\n'),
        "a later file enables apt in a block": write(f"{APT}99more", 'APT { Periodic { Enable "1"; }; };\n'),
        "a later file clears the setting": write(f"{APT}99more", "#clear APT::Periodic;\n"),
        "unattended-upgrades is installed": environment("PACKAGES", "unattended-upgrades"),
        "needrestart is installed": environment("PACKAGES", "needrestart"),
        "apt's timer is enabled": environment("SERVICES", "apt-daily-upgrade.timer"),
        "cron patches": write("/etc/cron.daily/patch", "#!/bin/sh\napt-get -y dist-upgrade\n"),
        "another service patches": write(f"{UNITS}/patch.service", f"[Service]\nExecStart={PATCH}\n"),
        "the metrics service patches": edit(
            f"{UNITS}/backbuild-metrics.service", "^ExecStart=", f"ExecStartPre={PATCH}\nExecStart="
        ),
        "cloudflared updates itself": edit(f"{UNITS}/backbuild-tunnel.service", " --no-autoupdate", ""),
        "an association patches": declare_another(GATE, name="AWS-RunPatchBaseline", targets=[], parameters={}),
        "an association runs apt": declare_another(GATE, targets=[], parameters={"commands": "apt-get -y upgrade"}),
        "an unhealthy member is patched": edit(PATCH, r"^/usr/local/sbin/backbuild-healthy .*\n", ""),
        "the health check's failure is ignored": edit(PATCH, r"( --wait \d+)$", r"\1 || true"),
        "the health check waits one second": edit(PATCH, r" --wait \d+$", " --wait 1"),
        "the script continues after an error": edit(PATCH, "^set -eu$", "set -u"),
        "a member is patched while another is down": edit(PATCH, "^if ! peers_healthy", "if false"),
        "a leader reboots without stepping down": edit(PATCH, r"^step_down\n", ""),
        "the machine is not rebooted": edit(PATCH, "^exit 194$", "exit 0"),
    },
    "patches-hold-the-database-back": {
        "patroni is not held": not_held("patroni", DATABASE),
        "pgbackrest is not held": not_held("pgbackrest", DATABASE),
        "etcd-server is not held": not_held("etcd-server", CONSENSUS),
        "haproxy is not held": not_held("haproxy", GATEWAY),
        "cloudflared is not held": not_held("cloudflared", GATEWAY),
        "no package is held": edit(INSTALL, r"^for package in \$HELD.*\n", ""),
    },
}
