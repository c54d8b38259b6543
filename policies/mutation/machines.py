"""Weakenings of what machines are and boot with."""

from __future__ import annotations

from collections.abc import Iterator

from policies.graph import Graph, Resource
from policies.mutation.operators import (
    ABSENT,
    Mutant,
    Operator,
    drop,
    edit,
    ending,
    named,
    put,
    relink,
    role,
    unlink,
    unprotect,
    without,
)
from policies.mutation.weakening import ATTACHMENT, GATE, INSTANCE, SUBNET, VOLUME, Weakening

DATABASE = role("coordinator", "worker")
CONSENSUS = role("consensus")
GATEWAY = role("gateway")
KEEPS_DATA = role("coordinator", "worker", "consensus")
MOUNTING = "/usr/local/sbin/backbuild-data-volume"
PATRONI = "/etc/backbuild/patroni.yml"
PGBACKREST = "/etc/pgbackrest/pgbackrest.conf"
ENVIRONMENT = "/etc/default/backbuild"
HAPROXY = "/etc/haproxy/haproxy.cfg"
UNITS = "/etc/systemd/system"
FULL, INCREMENT = f"{UNITS}/backbuild-backup-full.timer", f"{UNITS}/backbuild-backup-incr.timer"
BACKUP = "/usr/local/sbin/backbuild-backup"


def neighbours_subnet(graph: Graph, machine: Resource) -> Resource | None:
    """The subnet of the next machine of the same group."""
    group = [one for one in graph.of(INSTANCE) if _group(one) == _group(machine)]
    other = group[(group.index(machine) + 1) % len(group)]
    return graph.target(other, "subnetId", SUBNET)


def neighbours_volume(graph: Graph, machine: Resource) -> Resource | None:
    """The volume of the next machine of the same group."""
    group = [one for one in graph.of(INSTANCE) if _group(one) == _group(machine)]
    attachments = graph.referring(group[(group.index(machine) + 1) % len(group)], ATTACHMENT, "instanceId")
    return graph.target(attachments[0], "volumeId", VOLUME)


def _group(machine: Resource) -> str:
    return machine.text("tags.Group")


def only(count: int, where: object) -> Operator:
    """Of each group, only so many members are declared."""

    def make(graph: Graph) -> Iterator[Mutant]:
        groups: dict[str, list[Resource]] = {}
        for machine in graph.of(INSTANCE):
            if callable(where) and where(machine):
                groups.setdefault(_group(machine), []).append(machine)
        for name, members in groups.items():
            yield Mutant(f"group {name}", without(graph, *members[count:]))

    return make


MOVED = relink(INSTANCE, "subnetId", neighbours_subnet, DATABASE)

