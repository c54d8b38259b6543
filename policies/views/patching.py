"""The programs that install packages on a machine: in its files, and in Systems Manager's tasks and associations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policies.graph import Graph, Resource
from policies.views.machines import CONSENSUS, COORDINATOR, ENVIRONMENT, GATE, GATEWAY, WORKER, Machine

WINDOW: Final = "aws:ssm/maintenanceWindow:MaintenanceWindow"
TARGET: Final = "aws:ssm/maintenanceWindowTarget:MaintenanceWindowTarget"
TASK: Final = "aws:ssm/maintenanceWindowTask:MaintenanceWindowTask"

PATCH: Final = "/usr/local/sbin/backbuild-patch"
INSTALL: Final = "/usr/local/sbin/backbuild-install"
APT: Final = "/etc/apt/apt.conf.d/"
TUNNEL: Final = "/etc/systemd/system/backbuild-tunnel.service"
# Programs that may install packages: the installer, the patch script, and the files that they read.
INSTALLERS: Final = (
    INSTALL,
    PATCH,
    "/usr/local/lib/backbuild/repositories",
    "/usr/local/lib/backbuild/vendors",
)
INSTALLING: Final = re.compile(
    r"\b(apt|apt-get|aptitude|dpkg\s+-i|unattended-upgrades?|needrestart|snap|pip3?|backbuild-patch|backbuild-install"
    r"|cloudflared\s+update)\b"
)
COMMENT: Final = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
ADVICE: Final = re.compile(r'"[^"`\n]*; remedy: [^"$`\n]*"')  # a message that a script prints; it is not run
PROGRESS: Final = re.compile(r"(?:-s|cat) /run/backbuild-install\b")  # reads the installer's message; runs nothing
# Role to the packages whose update restarts the service.
SERVES: Final = {
    CONSENSUS: ("etcd-server",),
    COORDINATOR: ("postgresql-", "patroni", "pgbackrest"),
    WORKER: ("postgresql-", "patroni", "pgbackrest"),
    GATEWAY: ("haproxy", "cloudflared"),
}


def apt_settings(machine: Machine) -> dict[str, str]:
    """Return apt's settings, option in lower case to value; a later file overrides an earlier one."""
    found: dict[str, str] = {}
    for path in sorted(path for path in machine.files if path.startswith(APT)):
        for option, value in re.findall(r'^\s*([\w:-]+)\s+"([^"]*)"\s*;', machine.files[path], re.MULTILINE):
            found[option.lower()] = value
    return found


def installs_by_itself(machine: Machine) -> Iterator[str]:
    """Return messages about settings and programs that install packages automatically, or that cannot be read."""
    structured = [path for path in machine.files if path.startswith(APT) and re.search(r"[{}#]", machine.files[path])]
    yield from (
        f"{path} has a block or a directive, which this rule cannot read; write one setting per line"
        for path in structured
    )
    if apt_settings(machine).get("apt::periodic::enable") != "0":
        yield f'{APT}: APT::Periodic::Enable is not "0", so apt installs updates daily'
    for name in ("PACKAGES", "SERVICES"):
        words = machine.figure(ENVIRONMENT, name).split()
        yield from (f"{ENVIRONMENT}: {name} lists {word}" for word in words if INSTALLING.search(word))
    for path, content in machine.files.items():
        if path in INSTALLERS or path.startswith((APT, ENVIRONMENT)):
            continue
        if found := INSTALLING.search(PROGRESS.sub("", ADVICE.sub("", COMMENT.sub("", content)))):
            yield f"{path} runs {found[0]}"
    if TUNNEL in machine.files and "--no-autoupdate" not in machine.files[TUNNEL]:
        yield f"{TUNNEL}: cloudflared updates itself without --no-autoupdate"


def told_to_install(graph: Graph) -> Iterator[str]:
    """Return messages about associations that install packages, or that run a document other than AWS-RunShellScript.

    Associations run outside the maintenance window.
    """
    for association in graph.of(GATE):
        if association.text("name") != "AWS-RunShellScript" or INSTALLING.search(
            association.text("parameters.commands")
        ):
            yield f"{association.label} runs {association.text('name')} outside the maintenance window"


def commands_of(task: Resource) -> list[str]:
    """Return the commands of a maintenance task."""
    given = task.items("taskInvocationParameters.runCommandParameters.parameters")
    return [line for one in given if one.text("name") == "commands" for line in one.words("values")]


def installing_tasks(graph: Graph) -> list[Resource]:
    """Maintenance tasks that install packages, by a document of AWS or by a command."""
    return [
        task
        for task in graph.of(TASK)
        if task.text("taskArn") != "AWS-RunShellScript" or any(INSTALLING.search(line) for line in commands_of(task))
    ]
