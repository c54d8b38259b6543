"""Redundancy: machines accept connections and requests from each other only with a certificate of the platform.

Each rule lists the settings that are correct; a resource with any other setting fails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any, cast

from policies.controls import PEERS
from policies.graph import Graph, Resource
from policies.rule import Severity, define
from policies.views.haproxy import haproxy_sections, server_of, wrong_keyword
from policies.views.machines import (
    CITUS,
    CONSENSUS,
    COORDINATOR,
    DATABASE,
    ENVIRONMENT,
    ETCD,
    GATEWAY,
    HAPROXY,
    PATRONI,
    SUBNET,
    UNITS,
    WORKER,
    Machine,
    consensus_machines,
    database_machines,
    found_in,
    gateway_machines,
    machines,
    sections,
)
from policies.views.patroni import CONFIGURE, own_parameters, parameters, patroni_settings, section
from policies.views.shell import lines_of, replaced, steered, stops_at_errors
from policies.views.transit import (
    BOTH,
    KEY,
    SHOWN,
    TRUSTED,
    differing,
)
from policies.views.units import Unit, packaged_overridden

DROP_IN = f"{UNITS}/etcd.service.d/backbuild.conf"
USERS = "/usr/local/lib/backbuild/etcd-users"
USERS_UNIT = "backbuild-etcd-users.service"
APPLICATION = "application"  # PostgreSQL's role of the API, the only one with a password

ETCD_LINE = re.compile(r'(ETCD_[A-Z_]+)="([^"\\$`]*)"')
ETCD_TLS = {
    "ETCD_CERT_FILE": SHOWN,
    "ETCD_KEY_FILE": KEY,
    "ETCD_TRUSTED_CA_FILE": TRUSTED,
    "ETCD_CLIENT_CERT_AUTH": "true",
    "ETCD_PEER_CERT_FILE": SHOWN,
    "ETCD_PEER_KEY_FILE": KEY,
    "ETCD_PEER_TRUSTED_CA_FILE": TRUSTED,
    "ETCD_PEER_CLIENT_CERT_AUTH": "true",
    "ETCD_PEER_CERT_ALLOWED_CN": CONSENSUS,
}
ETCD_URLS = (
    "ETCD_LISTEN_PEER_URLS",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS",
    "ETCD_LISTEN_CLIENT_URLS",
    "ETCD_ADVERTISE_CLIENT_URLS",
    "ETCD_INITIAL_CLUSTER",
)
ETCD_OTHERS = (
    "ETCD_NAME",
    "ETCD_DATA_DIR",
    "ETCD_INITIAL_CLUSTER_TOKEN",
    "ETCD_AUTO_COMPACTION_MODE",
    "ETCD_AUTO_COMPACTION_RETENTION",
    "ETCD_UNSAFE_NO_FSYNC",  # judged by data-on-its-own-volume
)
# Variables that tune etcd. They change neither who has access nor which data is on the disk.
ETCD_TUNING = (
    "ETCD_QUOTA_BACKEND_BYTES",
    "ETCD_SNAPSHOT_COUNT",
    "ETCD_MAX_SNAPSHOTS",
    "ETCD_MAX_WALS",
    "ETCD_LOG_LEVEL",
)
LEAST_QUOTA = 2 * 1024**3  # etcd's default; a full etcd refuses all writes
# The keys that the drop-in of etcd's unit may set, and their values. None: any value is accepted.
ETCD_SERVICE = {
    "EnvironmentFile": ("-/run/backbuild/etcd",),
    "ExecStartPre": ("+/usr/local/lib/backbuild/etcd-join",),
    **dict.fromkeys(("TimeoutStartSec", "Restart", "RestartSec")),
}
# All commands of the script that change users, roles or authentication, in order.
PERMISSIONS = re.compile(r"\betcd (?:auth|user add|user delete|user grant-role|role grant-permission)\b.*")
ETCD_PERMISSIONS = [
    'etcd user add "$user" --no-password',
    'etcd user grant-role "$user" root',
    'etcd role grant-permission patroni readwrite --prefix=true "/$STACK/"',
    'etcd user add "$patroni" --interactive=false',
    'etcd user grant-role "$patroni" patroni',
    "etcd auth enable",
    'etcd user delete "$former"',
]
ETCD_USERS = "for user in root consensus; do"
ETCDCTL = re.compile(r'etcd\(\) \{ etcdctl --endpoints="https://\$ADDRESS:\d+" "\$@"; \}')

REST = {
    "verify_client": "required",
    "authentication": {"username": "patroni", "password": "$(secret patroni)"},
    "cafile": "$tls/authorities.pem",
    "certfile": "$tls/certificate.pem",
    "keyfile": "$tls/key.pem",
}
REST_CLIENT = {"cacert": TRUSTED, "certfile": SHOWN, "keyfile": KEY}
ETCD_CLIENT = {
    "protocol": "https",
    "username": "$etcd_user",
    "password": "$etcd_password",
    "cacert": TRUSTED,
    "cert": SHOWN,
    "key": KEY,
}
# All sections that Patroni's settings may have. Another section could configure another store or another interface.
PATRONI_SECTIONS = frozenset(
    {
        *("scope", "namespace", "name", "restapi", "ctl", "etcd3", "bootstrap", "postgresql"),
        *("citus", "watchdog", "tags", "log"),
    }
)
VERIFIED = {"sslmode": "verify-full", "sslrootcert": TRUSTED, "sslcert": SHOWN, "sslkey": KEY}
PEER_ROLES = {
    "superuser": {"username": "postgres"},  # connects over the Unix socket
    "replication": {"username": "replicator", **VERIFIED},
    "rewind": {"username": "rewind", **VERIFIED},
}
CONNINFO = {"sslmode": "verify-full", "sslrootcert": TRUSTED}
CONNINFO_OTHERS = (
    *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    "tcp_user_timeout",
)
# Citus presents the certificate that libpq finds in the home directory of the user postgres.
HOME_LINKS = (
    f"ln -sfn {SHOWN} /var/lib/postgresql/.postgresql/postgresql.crt",
    f"ln -sfn {KEY} /var/lib/postgresql/.postgresql/postgresql.key",
)
SERVER_PARAMETERS = {
    "ssl": ("on", "True"),  # YAML's bare `on` is True
    "ssl_ca_file": (TRUSTED,),
    "ssl_cert_file": (SHOWN,),
    "ssl_key_file": (KEY,),
    "ssl_min_protocol_version": ("TLSv1.2", "TLSv1.3"),
    "password_encryption": ("scram-sha-256",),
}
# Parameters that affect TLS or authentication, in addition to those whose names begin with `ssl`.
DECIDING = ("password_encryption", "hba_file", "ident_file", "config_file", "db_user_namespace", "krb_server_keyfile")
PASSWORD_LINE = re.compile(rf"hostssl (?P<database>\S+) {APPLICATION} (?P<network>[0-9./]+) scram-sha-256")
CERTIFICATE_LINE = re.compile(
    r"hostssl (?P<whom>replication replicator|all all) (?P<network>[0-9./]+) cert clientname=DN map=machines"
)
LOCAL_LINES = ("local replication replicator peer map=machines", "local all all peer map=machines")
MAPPED = {"machines postgres all", *(f'machines "OU={role}" all' for role in (COORDINATOR, WORKER))}

CHECKED = {"verify": "required", "verifyhost": COORDINATOR, "ca-file": TRUSTED, "crt": BOTH}
SERVER_OTHERS = ("inter", "fastinter", "downinter", "fall", "rise", "on-marked-down")

PLAIN = re.compile(r"http://(?!169\.254\.169\.254/|127\.0\.0\.1[:/])\S*")  # except instance metadata and loopback
UNVERIFIED = re.compile(
    r"\binsecure\b|--no-check-certificate|\bcurl\b.*\s-\w*k\w*\b|\bverify none\b|\bPGSSLMODE\b"
    r"|\bsslmode\s*[=:]\s*(?!\s|verify-full\b)\S+"
)


# -- etcd


@define(
    "redundancy",
    "consensus-speaks-mutual-tls",
    Severity.CRITICAL,
    "etcd accepts only clients with a certificate of the platform, and only members with one of the role consensus",
    over=consensus_machines,
    promises=("RED-3",),
    controls=PEERS,
    remedy="restore https and the certificates in machines/templates/consensus/etc/default/etcd",
)
def consensus_speaks_tls(_: Graph, machine: Machine) -> str | None:
    """A client that can write to etcd decides which machine leads a group."""
    found: dict[str, str] = {}
    for line in machine.file(ETCD).splitlines():
        if line.strip() and not line.startswith("#"):
            match = ETCD_LINE.fullmatch(line)
            if match is None:
                return f'{ETCD} has the line {line!r:.60}; ETCD_NAME="value" is expected'
            found[match[1]] = match[2]
    tls = {name: value for name, value in found.items() if name not in (*ETCD_URLS, *ETCD_OTHERS, *ETCD_TUNING)}
    if wrong := differing(tls, ETCD_TLS, f"{ETCD}: "):
        return wrong
    for name in ETCD_URLS:
        urls = [one.rpartition("=")[2] for one in found.get(name, "").split(",")]
        if not all(url.startswith("https://") for url in urls):
            return f"{ETCD}: {name} has an address without https"
    quota = found.get("ETCD_QUOTA_BACKEND_BYTES", str(LEAST_QUOTA))
    if not quota.isdecimal() or int(quota) < LEAST_QUOTA:
        return f"{ETCD}: ETCD_QUOTA_BACKEND_BYTES is {quota}; at least {LEAST_QUOTA} bytes are expected"
    return _etcd_overridden(machine)


def _etcd_overridden(machine: Machine) -> str | None:
    """Return which file or setting may give etcd other settings than its environment file."""
    for path, content in machine.files.items():
        names = set(re.findall(r"\b(?:ETCD_\w+|DAEMON_ARGS)", content))
        if path != ETCD and (strange := names - {"ETCD_INITIAL_CLUSTER_STATE"}):
            return f"{path} names {min(strange)}; {ETCD} alone may set it"
    return packaged_overridden(machine, "etcd", DROP_IN, ETCD_SERVICE)


@define(
    "redundancy",
    "consensus-limits-its-users",
    Severity.HIGH,
    "etcd requires authentication, and Patroni's user may access only the platform's keys",
    over=consensus_machines,
    promises=("RED-3",),
    controls=PEERS,
    remedy="restore etcd-users, its unit, and Wants= of etcd.service (machines/templates/consensus)",
)
def consensus_limits_users(_: Graph, machine: Machine) -> str | None:
    """Without users, every machine with a certificate could delete the leaders' leases."""
    if wrong := _wrong_users(machine.file(USERS)):
        return f"{USERS} {wrong}"
    wanted = dict(sections(machine.file(DROP_IN)).get("Unit", ())).get("Wants", "").split()
    if USERS_UNIT not in wanted:
        return f"{DROP_IN}: Wants does not start {USERS_UNIT}"
    unit = Unit(machine, USERS_UNIT)
    for key, right in (("ExecStart", USERS), ("Restart", "on-failure")):
        if unit.values("Service", key) != [right]:
            return f"{unit.path}: {key} is not {right}"
    return unit.overridden() or steered(machine) or replaced(machine, "etcdctl")


