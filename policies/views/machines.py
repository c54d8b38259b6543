"""Machines: instances with the files that they boot with, and the groups of redundant machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final, cast

import yaml

from policies.graph import Graph, Node, Resource, Undetermined
from policies.views.booted import archives, boot_of, files_of, modes_of
from policies.views.shared import once

INSTANCE: Final = "aws:ec2/instance:Instance"
SUBNET: Final = "aws:ec2/subnet:Subnet"
GATE: Final = "aws:ssm/association:Association"
VOLUME: Final = "aws:ebs/volume:Volume"
ATTACHMENT: Final = "aws:ec2/volumeAttachment:VolumeAttachment"

CONSENSUS: Final = "consensus"
COORDINATOR: Final = "coordinator"
WORKER: Final = "worker"
GATEWAY: Final = "gateway"
DATABASE: Final = (COORDINATOR, WORKER)
KEEPS_DATA: Final = (CONSENSUS, *DATABASE)

ENVIRONMENT: Final = "/etc/default/backbuild"
PATRONI: Final = "/etc/backbuild/patroni.yml"
ETCD: Final = "/etc/default/etcd"
HAPROXY: Final = "/etc/haproxy/haproxy.cfg"
PGBACKREST: Final = "/etc/pgbackrest/pgbackrest.conf"
UNITS: Final = "/etc/systemd/system"
INSTALL: Final = "/usr/local/sbin/backbuild-install"
CITUS: Final = "/etc/backbuild/citus.yml"  # overrides Patroni's configuration on machines with Citus


@dataclass(frozen=True)
class Machine:
    """One instance; `group` and `role` are its tags, its files come from the archive that its user data names."""

    instance: Resource
    group: str
    role: str
    archives: Mapping[str, Resource] = field(repr=False, compare=False)

    @property
    def urn(self) -> str:
        """The URN of the instance."""
        return self.instance.urn

    @property
    def label(self) -> str:
        """`machine worker-1-0`."""
        return f"machine {self.name}"

    @property
    def name(self) -> str:
        """The member's name."""
        return self.instance.name

    @property
    def address(self) -> str:
        """Its fixed address."""
        address = self.instance.text("privateIp")
        if not address:
            raise Undetermined(self.urn, "privateIp", "is not fixed")
        return address

    @cached_property
    def files(self) -> Mapping[str, str]:
        """Path to content of all files that it boots with."""
        return self._unpacked(files_of)

    @cached_property
    def modes(self) -> Mapping[str, str]:
        """Path to mode and owner of all files that it boots with."""
        return self._unpacked(modes_of)

    def _unpacked(self, read: Callable[[str, str], Mapping[str, str]]) -> Mapping[str, str]:
        try:
            boot = boot_of(self.instance.text("userData"))
        except ValueError as error:
            raise Undetermined(self.urn, "userData", f"cannot be judged: {error}") from None
        archive = self.archives.get(f"{boot.sha256}.tar.gz")
        if archive is None or archive.text("bucket") != boot.bucket:
            raise Undetermined(self.urn, "userData", f"names the archive {boot.sha256}, which is not in {boot.bucket}")
        try:
            return read(archive.text("contentBase64"), boot.sha256)
        except ValueError as error:
            raise Undetermined(archive.urn, "contentBase64", f"cannot be judged: {error}") from None

    def file(self, path: str) -> str:
        """Return a file's content; a missing file is undetermined."""
        if path not in self.files:
            raise Undetermined(self.urn, path, "is not among the machine's files")
        return self.files[path]

    @cached_property
    def patroni(self) -> Node:
        """Patroni's configuration."""
        return self._node(PATRONI, yaml_of(self.file(PATRONI)))

    @property
    def dcs(self) -> Node:
        """The settings that Patroni applies to the whole group."""
        return self._node(f"{PATRONI}: bootstrap.dcs", self.patroni.read("bootstrap.dcs"))

    def assignments(self, path: str) -> Mapping[str, str]:
        """Return the `NAME=value` lines of an environment file; the last line of a name counts."""
        return _assignments(self.file(path))

    def figure(self, path: str, name: str) -> str:
        """Return one value of an environment file; a missing one is undetermined."""
        values = self.assignments(path)
        if name not in values:
            raise Undetermined(self.urn, f"{path}: {name}", "is not set")
        return values[name]

    def pgbackrest_by_command(self, option: str, default: str = "") -> dict[str, str]:
        """Return pgBackRest's value of an option: for each command with its own section, and for all others (`all`)."""
        parts = {head: dict(settings) for head, settings in sections(self.file(PGBACKREST)).items()}
        commands = {head.partition(":")[2] for head in parts}
        answers: dict[str, str] = {}
        for command in commands | {""}:
            ranked = (f"{self.group}:{command}", self.group, f"global:{command}", "global")
            found = (parts[head][option] for head in ranked if option in parts.get(head, {}))
            answers[command or "all"] = next(found, default)
        return answers

    def pgbackrest(self, option: str, default: str = "") -> str:
        """Return pgBackRest's value of an option if it is the same for all commands; else it is undetermined."""
        answers = self.pgbackrest_by_command(option, default)
        if len(set(answers.values())) > 1:
            differ = ", ".join(f"{value or 'nothing'} for {command}" for command, value in sorted(answers.items()))
            raise Undetermined(self.urn, f"{PGBACKREST}: {option}", f"is {differ}; set one value for all commands")
        return answers["all"]

    @property
    def services(self) -> list[str]:
        """The units that the installer enables."""
        if "systemctl enable --now --no-block $SERVICES" not in self.file(INSTALL).splitlines():
            raise Undetermined(self.urn, INSTALL, "does not enable SERVICES")
        return self.figure(ENVIRONMENT, "SERVICES").split()

    def _node(self, path: str, value: object) -> Node:
        if not isinstance(value, dict):
            raise Undetermined(self.urn, path, "is not a mapping")
        return Node(self.urn, path, cast("dict[str, Any]", value))


