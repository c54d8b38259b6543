"""Derives every machine, address, bucket, schedule and hostname of a stack from its settings. Pure.

Components declare its contents and machines are rendered from it, so that no loop depends on an `Output`.
This module does not import Pulumi.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from model.copies import Copy, R2Copy, copies_of
from model.partitions import partition_of
from model.rotation import FORMER_POSTGRES_MAJORS, Retention, binding_of, retention_of
from model.settings import PRIMARY, BuildSchedule, Settings

# A member's address is its zone's data subnet + FIRST_HOST + SLOTS_PER_GROUP * the group's ordinal + its index, so that
# a new worker group changes no existing address. The three other groups and 64 worker groups need 16 + 67 * 8 = 552 of
# 4,091 hosts.
FIRST_HOST = 16  # AWS reserves the first four addresses; the others are spare
SLOTS_PER_GROUP = 8
GATEWAY_ORDINAL = 1

POSTGRES_MAJOR = 17  # the version in Debian 13
DATABASE_NAME = "backbuild"
APPLICATION_ROLE = "application"  # the database role of the API
ABANDONED_UPLOAD_DAYS = 7  # deletes the parts of an unfinished upload; longer than an outage that an upload survives


class Role(StrEnum):
    """The purpose of a machine. It determines the machine's files, ports and ingress rules."""

    CONSENSUS = "consensus"
    COORDINATOR = "coordinator"
    WORKER = "worker"
    GATEWAY = "gateway"


class Port(StrEnum):
    """The services that machines listen for; the value is the service's name."""

    POSTGRES = "postgres"
    RESTORED = "restored"  # a cluster that was restored beside the groups
    PATRONI = "patroni"
    ETCD_CLIENT = "etcd-client"
    ETCD_PEER = "etcd-peer"
    GATEWAY_WRITE = "gateway-write"
    GATEWAY_READ = "gateway-read"
    GATEWAY_HEALTH = "gateway-health"

    @property
    def number(self) -> int:
        """The TCP port."""
        return _PORT_NUMBERS[self]


_PORT_NUMBERS = {
    Port.POSTGRES: 5432,
    Port.RESTORED: 5434,
    Port.PATRONI: 8008,
    Port.ETCD_CLIENT: 2379,
    Port.ETCD_PEER: 2380,
    Port.GATEWAY_WRITE: 5432,
    Port.GATEWAY_READ: 5433,
    Port.GATEWAY_HEALTH: 8404,
}

# AWS cron expressions, in UTC: in the morning, when operators can examine a failed build.
_BUILD_SCHEDULES: dict[BuildSchedule, str | None] = {
    BuildSchedule.MANUAL: None,
    BuildSchedule.WEEKLY: "cron(0 7 ? * MON *)",
    BuildSchedule.MONTHLY: "cron(0 7 1 * ? *)",
}

# Source role, target role and port of every allowed connection. The security groups contain exactly these rules.
INGRESS_RULES: tuple[tuple[Role, Role, Port], ...] = (
    (Role.CONSENSUS, Role.CONSENSUS, Port.ETCD_PEER),
    (Role.CONSENSUS, Role.CONSENSUS, Port.ETCD_CLIENT),
    *((role, Role.CONSENSUS, Port.ETCD_CLIENT) for role in (Role.COORDINATOR, Role.WORKER)),
    *(
        (source, target, port)
        for source in (Role.COORDINATOR, Role.WORKER)
        for target in (Role.COORDINATOR, Role.WORKER)
        for port in (Port.POSTGRES, Port.RESTORED, Port.PATRONI)
    ),
    (Role.GATEWAY, Role.COORDINATOR, Port.POSTGRES),
    (Role.GATEWAY, Role.COORDINATOR, Port.PATRONI),
)


@dataclass(frozen=True)
class Zone:
    """One availability zone: its public subnet contains the NAT gateway, its data subnet all machines."""

    name: str
    index: int
    public_cidr: str
    data_cidr: str

    @property
    def letter(self) -> str:
        """The last letter of the zone's name, used in names of resources."""
        return self.name[-1]


@dataclass(frozen=True)
class Member:
    """One machine of a group."""

    name: str
    group: str
    role: Role
    index: int
    zone: Zone
    address: str
    instance_type: str
    volume_gib: int | None  # None: no data volume


