"""Weakenings of backups as database machines make them: timers, scripts, WAL archiving, and pgBackRest's settings."""

from __future__ import annotations

from policies.mutation.files import DATABASE, boot, disable, edit, role, write
from policies.mutation.operators import Operator, put
from policies.mutation.weakening import Weakenings
from policies.rules.backups.rules import BACKUP_SCRIPT
from policies.views.machines import CITUS, COORDINATOR, ENVIRONMENT, PATRONI, PGBACKREST, UNITS
from policies.views.permissions import TOKEN

FULL, INCREMENT = f"{UNITS}/backbuild-backup-full.timer", f"{UNITS}/backbuild-backup-incr.timer"
SERVICE = f"{UNITS}/backbuild-backup@.service"
POINT_TIMER, POINT_SERVICE = f"{UNITS}/backbuild-restore-point.timer", f"{UNITS}/backbuild-restore-point.service"
MAKES_POINTS = role(COORDINATOR)
YEARLY = "[Timer]\nOnCalendar=\nOnCalendar=yearly\n"


def group_parameter(line: str) -> Operator:
    """Add a parameter of PostgreSQL for the whole group."""
    return edit(PATRONI, r"^        max_connections: 200", f"        {line}\n        max_connections: 200")


def own_parameter(line: str) -> Operator:
    """Add a parameter of PostgreSQL for one machine, which overrides the group's."""
    return edit(PATRONI, r'^    ssl: "on"', f'    {line}\n    ssl: "on"')


def option(line: str) -> Operator:
    """Add a global option of pgBackRest."""
    return edit(PGBACKREST, r"^start-fast=y", f"{line}\nstart-fast=y")


def section(head: str, line: str) -> Operator:
    """Add a section to pgBackRest's configuration."""
    return edit(PGBACKREST, r"^(\[global\])$", rf"[{head}]\n{line}\n\n\1")


def timer(path: str, line: str) -> Operator:
    """Add a line to a timer."""
    return edit(path, r"^\[Timer\]$", f"[Timer]\n{line}")


def before_start(line: str) -> Operator:
    """Add a line to the service that makes backups."""
    return edit(SERVICE, "^ExecStart=", f"{line}\nExecStart=")


def run(*command: str) -> Operator:
    """Run one more command at the first boot."""
    return boot(lambda document: document["runcmd"].append(list(command)), DATABASE)


