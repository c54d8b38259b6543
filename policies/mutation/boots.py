"""Weakenings of what machines boot with that leave the line which a glance would look for where it is."""

from __future__ import annotations

from policies.mutation.machines import (
    BACKUP,
    CONSENSUS,
    DATABASE,
    ENVIRONMENT,
    FULL,
    INCREMENT,
    PATRONI,
    PGBACKREST,
    UNITS,
)
from policies.mutation.operators import Operator, boot, edit, ending, role, write
from policies.mutation.weakening import Weakening

ETCD = "/etc/default/etcd"
SERVICE = f"{UNITS}/backbuild-backup@.service"
POINT = f"{UNITS}/backbuild-restore-point"
CITUS = "/etc/backbuild/citus.yml"
INSTALL = "/usr/local/sbin/backbuild-install"
COORDINATOR = role("coordinator")


def shared(line: str) -> Operator:
    """A line more among what Patroni applies to the whole group."""
    return edit(PATRONI, r"^    ttl: 20", f"    {line}\n    ttl: 20", DATABASE)


def parameter(line: str) -> Operator:
    """A parameter more of PostgreSQL's, for the whole group."""
    return edit(PATRONI, r"^        max_connections: 200", f"        {line}\n        max_connections: 200", DATABASE)


def own(line: str) -> Operator:
    """A parameter more of PostgreSQL's, of the machine's own, which is what counts."""
    return edit(PATRONI, r'^    ssl: "on"', f'    {line}\n    ssl: "on"', DATABASE)


def tagged(tags: str) -> Operator:
    """A member with tags of Patroni's."""
    return edit(PATRONI, r"^restapi:", f"tags: {{{tags}}}\nrestapi:", DATABASE)


def told(line: str) -> Operator:
    """A line more of pgBackRest's configuration."""
    return edit(PGBACKREST, r"^start-fast=y", f"{line}\nstart-fast=y", DATABASE)


def section(head: str, line: str, before: str = r"\[global\]") -> Operator:
    """A section more of pgBackRest's configuration."""
    return edit(PGBACKREST, f"^({before})$", rf"[{head}]\n{line}\n\n\1", DATABASE)


def timed(path: str, line: str) -> Operator:
    """A line more of a timer."""
    return edit(path, r"^\[Timer\]$", f"[Timer]\n{line}", DATABASE)


def run(*command: str) -> Operator:
    """A machine runs one more command at its first boot."""
    return boot(lambda document: document["runcmd"].append(list(command)), DATABASE)