@dataclass(frozen=True)
class Group:
    """A redundant group of machines. `citus_group` is Citus's group id: 0 for the coordinator, 1… for the workers."""

    name: str
    role: Role
    members: tuple[Member, ...]
    citus_group: int | None = None

    @property
    def strict(self) -> bool:
        """Whether `synchronous_mode_strict` is on: commits block while no standby is available.

        Safe from three members up: one standby remains after the loss of a member.
        """
        return len(self.members) >= 3

    @property
    def loss_tolerated(self) -> int:
        """How many members may fail while the group still serves: etcd needs a majority, other groups one member."""
        return (len(self.members) - 1) // 2 if self.role is Role.CONSENSUS else len(self.members) - 1


@dataclass(frozen=True)
class SecretNames:
    """The names of the machines' secrets in Secrets Manager. The values are plain text unless marked as JSON."""

    application: str  # the API's password in PostgreSQL
    patroni: str  # the password for changes through Patroni's REST interface
    consensus: str  # Patroni's login in etcd, USER:PASSWORD; each generation has its own user
    backup_cipher: str  # encrypts backups before they leave the machine
    backup_storage: str  # JSON: accessKeyId and secretAccessKey of the primary bucket
    backup_readers: str  # JSON: address and read-only keys of each copy; readable only while machines restore
    manifest_keys: str  # sign the manifests of backups; one key per line
    tunnel_token: str
    consensus_certificate: str  # JSON, as for all roles: certificate, key and authorities, each in PEM format
    coordinator_certificate: str
    worker_certificate: str
    gateway_certificate: str


@dataclass(frozen=True)
class Hostnames:
    """The hostnames of the platform."""

    domain: str
    api: str
    database: str
    backups: str
    status_domain: str
    status: str
    notifications: str  # the sender domain of e-mail to contacts

    @property
    def health_url(self) -> str:
        """The URL that the status page and the health check probe."""
        return f"https://{self.api}/health"


@dataclass(frozen=True)
class Schedules:
    """All schedules, in UTC: five-field cron for Workers, AWS cron expressions for machines and images."""

    full_backup_hour: int
    incremental_minute: int
    probe: str
    reconcile: str
    verify: str
    age_out: str
    watch: str
    maintenance: str
    maintenance_hours: int
    restore_drill: str
    image: str | None  # None: images are built only when an operator starts the pipeline