def _wrong_users(script: str) -> str | None:
    """Return the problem of the script that creates etcd's users, None if there is none."""
    lines = lines_of(script)
    if lines is None:
        return "cannot be read with certainty; write one command on each line"
    code = [line.text for line in lines]
    if [found for line in code for found in PERMISSIONS.findall(line)] != ETCD_PERMISSIONS:
        return f"gives other permissions than {'; '.join(ETCD_PERMISSIONS)}"
    if ETCD_USERS not in code or not stops_at_errors(lines) or any("exit" in line for line in code):
        return f"does not give the role root to {CONSENSUS} and root only, or may exit before its last command"
    if not any(ETCDCTL.fullmatch(line) for line in code):
        return "does not define etcd as etcdctl at this machine's address"
    return None


# -- Patroni


@define(
    "redundancy",
    "failover-requests-authenticate",
    Severity.CRITICAL,
    "Patroni's REST interface requires a certificate of the platform, and a password for changes",
    over=database_machines,
    promises=("RED-3",),
    controls=PEERS,
    remedy="restore restapi and ctl in patroni.yml, and the settings that patroni-configure adds",
)
def failover_requests_authenticate(_: Graph, machine: Machine) -> str | None:
    """A request to this interface can restart PostgreSQL, promote a standby, or change the group's settings."""
    settings = patroni_settings(machine)
    if strange := sorted(settings.keys() - PATRONI_SECTIONS):
        return f"{PATRONI}: {strange[0]} must not be set"
    listening = ("listen", "connect_address")
    return differing(settings.get("restapi"), REST, f"{PATRONI}: restapi.", listening) or differing(
        settings.get("ctl"), REST_CLIENT, f"{PATRONI}: ctl."
    )


