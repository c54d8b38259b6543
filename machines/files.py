"""Render the files that a member boots with: the templates of its role, with values from the topology.

A template lies in `templates/<set>/` at the path that its file has on the machine. Files in the script folders
(`_SCRIPT_FOLDERS`) are executable, except Python modules. No file contains a secret: machines fetch their secrets at
boot.

A member's files depend on its own group, on the consensus members and on the zones, but never on the number of Citus
worker groups: adding a group must not replace existing machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from model import gates, metrics
from model.topology import (
    APPLICATION_ROLE,
    DATABASE_NAME,
    POSTGRES_MAJOR,
    Group,
    Member,
    Port,
    Role,
    Topology,
)

TEMPLATES = Path(__file__).parent / "templates"
DATA_DIRECTORY = "/var/lib/backbuild"
CITUS_VERSION = "13.0"  # the vendor's first series for PostgreSQL 17
TUNNEL_METRICS_PORT = 20241  # the first port that cloudflared tries by default

# Template sets by role. No two sets of a role may contain the same path.
_SETS: dict[Role, tuple[str, ...]] = {
    Role.CONSENSUS: ("common", "volume", "consensus"),
    Role.COORDINATOR: ("common", "volume", "database"),
    Role.WORKER: ("common", "volume", "database"),
    Role.GATEWAY: ("common", "gateway"),
}
_SCRIPT_FOLDERS = ("/usr/local/sbin/", "/usr/local/lib/backbuild/")

_COMMON_PACKAGES = (
    "awscli",
    "ca-certificates",
    "chrony",
    "curl",
    "gpg",
    "jq",
    "openssl",
    "procps",
    "python3-boto3",
)
_POSTGRES = (f"postgresql-{POSTGRES_MAJOR}", "patroni", "pgbackrest")
# Patroni's module for etcd 3 imports this package, but Debian's patroni package accepts any one of five clients.
_ETCD_CLIENT = "python3-etcd"
_VOLUME_TOOLS = ("e2fsprogs",)
_DATABASE_TOOLS = (
    *_VOLUME_TOOLS,
    _ETCD_CLIENT,
    "kmod",
    "python3-cryptography",
    "python3-yaml",
    "zstd",
)
# Debian packages of the services, by role. They are held: the maintenance window does not upgrade them. Only a
# replacement of the machine by `pulumi up` does.
_HELD_DEBIAN_PACKAGES: dict[Role, tuple[str, ...]] = {
    Role.CONSENSUS: ("etcd-server", "etcd-client"),
    Role.COORDINATOR: _POSTGRES,
    Role.WORKER: _POSTGRES,
    Role.GATEWAY: ("haproxy",),
}
CITUS_PACKAGE = f"postgresql-{POSTGRES_MAJOR}-citus-{CITUS_VERSION}"
# The versions of Debian's held packages with which this platform was tested. An image contains exactly these versions.
# Machines that boot from a plain Debian image install the newest, because Debian's mirrors do not keep older versions.
HELD_VERSIONS: Mapping[str, str] = {
    "etcd-server": "3.5.16-4",
    "etcd-client": "3.5.16-4",
    "haproxy": "3.0.11-1+deb13u4",
    "patroni": "4.0.7-3~deb13u1",
    "pgbackrest": "2.55.1-1",
    f"postgresql-{POSTGRES_MAJOR}": "17.12-0+deb13u1",
}
# Packages from vendors' repositories, by role. Also held. The script `vendors` installs them.
_HELD_VENDOR_PACKAGES: dict[Role, tuple[str, ...]] = {
    Role.CONSENSUS: (),
    Role.COORDINATOR: (CITUS_PACKAGE,),
    Role.WORKER: (CITUS_PACKAGE,),
    Role.GATEWAY: ("cloudflared",),
}
# Other Debian packages, by role. The maintenance window upgrades them.
_OTHER_PACKAGES: dict[Role, tuple[str, ...]] = {
    Role.CONSENSUS: _VOLUME_TOOLS,
    Role.COORDINATOR: _DATABASE_TOOLS,
    Role.WORKER: _DATABASE_TOOLS,
    Role.GATEWAY: (),
}
# The services of each role that require the secrets and, except for gateways, the data volume.
_MAIN_SERVICES: dict[Role, tuple[str, ...]] = {
    Role.CONSENSUS: ("etcd.service",),
    Role.COORDINATOR: ("patroni.service",),
    Role.WORKER: ("patroni.service",),
    Role.GATEWAY: ("haproxy.service", "backbuild-tunnel.service"),
}
_DATABASE_SERVICES = (
    "patroni.service",
    "backbuild-backup-full.timer",
    "backbuild-backup-incr.timer",
    "backbuild-restore-point.timer",
)
_SERVICES: dict[Role, tuple[str, ...]] = {
    Role.CONSENSUS: ("etcd.service",),
    Role.COORDINATOR: _DATABASE_SERVICES,
    Role.WORKER: _DATABASE_SERVICES,
    Role.GATEWAY: ("haproxy.service", "backbuild-tunnel.service"),
}


@dataclass(frozen=True)
class File:
    """One file of a machine: its absolute path, its text, its octal mode and its owner (`user:group`)."""

    path: str
    content: str
    mode: str
    owner: str


@dataclass(frozen=True)
class _Secret:
    """A secret's name in Secrets Manager, its file below /run/backbuild/secrets and the owner of that file."""

    name: str
    file: str
    owner: str