WEAKENINGS: Weakenings = {
    "full-backup-daily": {
        "full backups are weekly": edit(FULL, r"^OnCalendar=.*", "OnCalendar=weekly"),
        "full backups are monthly": edit(FULL, r"OnCalendar=\*-\*-\*", "OnCalendar=*-*-01"),
        "a missed full backup is not repeated": edit(FULL, "Persistent=true", "Persistent=false"),
        "the timer of full backups is not enabled": disable("backbuild-backup-full.timer"),
        "full backups are delayed by a day": timer(FULL, "RandomizedDelaySec=1d"),
        "a drop-in makes all timers yearly": write(f"{UNITS}/timer.d/more.conf", YEARLY, DATABASE),
        "full backups have a service that does nothing": write(
            f"{UNITS}/backbuild-backup@full.service", "[Service]\nExecStart=/bin/true\n", DATABASE
        ),
        "the timer's calendar is in another section": edit(FULL, r"^\[Timer\]$", "[Other]"),
        "the timer of full backups is also disabled": edit(
            ENVIRONMENT, r'^DISABLED="', 'DISABLED="backbuild-backup-full.timer ', DATABASE
        ),
        "the timer of full backups is masked": run("systemctl", "mask", "--now", "backbuild-backup-full.timer"),
        "the backup service does nothing": edit(SERVICE, "ExecStart=.*", "ExecStart=/bin/true"),
        "the backup service has its own environment": before_start("Environment=PGBACKREST_REPO1_CIPHER_TYPE=none"),
        "the backup script exits at once": edit(BACKUP_SCRIPT, "^set -eu$", "set -eu\nexit 0"),
        "the backup script ignores failures": edit(BACKUP_SCRIPT, r"^(pgbackrest .* backup)$", r"\1 || true"),
        "a rebuilt group is not backed up": edit(BACKUP_SCRIPT, r" \|\| pgbackrest .* stanza-upgrade$", ""),
    },
    "increments-hourly": {
        "increments are made every six hours": edit(INCREMENT, r"\*:30:00", "0/6:30:00"),
        "the timer of increments is not enabled": disable("backbuild-backup-incr.timer"),
        "the timer of increments starts another service": edit(INCREMENT, "backup@incr", "metrics"),
        "increments are delayed by half a day": timer(INCREMENT, "RandomizedDelaySec=12h"),
        "increments have an accuracy of half a day": edit(INCREMENT, "AccuracySec=1s", "AccuracySec=12h"),
        "a drop-in makes increments yearly": write(f"{INCREMENT}.d/more.conf", YEARLY, DATABASE),
        "the calendar of increments is in [Install]": edit(
            INCREMENT, r"^OnCalendar=(.*)\n((?:.*\n)*)\[Install\]$", r"\2[Install]\nOnCalendar=\1"
        ),
        "the timer of increments has a condition": edit(INCREMENT, r"^\[Unit\]$", "[Unit]\nConditionPathExists=/none"),
        "the backup service has a condition": before_start("ExecCondition=/bin/false"),
        "the backup command is a comment": edit(BACKUP_SCRIPT, r"^(pgbackrest .* backup)$", r"# \1"),
    },
    "restore-points": {
        "restore points are daily": edit(POINT_TIMER, r"^OnCalendar=.*", "OnCalendar=daily"),
        "their service does nothing": edit(POINT_SERVICE, "ExecStart=.*", "ExecStart=/bin/true", MAKES_POINTS),
        "restore points are delayed by an hour": edit(
            POINT_TIMER, r"^\[Timer\]$", "[Timer]\nRandomizedDelaySec=1h", MAKES_POINTS
        ),
    },
    "wal-is-archived": {
        "WAL is not archived": edit(PATRONI, 'archive_mode: "on"', 'archive_mode: "off"'),
        "the archive command does nothing": edit(PATRONI, "archive_command: .*", "archive_command: /bin/true"),
        "WAL is archived to another stanza": edit(PATRONI, r"--stanza=\S+ archive-push", "--stanza=other archive-push"),
        "a segment waits an hour": edit(PATRONI, "archive_timeout: 60s", "archive_timeout: 1h"),
        "one machine does not archive": own_parameter('archive_mode: "off"'),
        "one machine archives a day late": own_parameter("archive_timeout: 1d"),
        "Citus's parameters turn archiving off": edit(
            CITUS, "^  parameters:", '  parameters:\n    archive_mode: "off"'
        ),
        "an archive library replaces the command": group_parameter("archive_library: basic_archive"),
        "the archive command ignores failures": edit(PATRONI, "archive-push %p", "archive-push %p || true"),
        "its command is a comment": edit(PATRONI, "archive_command: (.*)", r'archive_command: "/bin/true # \1"'),
        "waiting WAL is dropped": option("archive-push-queue-max=1MB"),
        "a backup does not wait for its WAL": option("archive-check=n"),
    },
    "repository-is-the-vault": {
        "backups go to another bucket": edit(PGBACKREST, "repo1-s3-bucket=.*", "repo1-s3-bucket=scratch"),
        "backups go to another jurisdiction's endpoint": edit(PGBACKREST, r"\.eu\.r2", ".us.r2"),
        "backups stay on the machine": edit(PGBACKREST, "repo1-type=s3", "repo1-type=posix"),
        "backups have a prefix without rules": edit(PGBACKREST, "repo1-path=/hourly", "repo1-path=/other"),
        "only backups go to another bucket": section("global:backup", "repo1-s3-bucket=elsewhere"),
        "a stanza goes to another bucket": edit(PGBACKREST, r"^pg1-path=", "repo1-s3-bucket=elsewhere\npg1-path="),
        "a stanza's backups go to another bucket": edit(
            PGBACKREST, r"^\[([a-z]+[-0-9]*)\]$", r"[\1:backup]\nrepo1-s3-bucket=elsewhere\n\n[\1]"
        ),
        "a second configuration file overrides the first": write(
            "/etc/pgbackrest/conf.d/more.conf", "[global:backup]\nrepo1-cipher-type=none\n", DATABASE
        ),
        "the endpoint's certificate is not verified": option("repo1-storage-verify-tls=n"),
        "backups go to another account": edit(PGBACKREST, "endpoint=[0-9a-f]+", f"endpoint={'6' * 32}"),
        "another data directory is backed up": edit(PGBACKREST, "pg1-path=.*", "pg1-path=/var/tmp/postgresql"),
    },
    "one-repository": {
        "one machine writes to the replica": edit(PGBACKREST, r"(repo1-s3-bucket=.*)", r"\1-replica"),
        "the machines' token expires": put(TOKEN, "expiresOn", "2026-11-28T00:00:00Z"),
        "the machines' token is disabled": put(TOKEN, "status", "disabled"),
    },
    "encrypted-before-it-leaves": {
        "backups are not encrypted": edit(PGBACKREST, "repo1-cipher-type=.*", "repo1-cipher-type=none"),
        "the cipher's pass phrase is not fetched": edit(ENVIRONMENT, r"^\S*backups/cipher .*\n", ""),
        "only backups are not encrypted": section("global:backup", "repo1-cipher-type=none"),
        "only WAL is not encrypted": section("global:archive-push", "repo1-cipher-type=none"),
    },
    "nothing-expires-on-the-machine": {
        "pgBackRest deletes backups": edit(PGBACKREST, "expire-auto=n", "expire-auto=y"),
        "pgBackRest deletes backups after each backup": section("global:backup", "expire-auto=y"),
    },
    "backups-are-signed": {
        "backups have no manifest": edit(BACKUP_SCRIPT, r"^exec python3 .*\n", ""),
        "the manifest's key is not fetched": edit(ENVIRONMENT, r"^\S*backups/manifest-keys .*\n", ""),
        "the manifest's command is a comment": edit(BACKUP_SCRIPT, r"^exec python3", "# exec python3"),
    },
    "pages-have-checksums": {
        "pages have no checksums": edit(PATRONI, "data-checksums, ", ""),
        "pgBackRest does not verify pages": option("checksum-page=n"),
    },
}