@define(
    "redundancy",
    "leases-are-kept-over-tls",
    Severity.CRITICAL,
    "Patroni verifies etcd's certificate, and presents a certificate and a password to etcd",
    over=database_machines,
    promises=("RED-3",),
    controls=PEERS,
    remedy="restore etcd3 in patroni.yml, and the password that patroni-configure adds",
)
def leases_over_tls(_: Graph, machine: Machine) -> str | None:
    """A server that impersonates etcd could make two members leaders at the same time."""
    return differing(patroni_settings(machine).get("etcd3"), ETCD_CLIENT, f"{PATRONI}: etcd3.", ("hosts",))


# -- PostgreSQL


@define(
    "redundancy",
    "database-nodes-verify-each-other",
    Severity.CRITICAL,
    "Replication, pg_rewind and Citus verify the other node, and present a certificate to it",
    over=database_machines,
    promises=("RED-2", "RED-3"),
    controls=PEERS,
    remedy="restore postgresql.authentication in patroni.yml, and citus.node_conninfo in citus.yml",
)
def nodes_verify_each_other(_: Graph, machine: Machine) -> str | None:
    """A standby that does not verify its leader may replicate from another machine."""
    settings = patroni_settings(machine)
    authentication = section(section(settings, "postgresql"), "authentication")
    for role, right in PEER_ROLES.items():
        if wrong := differing(authentication.get(role), right, f"{PATRONI}: postgresql.authentication.{role}."):
            return wrong
    if strange := sorted(authentication.keys() - PEER_ROLES.keys()):
        return f"{PATRONI}: postgresql.authentication.{strange[0]} must not be set"
    return _citus_unverified(machine, settings)