@dataclass(frozen=True)
class Group:
    """Machines that can replace each other."""

    name: str
    role: str
    members: tuple[Machine, ...]

    @property
    def urn(self) -> str:
        """The URN of the members' component, or of the first member."""
        return self.members[0].instance.parent or self.members[0].urn

    @property
    def label(self) -> str:
        """`group worker-1`."""
        return f"group {self.name}"


@once
def machines(graph: Graph) -> list[Machine]:
    """Machines."""
    found: list[Machine] = []
    for instance in graph.of(INSTANCE):
        group, role = instance.text("tags.Group"), instance.text("tags.Role")
        if not group or not role:
            raise Undetermined(instance.urn, "tags", "have no Group or no Role")
        found.append(Machine(instance, group, role, archives(graph)))
    return found


@once
def groups(graph: Graph) -> list[Group]:
    """Groups of machines."""
    by_name: dict[str, list[Machine]] = {}
    for machine in machines(graph):
        by_name.setdefault(machine.group, []).append(machine)
    return [Group(name, members[0].role, tuple(members)) for name, members in by_name.items()]


def consensus(graph: Graph) -> list[Group]:
    """Consensus group."""
    return [group for group in groups(graph) if group.role == CONSENSUS]


def database_groups(graph: Graph) -> list[Group]:
    """Database groups."""
    return [group for group in groups(graph) if group.role in DATABASE]


def coordinators(graph: Graph) -> list[Group]:
    """Coordinator group."""
    return [group for group in groups(graph) if group.role == COORDINATOR]


def gateways(graph: Graph) -> list[Group]:
    """Gateway group."""
    return [group for group in groups(graph) if group.role == GATEWAY]


def database_machines(graph: Graph) -> list[Machine]:
    """Database machines."""
    return [machine for machine in machines(graph) if machine.role in DATABASE]


def consensus_machines(graph: Graph) -> list[Machine]:
    """Consensus machines."""
    return [machine for machine in machines(graph) if machine.role == CONSENSUS]


def gateway_machines(graph: Graph) -> list[Machine]:
    """Gateway machines."""
    return [machine for machine in machines(graph) if machine.role == GATEWAY]


def data_machines(graph: Graph) -> list[Machine]:
    """Machines that keep data."""
    return [machine for machine in machines(graph) if machine.role in KEEPS_DATA]


def zone_of(graph: Graph, machine: Machine) -> str:
    """Return the availability zone of a machine's subnet."""
    subnet = graph.target(machine.instance, "subnetId", SUBNET)
    zone = subnet.text("availabilityZone") if subnet is not None else machine.instance.text("availabilityZone")
    if not zone:
        raise Undetermined(machine.urn, "subnetId", "leads to no subnet whose zone is known")
    return zone


def by_zone(graph: Graph, members: tuple[Machine, ...]) -> dict[str, list[str]]:
    """Zone to the names of the members in it."""
    zones: dict[str, list[str]] = {}
    for member in members:
        zones.setdefault(zone_of(graph, member), []).append(member.name)
    return zones


def gates_of(graph: Graph, machine: Machine) -> list[Resource]:
    """The health gates that wait for a machine."""
    return graph.referring(machine.instance, GATE, "targets")


@cache
def sections(text: str) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """`[section]` to its `key=value` lines, in order: of a systemd unit, or of pgBackRest's configuration."""
    found: dict[str, list[tuple[str, str]]] = {}
    head = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            head = stripped[1:-1]
            found.setdefault(head, [])
        elif "=" in stripped and not stripped.startswith(("#", ";")):
            key, _, value = stripped.partition("=")
            found.setdefault(head, []).append((key.strip(), value.strip()))
    return {name: tuple(settings) for name, settings in found.items()}


@cache  # most files are the same on all machines
def found_in(text: str, *patterns: re.Pattern[str]) -> re.Match[str] | None:
    """Return the first match of one of the patterns in a line that is not a comment, None if there is none."""
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            match = next((found for pattern in patterns if (found := pattern.search(line))), None)
            if match is not None:
                return match
    return None


@cache
def yaml_of(text: str) -> object:
    """Parse YAML; None if it is not YAML."""
    try:
        return yaml.load(text, yaml.CSafeLoader)
    except yaml.YAMLError:
        return None


@cache
def _assignments(text: str) -> Mapping[str, str]:
    found = re.findall(r"^(?:export )?([A-Za-z][A-Za-z0-9_-]*)=(.*)$", text, re.MULTILINE)
    return {name: value.strip().strip("\"'") for name, value in found}


def duration_seconds(text: str) -> float | None:
    """Parse a duration of PostgreSQL or systemd (`60s`, `5min`, `1h`, a bare number of seconds)."""
    units = {"": 1.0, "ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip())
    return float(found[1]) * units[found[2]] if found and found[2] in units else None
