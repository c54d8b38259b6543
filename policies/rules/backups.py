"""Retention: what each database machine makes of backups, as its own files say."""

from __future__ import annotations

import re

from policies.controls import AT_REST, BACKUP, INTEGRITY, RECOVERY
from policies.graph import Graph
from policies.promises import number
from policies.rule import NotApplicable, Severity, define
from policies.views.calendars import calendar_gap_seconds
from policies.views.machines import (
    COORDINATOR,
    ENVIRONMENT,
    PATRONI,
    PGBACKREST,
    UNITS,
    Machine,
    database_machines,
    duration_seconds,
)
from policies.views.permissions import TOKEN
from policies.views.vault import Copy, primaries, r2_copies

FULL = "backbuild-backup-full.timer"
INCREMENT = "backbuild-backup-incr.timer"
RESTORE_POINT = "backbuild-restore-point.timer"
BACKUP_SCRIPT = "/usr/local/sbin/backbuild-backup"
MANIFEST = "/usr/local/lib/backbuild/manifest.py"


def _timer(machine: Machine, timer: str, most_seconds: float) -> str | None:
    """What is wrong with a timer that must elapse at least so often."""
    if timer not in machine.services:
        return f"{ENVIRONMENT}: SERVICES does not enable {timer}"
    path = f"{UNITS}/{timer}"
    calendar = machine.figure(path, "OnCalendar")
    gap = calendar_gap_seconds(calendar)
    if gap is None:
        return f"{path}: OnCalendar={calendar} is not understood; write *-*-* HH:MM:SS UTC"
    if gap > most_seconds:
        return f"{path}: OnCalendar={calendar} leaves {gap / 3600:g} h; {most_seconds / 3600:g} h at most are promised"
    return None


@define(
    "retention",
    "full-backup-daily",
    Severity.CRITICAL,
    "A full backup is made every day, also when the hour was missed",
    over=database_machines,
    promises=("BAK-1",),
    controls=BACKUP,
    remedy="keep backbuild-backup-full.timer daily, persistent and enabled (machines/templates/database)",
)
def full_daily(_: Graph, machine: Machine) -> str | None:
    """Every machine has the timer; the one that leads its group makes the backup."""
    wrong = _timer(machine, FULL, number("BAK-1", "interval_hours") * 3600)
    if wrong:
        return wrong
    path = f"{UNITS}/{FULL}"
    if machine.assignments(path).get("Persistent") not in {"true", "yes", "1"}:
        return f"{path}: Persistent is not true: an hour that was missed is not made up for"
    return _starts(machine, path, "backbuild-backup@full.service")


@define(
    "retention",
    "increments-hourly",
    Severity.CRITICAL,
    "An incremental backup is made every hour",
    over=database_machines,
    promises=("BAK-4",),
    controls=BACKUP,
    remedy="keep backbuild-backup-incr.timer hourly and enabled (machines/templates/database)",
)
def increments_hourly(_: Graph, machine: Machine) -> str | None:
    """Between the full backups, so that a restore replays an hour of WAL and not a day's."""
    wrong = _timer(machine, INCREMENT, number("BAK-4", "interval_minutes") * 60)
    return wrong or _starts(machine, f"{UNITS}/{INCREMENT}", "backbuild-backup@incr.service")


@define(
    "retention",
    "restore-points",
    Severity.HIGH,
    "All groups can be restored to one and the same point, within the recovery point objective",
    over=database_machines,
    promises=("BAK-4", "REC-4"),
    controls=RECOVERY,
    remedy="keep backbuild-restore-point.timer on the coordinator's machines (machines/templates/coordinator)",
)
def restore_points(_: Graph, machine: Machine) -> str | None:
    """Groups restored to a time disagree about a commit that spanned them; restored to a name they agree."""
    if machine.role != COORDINATOR:
        raise NotApplicable("the coordinator names them, for all groups")
    return _timer(machine, RESTORE_POINT, number("REC-4", "seconds"))


@define(
    "retention",
    "wal-is-archived",
    Severity.CRITICAL,
    "Every WAL segment is archived, and no segment waits longer than a fraction of the recovery point",
    over=database_machines,
    promises=("BAK-4", "REC-4"),
    controls=RECOVERY,
    remedy="keep archive_mode, archive_timeout and archive_command in patroni.yml (machines/templates/database)",
)
def wal_archived(_: Graph, machine: Machine) -> str | None:
    """What is not archived is on these machines alone."""
    settings, own = "postgresql.parameters", "postgresql.parameters"
    mode = machine.dcs.read(f"{settings}.archive_mode")
    if str(mode) not in {"on", "always", "True"}:
        return f"{PATRONI}: archive_mode is {mode!r}"
    command = machine.patroni.text(f"{own}.archive_command")
    if not re.search(rf"pgbackrest .*--stanza={re.escape(machine.group)}\b.*archive-push", command):
        return f"{PATRONI}: archive_command is {command!r}: it does not push to the group's stanza"
    timeout = duration_seconds(str(machine.dcs.read(f"{settings}.archive_timeout") or ""))
    if not timeout:
        return f"{PATRONI}: archive_timeout is not set: a quiet hour is archived only when its segment is full"
    if timeout > (most := number("BAK-4", "archive_seconds")):
        return f"{PATRONI}: archive_timeout is {timeout:g} s; {most:g} s at most are expected"
    return None