def files_for(topology: Topology, member: Member) -> tuple[File, ...]:
    """Return every file that the member boots with, sorted by path."""
    values = _values(topology, member)
    files = [_file(f"{name}/{path}", values) for name in _SETS[member.role] for path in _paths(name)]
    return tuple(sorted(files, key=lambda file: file.path))


def _file(template: str, values: dict[str, object]) -> File:
    path = "/" + template.partition("/")[2]
    mode = "0755" if path.startswith(_SCRIPT_FOLDERS) and not path.endswith(".py") else "0644"
    content = environment().get_template(template).render(values)
    return File(path=path, content=content, mode=mode, owner="root:root")


def _values(topology: Topology, member: Member) -> dict[str, object]:
    """Return the variables of the templates."""
    consensus = topology.consensus.members
    group = next(group for group in topology.groups if group.name == member.group)
    client, peer = Port.ETCD_CLIENT.number, Port.ETCD_PEER.number
    return {
        "topology": topology,
        "group": group,
        "member": member,
        "port": Port,
        "metrics": metrics,
        "gates": gates,
        **package_values(member.role),
        "gateway": member.role is Role.GATEWAY,
        "main_services": _MAIN_SERVICES[member.role],
        "prerequisites": ("backbuild-secrets", *(("backbuild-data-volume",) if member.volume_gib else ())),
        "roles": Role,
        "secrets": _secrets(topology, group),
        "data_directory": DATA_DIRECTORY,
        "data_cidrs": [zone.data_cidr for zone in topology.zones],
        "consensus_hosts": [f"{one.address}:{client}" for one in consensus],
        "consensus_urls": [f"https://{one.address}:{client}" for one in consensus],
        "initial_cluster": ",".join(f"{one.name}=https://{one.address}:{peer}" for one in consensus),
        "majority": len(consensus) // 2 + 1,
        "hourly": next(kept for kept in topology.retention if kept.name == "hourly"),
        "database_name": DATABASE_NAME,
        "application_role": APPLICATION_ROLE,
        "postgres_data": f"{DATA_DIRECTORY}/postgresql/{POSTGRES_MAJOR}",
        "tunnel_metrics_port": TUNNEL_METRICS_PORT,
    }


def package_values(role: Role) -> dict[str, object]:
    """Return the variables of the templates that install a role's packages. They depend only on the role."""
    return {
        "database": role in {Role.COORDINATOR, Role.WORKER},
        "packages": packages_of(role),
        "held": held_of(role),
        "services": services_of(role),
        "postgres_version": POSTGRES_MAJOR,
        "citus_package": CITUS_PACKAGE,
    }


def packages_of(role: Role) -> tuple[str, ...]:
    """Return the Debian packages of a role's machines, sorted."""
    return tuple(sorted({*_COMMON_PACKAGES, *_HELD_DEBIAN_PACKAGES[role], *_OTHER_PACKAGES[role]}))


def held_of(role: Role) -> tuple[str, ...]:
    """Return the packages of a role that the maintenance window does not upgrade."""
    return (*_HELD_DEBIAN_PACKAGES[role], *_HELD_VENDOR_PACKAGES[role])


def services_of(role: Role) -> tuple[str, ...]:
    """Return the units that a role's machines enable at their first boot."""
    return (*_SERVICES[role], "backbuild-secrets-refresh.timer", "backbuild-metrics.timer")


def template_of(role: Role, path: str) -> str:
    """Return the name of the template of a role's file."""
    name = path.removeprefix("/")
    return next(f"{folder}/{name}" for folder in _SETS[role] if name in _paths(folder))


def _secrets(topology: Topology, group: Group) -> tuple[_Secret, ...]:
    names = topology.secrets
    if group.role is Role.GATEWAY:
        return (
            _Secret(names.gateway_certificate, "certificate", "root"),
            _Secret(names.tunnel_token, "tunnel-token", "root"),
        )
    if group.role is Role.CONSENSUS:
        return (
            _Secret(names.consensus_certificate, "certificate", "etcd"),
            _Secret(names.consensus, "consensus", "etcd"),
        )
    coordinator = group.role is Role.COORDINATOR
    by_file = {
        "certificate": names.coordinator_certificate if coordinator else names.worker_certificate,
        "application": names.application,
        "patroni": names.patroni,
        "consensus": names.consensus,
        "backup-cipher": names.backup_cipher,
        "backup-storage": names.backup_storage,
        "manifest-keys": names.manifest_keys,
    }
    return tuple(_Secret(name, file, "postgres") for file, name in by_file.items())


@cache
def _paths(name: str) -> tuple[str, ...]:
    folder = TEMPLATES / name
    return tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))


@cache
def environment() -> jinja2.Environment:
    """Return the Jinja environment that loads templates by their path below `templates/`."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,  # an unknown variable is an error, not an empty text
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="{##",  # the default `{#` occurs in shell: `${#array[@]}`
        comment_end_string="##}",
        autoescape=False,  # noqa: S701 - configuration files, not HTML; every value is validated by the settings
    )