WEAKENINGS = (
    # members and quorum
    Weakening("a database member moves into its neighbour's zone", "group-survives-a-zone", MOVED),
    Weakening("a member moves, and a zone is left out", "members-over-zones", MOVED),
    Weakening(
        "two voters in one zone", "quorum-survives-a-zone", relink(INSTANCE, "subnetId", neighbours_subnet, CONSENSUS)
    ),
    Weakening(
        "both gateways in one zone", "gateways-survive-a-zone", relink(INSTANCE, "subnetId", neighbours_subnet, GATEWAY)
    ),
    Weakening("a voter is not declared", "quorum-survives-a-node", drop(INSTANCE, CONSENSUS)),
    Weakening("a database group of one", "group-survives-a-node", only(1, DATABASE)),
    Weakening("a database group of two that must be three", "group-survives-a-node", only(2, DATABASE)),
    Weakening("one gateway", "gateways-survive-a-zone", only(1, GATEWAY)),
    Weakening(
        "a voter is left out of the cluster",
        "consensus-knows-its-voters",
        edit("/etc/default/etcd", r'^(ETCD_INITIAL_CLUSTER="[^,]+),[^,]+', r"\1", CONSENSUS),
    ),
    Weakening(
        "a voter's address changes", "consensus-knows-its-voters", put(INSTANCE, "privateIp", "10.20.9.9", CONSENSUS)
    ),
    Weakening(
        "a fourth voter that is not there",
        "quorum-survives-a-node",
        edit(
            "/etc/default/etcd",
            r'^(ETCD_INITIAL_CLUSTER="[^"]+)"',
            r'\1,consensus-3=http://10.20.0.99:2380"',
            CONSENSUS,
        ),
    ),
    Weakening(
        "a database member asks one voter less",
        "database-asks-every-voter",
        edit(PATRONI, r"hosts: \['[^']+', ", "hosts: [", DATABASE),
    ),
    Weakening("a machine is tagged as another group's", "tags-tell-the-truth", put(INSTANCE, "tags.Group", "other")),
    Weakening(
        "a machine is tagged as another platform's", "tags-tell-the-truth", put(INSTANCE, "tags.Platform", "other")
    ),
    # replication and failover
    Weakening(
        "asynchronous replication",
        "commits-are-synchronous",
        edit(PATRONI, "synchronous_mode: quorum", "synchronous_mode: false", DATABASE),
    ),
    Weakening(
        "commits that wait for the leader's disk alone",
        "commits-are-synchronous",
        edit(PATRONI, "max_connections: 200", "synchronous_commit: local", DATABASE),
    ),
    Weakening(
        "commits that do not wait",
        "commits-wait-in-groups-of-three",
        edit(PATRONI, "synchronous_mode_strict: true", "synchronous_mode_strict: false", DATABASE),
    ),
    Weakening(
        "no failsafe mode", "failsafe-mode", edit(PATRONI, "failsafe_mode: true", "failsafe_mode: false", DATABASE)
    ),
    Weakening(
        "a lease shorter than its renewal",
        "lease-arithmetic",
        edit(PATRONI, "retry_timeout: 5", "retry_timeout: 10", DATABASE),
    ),
    Weakening("a lease of five minutes", "lease-arithmetic", edit(PATRONI, "ttl: 20", "ttl: 300", DATABASE)),
    Weakening(
        "a former leader must be copied anew",
        "lost-leaders-rejoin",
        edit(PATRONI, "use_pg_rewind: true", "use_pg_rewind: false", DATABASE),
    ),
    Weakening(
        "no replication slots", "lost-leaders-rejoin", edit(PATRONI, "use_slots: true", "use_slots: false", DATABASE)
    ),
    Weakening(
        "failover is paused",
        "failover-needs-nobody",
        edit(PATRONI, "failsafe_mode: true", "failsafe_mode: true\n    pause: true", DATABASE),
    ),
    Weakening(
        "a standby that may not lead",
        "failover-needs-nobody",
        edit(PATRONI, r"^restapi:", "tags: {nofailover: true}\nrestapi:", DATABASE),
    ),
    Weakening("Patroni is not enabled", "failover-needs-nobody", edit(ENVIRONMENT, "patroni.service ", "", DATABASE)),
    Weakening(
        "etcd is not enabled", "consensus-starts", edit(ENVIRONMENT, 'SERVICES="etcd.service ', 'SERVICES="', CONSENSUS)
    ),
    Weakening(
        "etcd stays down",
        "consensus-starts",
        edit(f"{UNITS}/etcd.service.d/backbuild.conf", "Restart=always", "Restart=no", CONSENSUS),
    ),
    Weakening(
        "a gateway knows a coordinator less",
        "gateways-follow-the-leader",
        edit(HAPROXY, r"^    server coordinator-1 .*\n", "", GATEWAY),
    ),
    Weakening(
        "a gateway asks nobody who leads",
        "gateways-follow-the-leader",
        edit(HAPROXY, "uri /primary", "uri /health", GATEWAY),
    ),
    Weakening(
        "sessions to a former leader go on",
        "gateways-follow-the-leader",
        edit(HAPROXY, " on-marked-down shutdown-sessions", "", GATEWAY),
    ),
    Weakening(
        "a gateway without a connector",
        "gateways-follow-the-leader",
        edit(ENVIRONMENT, "backbuild-tunnel.service ", "", GATEWAY),
    ),
    # health gates
    Weakening("a machine without a gate", "gate-waits-for-health", drop(GATE)),
    Weakening("a gate that does not wait", "gate-waits-for-health", put(GATE, "waitForSuccessTimeoutSeconds", ABSENT)),
    Weakening("a gate that asks nothing", "gate-waits-for-health", put(GATE, "parameters.commands", "true")),
    Weakening("a gate that looks before the volume is there", "gate-follows-the-volume", unlink(GATE, ATTACHMENT)),
    Weakening("a member that waits for nobody", "gates-chain-members", unlink(INSTANCE, GATE, ending("-1", "-2"))),
    Weakening(
        "databases that do not wait for consensus",
        "gates-chain-groups",
        unlink(INSTANCE, GATE, DATABASE, named("consensus")),
    ),
    Weakening(
        "gateways that do not wait for the coordinator",
        "gates-chain-groups",
        unlink(INSTANCE, GATE, GATEWAY, named("coordinator")),
    ),
    Weakening(
        "a machine that a slip terminates", "termination-is-refused", put(INSTANCE, "disableApiTermination", False)
    ),
    Weakening(
        "broken hardware is not left",
        "termination-is-refused",
        put(INSTANCE, "maintenanceOptions.autoRecovery", "disabled"),
    ),
    # disks
    Weakening("a machine without its volume", "data-on-its-own-volume", drop(ATTACHMENT)),
    Weakening("a volume in another zone", "data-on-its-own-volume", put(VOLUME, "availabilityZone", "eu-central-1z")),
    Weakening(
        "a machine that is told of no volume",
        "data-on-its-own-volume",
        put(INSTANCE, "tags.DataVolume", ABSENT, KEEPS_DATA),
    ),
    Weakening(
        "a machine that is told of its neighbour's volume",
        "data-on-its-own-volume",
        relink(INSTANCE, "tags.DataVolume", neighbours_volume, KEEPS_DATA),
    ),
    Weakening(
        "a machine that cannot ask for its volume",
        "data-on-its-own-volume",
        put(INSTANCE, "metadataOptions.instanceMetadataTags", "disabled", KEEPS_DATA),
    ),
    Weakening(
        "a machine that takes any disk",
        "data-on-its-own-volume",
        edit(MOUNTING, r'readlink -e "\$BY_ID.*?"', "lsblk -dnpo NAME | tail -1", KEEPS_DATA),
    ),
    Weakening(
        "a machine that takes any EBS volume",
        "data-on-its-own-volume",
        edit(MOUNTING, r'"\$BY_ID\$\{id/-/\}"', '"$BY_ID"*', KEEPS_DATA),
    ),
    Weakening(
        "a machine that formats its second disk",
        "data-on-its-own-volume",
        edit(MOUNTING, r"^    mkfs.ext4 .*", "    mkfs.ext4 -q /dev/nvme1n1", KEEPS_DATA),
    ),
    Weakening("an unprotected volume", "data-is-protected", unprotect(VOLUME)),
    Weakening("an unencrypted volume", "volumes-are-encrypted", put(VOLUME, "encrypted", False)),
    Weakening("a volume under somebody else's key", "volumes-are-encrypted", put(VOLUME, "kmsKeyId", ABSENT)),
    Weakening(
        "an unencrypted root disk", "root-disks-are-encrypted", put(INSTANCE, "rootBlockDevice.encrypted", False)
    ),
    # backups as machines make them
    Weakening(
        "a full backup a week", "full-backup-daily", edit(FULL, r"^OnCalendar=.*", "OnCalendar=weekly", DATABASE)
    ),
    Weakening(
        "a full backup on the first of the month",
        "full-backup-daily",
        edit(FULL, r"OnCalendar=\*-\*-\*", "OnCalendar=*-*-01", DATABASE),
    ),
    Weakening(
        "a missed full backup stays missed",
        "full-backup-daily",
        edit(FULL, "Persistent=true", "Persistent=false", DATABASE),
    ),
    Weakening(
        "full backups are not enabled",
        "full-backup-daily",
        edit(ENVIRONMENT, "backbuild-backup-full.timer ", "", DATABASE),
    ),
    Weakening("increments every six hours", "increments-hourly", edit(INCREMENT, r"\*:30:00", "0/6:30:00", DATABASE)),
    Weakening(
        "increments are not enabled",
        "increments-hourly",
        edit(ENVIRONMENT, "backbuild-backup-incr.timer ", "", DATABASE),
    ),
    Weakening(
        "increments start something else", "increments-hourly", edit(INCREMENT, "backup@incr", "metrics", DATABASE)
    ),
    Weakening(
        "a restore point a day",
        "restore-points",
        edit(f"{UNITS}/backbuild-restore-point.timer", r"^OnCalendar=.*", "OnCalendar=daily"),
    ),
    Weakening(
        "WAL is not archived", "wal-is-archived", edit(PATRONI, 'archive_mode: "on"', 'archive_mode: "off"', DATABASE)
    ),
    Weakening(
        "WAL goes nowhere",
        "wal-is-archived",
        edit(PATRONI, "archive_command: .*", "archive_command: /bin/true", DATABASE),
    ),
    Weakening(
        "WAL goes to another group's stanza",
        "wal-is-archived",
        edit(PATRONI, r"--stanza=\S+ archive-push", "--stanza=other archive-push", DATABASE),
    ),
    Weakening(
        "a quiet hour's WAL waits an hour",
        "wal-is-archived",
        edit(PATRONI, "archive_timeout: 60s", "archive_timeout: 1h", DATABASE),
    ),
    Weakening(
        "WAL waits fifty minutes",
        "recovery-point-adds-up",
        edit(PATRONI, "archive_timeout: 60s", "archive_timeout: 50min", DATABASE),
    ),
    Weakening(
        "backups go to another bucket",
        "repository-is-the-vault",
        edit(PGBACKREST, "repo1-s3-bucket=.*", "repo1-s3-bucket=scratch", DATABASE),
    ),
    Weakening(
        "backups go to another jurisdiction's address",
        "repository-is-the-vault",
        edit(PGBACKREST, r"\.eu\.r2", ".us.r2", DATABASE),
    ),
    Weakening(
        "backups stay on the machine",
        "repository-is-the-vault",
        edit(PGBACKREST, "repo1-type=s3", "repo1-type=posix", DATABASE),
    ),
    Weakening(
        "backups go below a prefix without rules",
        "repository-is-the-vault",
        edit(PGBACKREST, "repo1-path=/hourly", "repo1-path=/other", DATABASE),
    ),
    Weakening(
        "one machine backs up to the replica",
        "one-repository",
        edit(PGBACKREST, r"(repo1-s3-bucket=.*)", r"\1-replica", DATABASE),
    ),
    Weakening(
        "backups are not encrypted",
        "encrypted-before-it-leaves",
        edit(PGBACKREST, "repo1-cipher-type=.*", "repo1-cipher-type=none", DATABASE),
    ),
    Weakening(
        "the cipher's pass phrase is not fetched",
        "encrypted-before-it-leaves",
        edit(ENVIRONMENT, r"^\S*backups/cipher .*\n", "", DATABASE),
    ),
    Weakening(
        "the tool deletes backups itself",
        "nothing-expires-on-the-machine",
        edit(PGBACKREST, "expire-auto=n", "expire-auto=y", DATABASE),
    ),
    Weakening("backups without a manifest", "backups-are-signed", edit(BACKUP, r"^exec python3 .*\n", "", DATABASE)),
    Weakening(
        "manifests that nobody can sign",
        "backups-are-signed",
        edit(ENVIRONMENT, r"^\S*backups/manifest-keys .*\n", "", DATABASE),
    ),
    Weakening("pages without checksums", "pages-have-checksums", edit(PATRONI, "data-checksums, ", "", DATABASE)),
    Weakening(
        "the tool believes in thirty days",
        "tool-and-rules-agree",
        edit(PGBACKREST, "repo1-retention-full=.*", "repo1-retention-full=7", DATABASE),
    ),
)
