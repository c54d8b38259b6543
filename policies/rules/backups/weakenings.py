"""Weakenings of backups as database machines make them: timers, scripts, WAL archiving, and pgBackRest's settings."""

from __future__ import annotations

from policies.mutation.files import DATABASE, boot, disable, edit, role, write
from policies.mutation.operators import Operator, put
from policies.mutation.weakening import Weakenings
from policies.rules.backups.rules import ARCHIVED, BACKUP_SCRIPT
from policies.views.machines import CITUS, COORDINATOR, ENVIRONMENT, PATRONI, PGBACKREST, UNITS
from policies.views.patroni import CONFIGURE
from policies.views.permissions import TOKEN

FULL, INCREMENT = f"{UNITS}/backbuild-backup-full.timer", f"{UNITS}/backbuild-backup-incr.timer"
SERVICE = f"{UNITS}/backbuild-backup@.service"
POINT_TIMER, POINT_SERVICE = f"{UNITS}/backbuild-restore-point.timer", f"{UNITS}/backbuild-restore-point.service"
MAKES_POINTS = role(COORDINATOR)
ONE_GROUP = role(COORDINATOR)  # enough where all groups have the same script
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


def script(line: str) -> Operator:
    """Add a line to the script that makes backups, before its commands."""
    return edit(BACKUP_SCRIPT, r"^set -eu$", f"set -eu\n{line}", ONE_GROUP)


def backup(replacement: str) -> Operator:
    r"""Replace the command that makes a backup; `\1` is the command, `\2` its part before the word `backup`."""
    return edit(BACKUP_SCRIPT, r"^((pgbackrest .*) backup)$", replacement, ONE_GROUP)


def environment(line: str) -> Operator:
    """Add a line to the file of variables that scripts read."""
    return edit(ENVIRONMENT, r"^(STACK=.*)$", rf"\1\n{line}", ONE_GROUP)


def archive_command(command: str) -> Operator:
    r"""Change the archive command; `\1` is the stanza."""
    pattern = r"archive_command: pgbackrest --stanza=(\S+) archive-push %p(?= \|\|)"
    return edit(PATRONI, pattern, f"archive_command: {command}", ONE_GROUP)