def _citus_unverified(machine: Machine, settings: Mapping[str, Any]) -> str | None:
    pairs = [one.partition("=") for one in str(own_parameters(settings).get("citus.node_conninfo", "")).split()]
    conninfo = {key: value for key, _, value in pairs}
    where = f"{CITUS}: citus.node_conninfo"
    if len(conninfo) < len(pairs):
        return f"{where} has a keyword twice"
    if wrong := differing(conninfo, CONNINFO, f"{where}: ", CONNINFO_OTHERS):
        return wrong
    missing = [line for line in HOME_LINKS if line not in machine.file(CONFIGURE).splitlines()]
    return f"{CONFIGURE} has no line {missing[0]}" if missing else None


@define(
    "redundancy",
    "database-admits-known-clients-only",
    Severity.CRITICAL,
    "PostgreSQL accepts only database machines with a certificate, and the API with a password through gateways",
    over=database_machines,
    promises=("RED-2", "BAK-3"),
    controls=PEERS,
    remedy="restore pg_hba, pg_ident and the ssl parameters in machines/templates/database/etc/backbuild/patroni.yml",
)
def database_admits_known(graph: Graph, machine: Machine) -> str | None:
    """A password that leaks from one machine must not give another machine access to the database."""
    settings = patroni_settings(machine)
    postgresql = section(settings, "postgresql")
    for key in ("custom_conf", "config_dir"):
        if key in postgresql:
            return f"{PATRONI}: postgresql.{key} must not be set: its files override these settings"
    mapped = postgresql.get("pg_ident")
    if not isinstance(mapped, list) or set(map(str, cast("list[object]", mapped))) != MAPPED:
        return f"{PATRONI}: pg_ident must map {', '.join(sorted(MAPPED))}, and nothing else"
    return _weak_server(machine) or _admits_others(graph, machine, postgresql.get("pg_hba"))


def _weak_server(machine: Machine) -> str | None:
    """Return which parameter of PostgreSQL's TLS is wrong."""
    found = parameters(machine)
    for name, good in SERVER_PARAMETERS.items():
        if str(found.get(name)) not in good:
            return f"{PATRONI}: {name} is {found.get(name)!r}; {good[0]} is expected"
    for name in found:
        if (name.startswith("ssl") or name in DECIDING) and name not in SERVER_PARAMETERS:
            return f"{PATRONI}: {name} must not be set"
    return None


def _admits_others(graph: Graph, machine: Machine, lines: object) -> str | None:
    """Return which line of pg_hba accepts unexpected clients, or which machine no line accepts."""
    if not isinstance(lines, list):
        return f"{PATRONI}: pg_hba is not set"
    database = machine.figure(ENVIRONMENT, "DATABASE")
    loopback = f"host {database} {APPLICATION} 127.0.0.1/32 scram-sha-256"
    gateways: list[IPv4Network] = []
    nodes: dict[str, list[IPv4Network]] = {}
    for line in (" ".join(str(one).split()) for one in cast("list[object]", lines)):
        password, certificate = PASSWORD_LINE.fullmatch(line), CERTIFICATE_LINE.fullmatch(line)
        if password and password["database"] == database and not nodes:
            gateways.append(IPv4Network(password["network"]))
        elif certificate:
            nodes.setdefault(certificate["whom"], []).append(IPv4Network(certificate["network"]))
        elif line not in (*LOCAL_LINES, loopback):
            return f"{PATRONI}: pg_hba has the line {line}, which is not expected, or not in this place"
    return _outside(graph, gateways, nodes)