class Topology:
    """The complete shape of the stack named `stack`, derived from its settings."""

    def __init__(self, stack: str, settings: Settings) -> None:
        self.stack: str = stack
        self.settings: Settings = settings
        self.prefix: str = f"backbuild-{stack}"
        self.partition: str = partition_of(settings.database.region)

    @cached_property
    def zones(self) -> tuple[Zone, ...]:
        """The three zones. Data subnets are the network's first /20s, public ones /24s of its last /20."""
        network = ipaddress.IPv4Network(self.settings.database.network)
        blocks = list(network.subnets(new_prefix=20))
        public = list(blocks[-1].subnets(new_prefix=24))
        return tuple(
            Zone(name=name, index=index, public_cidr=str(public[index]), data_cidr=str(blocks[index]))
            for index, name in enumerate(self.settings.database.zones)
        )

    @cached_property
    def consensus(self) -> Group:
        """The etcd members."""
        chosen = self.settings.database.consensus
        return self._group("consensus", Role.CONSENSUS, 0, chosen.members, chosen.instance_type, chosen.volume_gib)

    @cached_property
    def gateways(self) -> Group:
        """The machines that route connections from the edge to the leaders."""
        chosen = self.settings.database.gateways
        return self._group("gateway", Role.GATEWAY, GATEWAY_ORDINAL, chosen.members, chosen.instance_type, None)

    @cached_property
    def gateway_cidrs(self) -> tuple[str, ...]:
        """The addresses that gateways may have: one range in each zone, independent of the number of gateways."""
        length = 32 - (SLOTS_PER_GROUP - 1).bit_length()
        addresses = (ipaddress.IPv4Network(zone.data_cidr).network_address for zone in self.zones)
        return tuple(f"{address + FIRST_HOST + SLOTS_PER_GROUP * GATEWAY_ORDINAL}/{length}" for address in addresses)

    @cached_property
    def coordinator(self) -> Group:
        """The group to which clients connect."""
        chosen = self.settings.database.coordinator
        return self._group(
            "coordinator", Role.COORDINATOR, 2, chosen.members, chosen.instance_type, chosen.volume_gib, citus_group=0
        )

    @cached_property
    def workers(self) -> tuple[Group, ...]:
        """The Citus worker groups, which store the shards."""
        chosen = self.settings.database.workers
        return tuple(
            self._group(
                f"worker-{number}",
                Role.WORKER,
                2 + number,
                chosen.members,
                chosen.instance_type,
                chosen.volume_gib,
                citus_group=number,
            )
            for number in range(1, chosen.groups + 1)
        )

    @cached_property
    def database_groups(self) -> tuple[Group, ...]:
        """Every group that runs PostgreSQL."""
        return (self.coordinator, *self.workers)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Every group, in the order in which `pulumi up` creates them."""
        return (self.consensus, *self.database_groups, self.gateways)

    @cached_property
    def retention(self) -> tuple[Retention, ...]:
        """The rotation policy as bucket rules."""
        former = sorted(self.settings.backups.former_groups, key=lambda name: int(name.removeprefix("worker-")))
        groups = [*(group.name for group in self.database_groups), *former]
        return retention_of(self.settings.backups.rotation, groups, (POSTGRES_MAJOR, *FORMER_POSTGRES_MAJORS))

    @property
    def rotation(self) -> dict[str, object]:
        """The rotation policy as the backup Workers go by it."""
        return binding_of(self.settings.backups)

    @cached_property
    def copies(self) -> tuple[Copy, ...]:
        """The copies of every backup, the primary first."""
        return copies_of(self.prefix, self.settings)

    @property
    def primary(self) -> R2Copy:
        """The copy that the machines write to."""
        return next(copy for copy in self.copies if isinstance(copy, R2Copy) and copy.name == PRIMARY)

    @property
    def machine_files_bucket(self) -> str:
        """The S3 bucket that machines fetch their files from."""
        return f"{self.prefix}-machine-files"

    @cached_property
    def secrets(self) -> SecretNames:
        """The names of the machines' secrets."""
        return SecretNames(
            application=f"{self.prefix}/database/application",
            patroni=f"{self.prefix}/database/patroni",
            consensus=f"{self.prefix}/database/consensus",
            backup_cipher=f"{self.prefix}/backups/cipher",
            backup_storage=f"{self.prefix}/backups/storage",
            backup_readers=f"{self.prefix}/backups/readers",
            manifest_keys=f"{self.prefix}/backups/manifest-keys",
            tunnel_token=f"{self.prefix}/gateways/tunnel-token",
            **{f"{role}_certificate": f"{self.prefix}/certificates/{role}" for role in Role},
        )

    @cached_property
    def hostnames(self) -> Hostnames:
        """The hostnames."""
        domain, status_domain = self.settings.domain, self.settings.status_domain
        return Hostnames(
            domain=domain,
            api=f"{self.settings.api.hostname}.{domain}",
            database=f"database.{domain}",
            backups=f"backups.{domain}",
            status_domain=status_domain,
            status=status_domain,
            notifications=f"notify.{status_domain}",
        )

    @cached_property
    def schedules(self) -> Schedules:
        """The schedules."""
        maintenance, drill = self.settings.maintenance, self.settings.backups.restore_drill
        return Schedules(
            full_backup_hour=self.settings.backups.full_hour_utc,
            incremental_minute=30,
            probe="* * * * *",  # STA-2: the stored history is per minute
            reconcile="*/5 * * * *",  # copies an object without an event well within a copy's maximum lag, 15 minutes
            verify="*/2 * * * *",  # verifies a new run within minutes, and every object within a week
            age_out="15 * * * *",  # deletes an expired object within an hour
            watch="*/5 * * * *",  # checks three times within a copy's maximum lag, 15 minutes
            maintenance=f"cron(0 {maintenance.start_hour_utc} ? * {maintenance.weekday.value} *)",
            maintenance_hours=maintenance.duration_hours,
            restore_drill=f"cron(0 {drill.hour_utc} {drill.day_of_month} * ? *)",
            image=_BUILD_SCHEDULES[self.settings.database.image_pipeline.schedule],
        )

    def _group(
        self,
        name: str,
        role: Role,
        ordinal: int,
        count: int,
        instance_type: str,
        volume_gib: int | None,
        citus_group: int | None = None,
    ) -> Group:
        members = tuple(self._member(name, role, ordinal, index, instance_type, volume_gib) for index in range(count))
        return Group(name=name, role=role, members=members, citus_group=citus_group)

    def _member(
        self, group: str, role: Role, ordinal: int, index: int, instance_type: str, volume_gib: int | None
    ) -> Member:
        # Consecutive members are in different zones. Each group starts in the next zone, to distribute the leaders.
        zone = self.zones[(ordinal + index) % len(self.zones)]
        first = ipaddress.IPv4Network(zone.data_cidr).network_address
        return Member(
            name=f"{group}-{index}",
            group=group,
            role=role,
            index=index,
            zone=zone,
            address=str(first + FIRST_HOST + SLOTS_PER_GROUP * ordinal + index),
            instance_type=instance_type,
            volume_gib=volume_gib,
        )