# Options that change where backups go, whether they are made, or what is backed up.
DECISIVE = (
    *("--repo1-s3-bucket=elsewhere", "--repo=2", "--stanza=other", "--config=/tmp/x", "--pg1-path=/tmp"),
    *("--no-archive-check", "--dry-run", "--no-online", "--archive-timeout=1", "--process-max='$(true)'"),
)
PARAMETER_IN_SQL = 'psql --command "ALTER SYSTEM SET archive_mode = off"\n'

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
        **{f"the backup has the option {option}": backup(rf"\2 {option} backup") for option in DECISIVE},
        "the backup is of another type": edit(BACKUP_SCRIPT, r'--type="\$1"', "--type=incr"),
        "the backup is of another group": script("GROUP=other"),
        "the script gets other arguments": script("set -- incr"),
        "the backup script ends under another condition": script('if [ "$1" = full ]; then\n    exit 0\nfi'),
        "the backup script ends if the member leads its group": edit(
            BACKUP_SCRIPT, r"^    exit 0\nfi$", "    exit 1\nelse\n    exit 0\nfi"
        ),
        "the backup script ends after a failed command": script("true || exit 0"),
        "the backup script goes on after an error": edit(BACKUP_SCRIPT, "^set -eu$", "set -u"),
        "the backup script goes on after an error in the end": script("set +e"),
        "the backup script's options are those of a block": edit(
            BACKUP_SCRIPT, "^set -eu$", "if false; then set -eu; fi"
        ),
        "the backup script hides its failure": script("trap 'exit 0' EXIT"),
        "the backup is conditional": backup(r"false &&\n\1"),
        "the backup is in a block": backup(r"if false; then\n\1\nfi"),
        "the backup is in a subshell": backup(r"(\n\1\n) || true"),
        "the backup is in a function": backup(r"later() {\n\1\n}"),
        "the backup is in a here-document": backup(r"cat <<EOF\n\1\nEOF"),
        "the backup is in a text": backup(r'echo "\n\1\n"'),
        "a function replaces pgbackrest": script("pgbackrest() { :; }"),
        "a function's command is another one": backup(r'run() { echo "$@"; }\nrun \1'),
        "an alias replaces pgbackrest": script("alias pgbackrest=true"),
        "another file defines a function pgbackrest": environment("pgbackrest() { :; }"),
        "the backup script goes on after an error by its variables": environment("set +e"),
        "another file has variables of the backup script": write(
            "/etc/default/backbuild-local", "GROUP=x\n", ONE_GROUP
        ),
        "another file is read before the backup": script(". /tmp/x"),
        "another program is named pgbackrest": write("/usr/local/bin/pgbackrest", "#!/bin/sh\n", DATABASE),
        "programs are found in another folder": environment("export PATH=/tmp:/usr/bin"),
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
        "a file that is archived twice ends archiving": edit(PATRONI, r"(archive-push %p) \|\| .*", r"\1"),
        "every file counts as archived": edit(ARCHIVED, "^cmp .*", "true"),
        "a file counts as archived without being compared": edit(ARCHIVED, "^cmp .*\n", ""),
        "a file is compared with itself": edit(ARCHIVED, "^stored=.*", "stored=$2"),
        "its command is a comment": edit(PATRONI, "archive_command: (.*)", r'archive_command: "/bin/true # \1"'),
        "waiting WAL is dropped": option("archive-push-queue-max=1MB"),
        "a backup does not wait for its WAL": option("archive-check=n"),
        **{
            f"the archive command has the option {option}": archive_command(
                rf"pgbackrest --stanza=\1 {option} archive-push %p"
            )
            for option in DECISIVE
        },
        "the archive command has a variable": archive_command(r"PGDATA=/x pgbackrest --stanza=\1 archive-push %p"),
        "the archive command archives another file": archive_command(r"pgbackrest --stanza=\1 archive-push /dev/null"),
        "the archive command is another program": archive_command(r"/opt/pgbackrest --stanza=\1 archive-push %p"),
        "the machine's own settings archive nothing": edit(
            CONFIGURE, "^  parameters:$", "  parameters:\n    archive_command: /bin/true"
        ),
        "a drop-in sets a variable of Patroni": write(
            f"{UNITS}/patroni.service.d/more.conf", "[Service]\nEnvironment=PATRONI_CONFIGURATION=x\n", DATABASE
        ),
        "a variable of Patroni is set for all programs": write(
            "/etc/environment", "PATRONI_CONFIGURATION=x\n", DATABASE
        ),
        "Patroni's unit has other variables": edit(
            f"{UNITS}/patroni.service.d/backbuild.conf", r"^\[Service\]$", "[Service]\nEnvironmentFile=/run/x"
        ),
        "Patroni reads another folder": edit(
            f"{UNITS}/patroni.service.d/backbuild.conf",
            "^ExecStart=/usr/bin/patroni .*",
            "ExecStart=/usr/bin/patroni /run/x",
        ),
        "another program starts PostgreSQL": edit(
            PATRONI, "^  use_unix_socket: true", "  bin_name: {postgres: /x}\n  use_unix_socket: true"
        ),
        "PostgreSQL includes another file": group_parameter("include_if_exists: /etc/x.conf"),
        "PostgreSQL's folder has another file": write(
            "/etc/postgresql/17/main/conf.d/x.conf", "archive_mode = off\n", DATABASE
        ),
        "a script changes PostgreSQL's parameters": write("/usr/local/sbin/x", PARAMETER_IN_SQL, DATABASE),
        "a program replaces pgbackrest": write("/usr/local/bin/pgbackrest", "#!/bin/sh\n", DATABASE),
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
        "a variable overrides the bucket": environment("export PGBACKREST_REPO1_S3_BUCKET=elsewhere"),
        "a variable overrides the bucket for all programs": write(
            "/etc/environment", "PGBACKREST_REPO1_S3_BUCKET=elsewhere\n", DATABASE
        ),
        "a unit's variable overrides the bucket": edit(
            f"{UNITS}/patroni.service.d/backbuild.conf",
            r"^\[Service\]$",
            "[Service]\nEnvironment=PGBACKREST_REPO1_S3_BUCKET=elsewhere",
        ),
        "the stored options name another bucket": edit(
            CONFIGURE, r"repo1-cipher-pass=%s", r"repo1-cipher-pass=%s\\nrepo1-s3-bucket=elsewhere"
        ),
        "another file of options is stored": edit(
            CONFIGURE, r'^(ln -sfn "\$pgbackrest" .*)$', r'echo "[global]" >"$pgbackrest/more.conf"\n\1'
        ),
        "a script stores another file of options": write(
            "/usr/local/sbin/x", "echo repo1-s3-bucket=x >/run/backbuild/pgbackrest/x.conf\n", DATABASE
        ),
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
        "a timetable deletes backups": write(
            "/etc/cron.d/x", "0 1 * * * postgres pgbackrest --repo=1 expire\n", DATABASE
        ),
        "a script deletes a group's backups": script('/usr/bin/pgbackrest --stanza="$GROUP" stanza-delete --force'),
    },
    "backups-are-signed": {
        "backups have no manifest": edit(BACKUP_SCRIPT, r"^exec python3 .*\n", ""),
        "the manifest's key is not fetched": edit(ENVIRONMENT, r"^\S*backups/manifest-keys .*\n", ""),
        "the manifest's command is a comment": edit(BACKUP_SCRIPT, r"^exec python3", "# exec python3"),
        "the manifest's failure is ignored": edit(BACKUP_SCRIPT, r"^(exec python3 .*)$", r"\1 || true"),
        "the manifest is made in a block": edit(BACKUP_SCRIPT, r"^(exec python3 .*)$", r"if false; then\n\1\nfi"),
        "the manifest is another group's": edit(BACKUP_SCRIPT, r'^(exec python3 .*) "\$GROUP"$', r"\1 other"),
    },
    "pages-have-checksums": {
        "pages have no checksums": edit(PATRONI, "data-checksums, ", ""),
        "pgBackRest does not verify pages": option("checksum-page=n"),
    },
}