def _outside(graph: Graph, gateways: list[IPv4Network], nodes: Mapping[str, list[IPv4Network]]) -> str | None:
    """Return which network of pg_hba is outside the machines' subnets, or for which machine its lines are wrong."""
    subnets = [ip_network(one.text("cidrBlock")) for one in _subnets(graph)]
    for network in (*gateways, *(one for networks in nodes.values() for one in networks)):
        if not any(isinstance(subnet, IPv4Network) and network.subnet_of(subnet) for subnet in subnets):
            return f"{PATRONI}: pg_hba admits {network}, which is not within a subnet of machines"
    for other in machines(graph):
        address = ip_address(other.address)
        among_gateways = any(address in network for network in gateways)
        if among_gateways and other.role != GATEWAY:
            return f"{PATRONI}: pg_hba admits {other.name}, a {other.role} machine, with a password"
        if not among_gateways and other.role == GATEWAY:
            return f"{PATRONI}: pg_hba does not admit the API through {other.name}"
        for whom in ("replication replicator", "all all") if other.role in DATABASE else ():
            if not any(address in network for network in nodes.get(whom, ())):
                return f"{PATRONI}: pg_hba does not admit {other.name} ({whom})"
    return None


def _subnets(graph: Graph) -> list[Resource]:
    found = (graph.target(machine.instance, "subnetId", SUBNET) for machine in machines(graph))
    return list(dict.fromkeys(one for one in found if one is not None))


# -- HAProxy


@define(
    "redundancy",
    "gateways-verify-the-leader",
    Severity.HIGH,
    "A gateway accepts a health check's answer only from a coordinator with a certificate of the platform",
    over=gateway_machines,
    promises=("RED-3",),
    controls=PEERS,
    remedy="restore check-ssl of each server, and the certificates of default-server, in haproxy.cfg",
)
def gateways_verify(_: Graph, machine: Machine) -> str | None:
    """Otherwise another machine on the network could answer the health check, and receive the clients' queries."""
    lines = [line for part in haproxy_sections(machine) for line in part.lines]
    if wrong := next((one for one in lines if one[0].startswith("ssl-") or "verify none" in " ".join(one)), None):
        return f"{HAPROXY} must not have the line {' '.join(wrong)}"
    servers = [line for line in lines if line[0].startswith("server")]
    if not servers:
        return f"{HAPROXY} has no servers"
    if wrong := next(filter(None, map(_wrong_server, servers)), None):
        return f"{HAPROXY} has the line {wrong}; server NAME ADDRESS:PORT check check-ssl port PORT is expected"
    words = [word for line in lines if line[0] == "default-server" for word in line[1:]]
    pairs = list(zip(words[::2], words[1::2], strict=False))
    defaults = dict(pairs)
    if len(defaults) * 2 != len(words):
        return f"{HAPROXY}: default-server has a keyword twice, or without a value"
    return differing(defaults, CHECKED, f"{HAPROXY}: default-server: ", SERVER_OTHERS)


def _wrong_server(words: tuple[str, ...]) -> str | None:
    """Return the line and its problem if it is not a correct line of a server, else None."""
    server = server_of(words) if words[0] == "server" else None
    wrong = wrong_keyword(server) if server is not None else "it is not a server with an address and keywords"
    return f"{' '.join(words)}: {wrong}" if wrong else None


# -- all of them


@define(
    "redundancy",
    "no-connection-is-unverified",
    Severity.HIGH,
    "No file of a machine contains a remote http address, or disables the verification of certificates",
    over=machines,
    promises=("RED-3", "BAK-3"),
    controls=PEERS,
    remedy="use https with the authorities in /run/backbuild/tls; remove the option that skips verification",
)
def no_unverified(_: Graph, machine: Machine) -> str | None:
    """One script without verification is enough to send a password to an impostor."""
    for path, content in machine.files.items():
        if (found := found_in(content, PLAIN, UNVERIFIED)) is not None:
            return f"{path} has {found[0]!r:.60}"
    return None