WEAKENINGS = (
    # who takes over
    Weakening("a standby of no priority", "failover-needs-nobody", tagged("failover_priority: 0")),
    Weakening("a standby that does not stream", "failover-needs-nobody", tagged("nostream: true")),
    Weakening(
        "a crashed leader is waited for, a day",
        "failover-needs-nobody",
        edit(PATRONI, "primary_start_timeout: 0", "primary_start_timeout: 86400", DATABASE),
    ),
    Weakening(
        "a crashed leader is waited for, for as long as Patroni likes",
        "failover-needs-nobody",
        edit(PATRONI, "^    primary_start_timeout: 0.*\n", "", DATABASE),
    ),
    Weakening("the group follows another one", "failover-needs-nobody", shared("standby_cluster: {host: 192.0.2.1}")),
    Weakening(
        "more standbys confirm than there are, in members but the first",
        "group-survives-a-node",
        edit(PATRONI, r"^    ttl: 20", "    synchronous_node_count: 2\n    ttl: 20", ending("-1", "-2"), all=True),
    ),
    Weakening(
        "a member is told that fewer confirm",
        "group-survives-a-node",
        edit(PATRONI, "synchronous_mode_strict: true", "synchronous_mode_strict: false", ending("-2")),
    ),
    Weakening("nothing is flushed to disk", "commits-are-synchronous", parameter('fsync: "off"')),
    Weakening("torn pages", "commits-are-synchronous", own("full_page_writes: false")),
    Weakening(
        "consensus flushes nothing",
        "data-on-its-own-volume",
        edit(ETCD, r"\Z", "ETCD_UNSAFE_NO_FSYNC=true\n", CONSENSUS),
    ),
    Weakening(
        "the database beside its volume",
        "data-on-its-own-volume",
        edit(PATRONI, "data_dir: .*", "data_dir: /var/tmp/postgresql", DATABASE),
    ),
    Weakening(
        "consensus beside its volume",
        "data-on-its-own-volume",
        edit(ETCD, "ETCD_DATA_DIR=.*", 'ETCD_DATA_DIR="/tmp/etcd"', CONSENSUS),
    ),
    Weakening(
        "the database steps out of its volume",
        "data-on-its-own-volume",
        edit(PATRONI, "data_dir: .*", "data_dir: /var/lib/backbuild/../postgresql/17", DATABASE),
    ),
    # WAL
    Weakening("a machine archives nothing", "wal-is-archived", own('archive_mode: "off"')),
    Weakening("a machine archives a day late", "wal-is-archived", own("archive_timeout: 1d")),
    Weakening(
        "a machine with Citus archives nothing",
        "wal-is-archived",
        edit(CITUS, "^  parameters:", '  parameters:\n    archive_mode: "off"', DATABASE),
    ),
    Weakening("a library archives instead", "wal-is-archived", parameter("archive_library: basic_archive")),
    Weakening(
        "archiving never fails",
        "wal-is-archived",
        edit(PATRONI, "archive-push %p", "archive-push %p || true", DATABASE),
    ),
    Weakening(
        "archiving is a remark",
        "wal-is-archived",
        edit(PATRONI, "archive_command: (.*)", r'archive_command: "/bin/true # \1"', DATABASE),
    ),
    Weakening("WAL is dropped when it piles up", "wal-is-archived", told("archive-push-queue-max=1MB")),
    Weakening("a backup does not wait for its WAL", "wal-is-archived", told("archive-check=n")),
    # pgBackRest
    Weakening(
        "backups alone are not encrypted",
        "encrypted-before-it-leaves",
        section("global:backup", "repo1-cipher-type=none"),
    ),
    Weakening(
        "WAL alone is not encrypted",
        "encrypted-before-it-leaves",
        section("global:archive-push", "repo1-cipher-type=none"),
    ),
    Weakening(
        "backups alone go elsewhere", "repository-is-the-vault", section("global:backup", "repo1-s3-bucket=elsewhere")
    ),
    Weakening(
        "a stanza goes elsewhere",
        "repository-is-the-vault",
        edit(PGBACKREST, r"^pg1-path=", "repo1-s3-bucket=elsewhere\npg1-path=", DATABASE),
    ),
    Weakening(
        "a stanza's backups go elsewhere",
        "repository-is-the-vault",
        edit(PGBACKREST, r"^\[([a-z]+[-0-9]*)\]$", r"[\1:backup]\nrepo1-s3-bucket=elsewhere\n\n[\1]", DATABASE),
    ),
    Weakening("backups alone expire", "nothing-expires-on-the-machine", section("global:backup", "expire-auto=y")),
    Weakening(
        "a second file has the last word",
        "repository-is-the-vault",
        write("/etc/pgbackrest/conf.d/more.conf", "[global:backup]\nrepo1-cipher-type=none\n", DATABASE),
    ),
    Weakening("nobody asks who the vault is", "repository-is-the-vault", told("repo1-storage-verify-tls=n")),
    Weakening(
        "backups go to another account",
        "repository-is-the-vault",
        edit(PGBACKREST, "endpoint=[0-9a-f]+", "endpoint=66666666666666666666666666666666", DATABASE),
    ),
    Weakening("pages are not looked at", "pages-have-checksums", told("checksum-page=n")),
    Weakening(
        "another database is backed up",
        "repository-is-the-vault",
        edit(PGBACKREST, "pg1-path=.*", "pg1-path=/var/tmp/postgresql", DATABASE),
    ),
    # timers
    Weakening("increments come half a day late", "increments-hourly", timed(INCREMENT, "RandomizedDelaySec=12h")),
    Weakening("increments come when it suits", "increments-hourly", timed(INCREMENT, "AccuracySec=12h")),
    Weakening("full backups come a day late", "full-backup-daily", timed(FULL, "RandomizedDelaySec=1d")),
    Weakening(
        "a timer is overruled",
        "increments-hourly",
        write(f"{INCREMENT}.d/more.conf", "[Timer]\nOnCalendar=\nOnCalendar=yearly\n", DATABASE),
    ),
    Weakening(
        "all timers are overruled",
        "full-backup-daily",
        write(f"{UNITS}/timer.d/more.conf", "[Timer]\nOnCalendar=\nOnCalendar=yearly\n", DATABASE),
    ),
    Weakening(
        "a backup of its own",
        "full-backup-daily",
        write(f"{UNITS}/backbuild-backup@full.service", "[Service]\nExecStart=/bin/true\n", DATABASE),
    ),
    Weakening("the hour is not the timer's", "full-backup-daily", edit(FULL, r"^\[Timer\]$", "[Other]", DATABASE)),
    Weakening(
        "the hour is the installer's",
        "increments-hourly",
        edit(INCREMENT, r"^OnCalendar=(.*)\n((?:.*\n)*)\[Install\]$", r"\2[Install]\nOnCalendar=\1", DATABASE),
    ),
    Weakening(
        "a timer is switched off, too",
        "full-backup-daily",
        edit(ENVIRONMENT, r'^DISABLED="', 'DISABLED="backbuild-backup-full.timer ', DATABASE),
    ),
    Weakening(
        "a timer is masked", "full-backup-daily", run("systemctl", "mask", "--now", "backbuild-backup-full.timer")
    ),
    Weakening(
        "a timer with a condition",
        "increments-hourly",
        edit(INCREMENT, r"^\[Unit\]$", "[Unit]\nConditionPathExists=/none", DATABASE),
    ),
    Weakening(
        "backups do nothing", "full-backup-daily", edit(SERVICE, "ExecStart=.*", "ExecStart=/bin/true", DATABASE)
    ),
    Weakening(
        "backups have a condition",
        "increments-hourly",
        edit(SERVICE, "^ExecStart=", "ExecCondition=/bin/false\nExecStart=", DATABASE),
    ),
    Weakening(
        "backups with settings of their own",
        "full-backup-daily",
        edit(SERVICE, "^ExecStart=", "Environment=PGBACKREST_REPO1_CIPHER_TYPE=none\nExecStart=", DATABASE),
    ),
    Weakening(
        "restore points do nothing",
        "restore-points",
        edit(f"{POINT}.service", "ExecStart=.*", "ExecStart=/bin/true", COORDINATOR),
    ),
    Weakening(
        "restore points come an hour late",
        "restore-points",
        edit(f"{POINT}.timer", r"^\[Timer\]$", "[Timer]\nRandomizedDelaySec=1h", COORDINATOR),
    ),
    Weakening(
        "the backup script ends before it begins",
        "full-backup-daily",
        edit(BACKUP, "^set -eu$", "set -eu\nexit 0", DATABASE),
    ),
    Weakening(
        "the backup script never fails",
        "full-backup-daily",
        edit(BACKUP, r"^(pgbackrest .* backup)$", r"\1 || true", DATABASE),
    ),
    Weakening(
        "the backup script's backup is a remark",
        "increments-hourly",
        edit(BACKUP, r"^(pgbackrest .* backup)$", r"# \1", DATABASE),
    ),
    Weakening(
        "a group made anew is not backed up",
        "full-backup-daily",
        edit(BACKUP, r" \|\| pgbackrest .* stanza-upgrade$", "", DATABASE),
    ),
    Weakening(
        "the backup script's manifest is a remark",
        "backups-are-signed",
        edit(BACKUP, r"^exec python3", "# exec python3", DATABASE),
    ),
    Weakening(
        "nothing is installed",
        "failover-needs-nobody",
        boot(lambda document: document.update(runcmd=[]), DATABASE),
    ),
    Weakening(
        "the installer enables nothing",
        "failover-needs-nobody",
        edit(INSTALL, r"^systemctl enable .*\n", "", DATABASE),
    ),
)