@define(
    "retention",
    "repository-is-the-vault",
    Severity.CRITICAL,
    "Backups go to the primary bucket, below the class that the rotation knows",
    over=database_machines,
    promises=("BAK-3", "BAK-5"),
    controls=BACKUP,
    remedy="render the primary bucket into machines/templates/database/etc/pgbackrest/pgbackrest.conf",
)
def repository_is_vault(graph: Graph, machine: Machine) -> str | None:
    """What lies elsewhere is neither copied nor locked nor verified."""
    told = machine.assignments(PGBACKREST)
    if told.get("repo1-type") != "s3":
        return f"{PGBACKREST}: repo1-type is {told.get('repo1-type')!r}; s3 is expected"
    bucket = told.get("repo1-s3-bucket", "")
    found = [copy for copy in r2_copies(graph) if copy.name == bucket]
    if not found:
        return f"{PGBACKREST}: repo1-s3-bucket={bucket} is no backup bucket of this stack"
    jurisdiction, endpoint = found[0].bucket.text("jurisdiction"), told.get("repo1-s3-endpoint", "")
    if f".{jurisdiction}." not in endpoint:
        return f"{PGBACKREST}: repo1-s3-endpoint={endpoint} is not that of jurisdiction {jurisdiction}"
    if told.get("repo1-path") != "/hourly":
        return f"{PGBACKREST}: repo1-path is {told.get('repo1-path')!r}; /hourly is what the bucket's rules are about"
    if f"[{machine.group}]" not in machine.file(PGBACKREST):
        return f"{PGBACKREST}: there is no stanza [{machine.group}]"
    return None


@define(
    "retention",
    "one-repository",
    Severity.HIGH,
    "All groups write to one primary bucket, with keys that open nothing else",
    over=primaries,
    promises=("BAK-3",),
    controls=BACKUP,
    remedy="let every machine's pgbackrest.conf name the same bucket (components/topology.py: buckets)",
)
def one_repository(graph: Graph, copy: Copy) -> str | None:
    """Groups are restored together; what lies apart is not replicated by the one notification."""
    others = [one for one in primaries(graph) if one is not copy]
    if others:
        return f"machines also write to {others[0].name}"
    for token in graph.of(TOKEN):
        if token.text("status") not in {"active", ""}:
            return f"{token.label} is {token.text('status')}: nothing can be written with it"
        if token.text("expiresOn"):
            return f"{token.label} ends at {token.text('expiresOn')}, and backups with it"
    return None


@define(
    "retention",
    "encrypted-before-it-leaves",
    Severity.CRITICAL,
    "A backup is encrypted on the machine, so that every copy of it is",
    over=database_machines,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="keep repo1-cipher-type=aes-256-cbc, and the backup-cipher secret among the machine's secrets",
)
def encrypted_before(_: Graph, machine: Machine) -> str | None:
    """Whoever reads a bucket, in whatever jurisdiction, reads nothing."""
    cipher = machine.assignments(PGBACKREST).get("repo1-cipher-type", "none")
    if cipher != "aes-256-cbc":
        return f"{PGBACKREST}: repo1-cipher-type is {cipher}; aes-256-cbc is expected"
    if not re.search(r"^\S*backups/cipher backup-cipher ", machine.file(ENVIRONMENT), re.MULTILINE):
        return f"{ENVIRONMENT}: the secret backup-cipher is not fetched"
    return None


@define(
    "retention",
    "nothing-expires-on-the-machine",
    Severity.HIGH,
    "The machines delete no backup",
    over=database_machines,
    promises=("BAK-6",),
    controls=RECOVERY,
    remedy="keep expire-auto=n in pgbackrest.conf",
)
def nothing_expires(_: Graph, machine: Machine) -> str | None:
    """What one copy's tool deletes, the rotation does not know about; and a locked bucket refuses it half-way."""
    value = machine.assignments(PGBACKREST).get("expire-auto", "y")
    return None if value == "n" else f"{PGBACKREST}: expire-auto is {value}; n is expected"


@define(
    "retention",
    "backups-are-signed",
    Severity.HIGH,
    "Each backup ends with a signed manifest of SHA-256 checksums",
    over=database_machines,
    promises=("BAK-2",),
    controls=INTEGRITY,
    remedy="let backbuild-backup end with manifest.py, and fetch the secret manifest-keys",
)
def backups_signed(_: Graph, machine: Machine) -> str | None:
    """Without it nobody can tell a copy from what was copied."""
    script = machine.file(BACKUP_SCRIPT)
    if f"{MANIFEST} " not in script.split("pgbackrest", 1)[-1]:
        return f"{BACKUP_SCRIPT} does not end with {MANIFEST}"
    if "sha256" not in machine.file(MANIFEST):
        return f"{MANIFEST} makes no SHA-256"
    if not re.search(r"^\S*backups/manifest-keys manifest-keys ", machine.file(ENVIRONMENT), re.MULTILINE):
        return f"{ENVIRONMENT}: the secret manifest-keys is not fetched"
    return None


@define(
    "retention",
    "pages-have-checksums",
    Severity.MEDIUM,
    "A damaged page is noticed before it is backed up",
    over=database_machines,
    promises=("BAK-2",),
    controls=INTEGRITY,
    remedy="keep data-checksums among bootstrap.initdb in patroni.yml",
)
def pages_have_checksums(_: Graph, machine: Machine) -> str | None:
    """PgBackRest checks each page as it copies it, where there is a checksum to check."""
    options = machine.patroni.read("bootstrap.initdb")
    listed = options if isinstance(options, list) else []
    return None if "data-checksums" in listed else f"{PATRONI}: bootstrap.initdb does not ask for data-checksums"


def _starts(machine: Machine, path: str, unit: str) -> str | None:
    started = machine.assignments(path).get("Unit")
    return None if started == unit else f"{path}: Unit={started or 'not set'}; {unit} is expected"
