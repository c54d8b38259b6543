"""Retention: the files of each database machine configure backups and WAL archiving as promised."""

from __future__ import annotations

import re
from collections.abc import Mapping

from policies.controls import AT_REST, BACKUP, INTEGRITY, RECOVERY
from policies.graph import Graph
from policies.promises import number
from policies.rule import Severity, define
from policies.views.machines import (
    ENVIRONMENT,
    PATRONI,
    PGBACKREST,
    Machine,
    database_machines,
    duration_seconds,
    found_in,
)
from policies.views.patroni import CONFIGURE, parameters
from policies.views.permissions import TOKEN
from policies.views.pgbackrest import Command, command_of, shell_command_of
from policies.views.shell import Line, expanded, functions_of, lines_of, replaced, steered, stops_at_errors
from policies.views.units import Unit, late, starts
from policies.views.vault import Copy, primaries, r2_copies

FULL = "backbuild-backup-full.timer"
INCREMENT = "backbuild-backup-incr.timer"
RESTORE_POINT = "backbuild-restore-point.timer"
BACKUP_SCRIPT = "/usr/local/sbin/backbuild-backup"
RESTORE_POINT_SCRIPT = "/usr/local/sbin/backbuild-restore-point"
MANIFEST = "/usr/local/lib/backbuild/manifest.py"
# If the repository is that of an earlier group with the same name, stanza-create fails and stanza-upgrade works.
PREPARING = (Command("stanza-create", {"stanza": "$GROUP"}), Command("stanza-upgrade", {"stanza": "$GROUP"}))
BACKING_UP = Command("backup", {"stanza": "$GROUP", "type": "$1"})
ARCHIVED = "/usr/local/lib/backbuild/archived"
COMPARING = [
    "set -eu",
    f". {ENVIRONMENT}",
    '[ "${1%.*}" != "$1" ]',
    "stored=$DATA/spool/archived",
    'pgbackrest --stanza="$GROUP" archive-get "$1" "$stored"',
    'cmp "$stored" "$2"',
]
SIGNING = ["python3", MANIFEST, "$GROUP", "$DATABASE"]
PROGRAMS = ("pgbackrest", "python3", "curl", "exec", "set")
# Commands before the backup that may change which program runs, with which arguments, or the script's exit status.
CHANGING = frozenset({"eval", "source", "alias", "trap", "shift", "unset"})
LEADS = re.compile(r"if ! curl [^;&|]*/primary\"; then")
DELETING = re.compile(r"\bpgbackrest\b.*\s(expire|stanza-delete|repo-rm|stop)\b")
# What patroni-configure writes to pgBackRest's conf.d, whose files override pgbackrest.conf.
STORED = re.compile(r'^\{\n((?:(?!\}).*\n)*)\} \| as_postgres /dev/stdin "\$pgbackrest/secrets\.conf"$', re.MULTILINE)
STORED_OPTIONS = {"repo1-cipher-pass", "repo1-s3-key", "repo1-s3-key-secret"}
# All lines of patroni-configure that name that folder.
STORING = [
    "pgbackrest=/run/backbuild/pgbackrest",
    'install -d -m 0755 -o root -g root "$patroni" "$pgbackrest"',
    '} | as_postgres /dev/stdin "$pgbackrest/secrets.conf"',
    'ln -sfn "$pgbackrest" /etc/pgbackrest/conf.d',
]


@define(
    "retention",
    "full-backup-daily",
    Severity.CRITICAL,
    "A full backup is made every day, also after a missed run",
    over=database_machines,
    promises=("BAK-1",),
    controls=BACKUP,
    remedy="keep backbuild-backup-full.timer daily, persistent and enabled (machines/templates/database)",
)
def full_daily(_: Graph, machine: Machine) -> str | None:
    """Every machine has the timer; the machine that leads its group makes the backup."""
    wrong = late(machine, FULL, number("BAK-1", "interval_hours") * 3600)
    if wrong:
        return wrong
    unit = Unit(machine, FULL)
    if unit.last("Timer", "Persistent") not in {"true", "yes", "1"}:
        return f"{unit.path}: Persistent is not true: a run that is missed while the machine is off is not repeated"
    return starts(machine, FULL, "backbuild-backup@full.service", f"{BACKUP_SCRIPT} %i") or _backs_up(machine)


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
    """With hourly increments a restore replays at most an hour of WAL, not a day's."""
    wrong = late(machine, INCREMENT, number("BAK-4", "interval_minutes") * 60)
    wrong = wrong or starts(machine, INCREMENT, "backbuild-backup@incr.service", f"{BACKUP_SCRIPT} %i")
    return wrong or _backs_up(machine)


def _backs_up(machine: Machine) -> str | None:
    """Return what is wrong with the script that makes backups."""
    lines = lines_of(machine.file(BACKUP_SCRIPT))
    if lines is None:
        return f"{BACKUP_SCRIPT} cannot be read with certainty; write one command on each line"
    functions = functions_of(lines)
    found = [_command(line, functions) for line in lines]
    if not stops_at_errors(lines) or BACKING_UP not in found:
        return f"{BACKUP_SCRIPT} does not run {_shown(BACKING_UP)}, or continues after it fails"
    before = lines[: found.index(BACKING_UP)]
    if not any(_prepares(line, functions) for line in before):
        shown = " || ".join(map(_shown, PREPARING))
        return f"{BACKUP_SCRIPT} does not run {shown}: a rebuilt group would never be backed up"
    if ends := next((line.text for line in before if _ends(line)), None):
        return f"{BACKUP_SCRIPT} ends, or changes the commands after it, before it makes a backup: {ends}"
    return steered(machine) or replaced(machine, *PROGRAMS)


def _shown(command: Command) -> str:
    options = (f'--{name}="{value}"' for name, value in command.options.items())
    return " ".join(("pgbackrest", *options, command.name))


def _command(line: Line, functions: dict[str, list[str]]) -> Command | None:
    """Return pgBackRest's command in a line outside of all blocks."""
    return None if line.block else command_of(expanded(line.words, functions))


def _prepares(line: Line, functions: dict[str, list[str]]) -> bool:
    """Return whether a line creates the stanza, or else upgrades it."""
    first, _, second = line.text.partition(" || ")
    parts = (Line(first, first, line.block), Line(second, second, line.block))
    return tuple(_command(part, functions) for part in parts) == PREPARING


def _ends(line: Line) -> bool:
    """Return whether a line may end the script without a failure, or change what later lines run.

    A member that does not lead its group may end the script without a backup.
    """
    if re.search(r"\b(GROUP|IFS)=", line.bare):
        return True
    for name, *words in line.commands:
        if name in CHANGING or (name == "." and words != [ENVIRONMENT]):
            return True
        succeeds = name in {"exit", "return"} and not (len(words) == 1 and re.fullmatch(r"[1-9]\d*", words[0]))
        if succeeds and not LEADS.fullmatch(line.block):
            return True
        if name == "exec" and not (words and re.match(r"\d*[<>]", words[0])):
            return True
    return False


@define(
    "retention",
    "restore-points",
    Severity.HIGH,
    "All groups can be restored to a common point within the recovery point objective",
    over=database_machines,
    promises=("BAK-4", "REC-4"),
    controls=RECOVERY,
    remedy="keep backbuild-restore-point.timer on the database machines (machines/templates/database)",
)
def restore_points(_: Graph, machine: Machine) -> str | None:
    """A transaction may change several groups. After a restore to a time, some groups may have it and others not.

    After a restore to a common restore point, all groups have it, or none.
    """
    wrong = late(machine, RESTORE_POINT, number("REC-4", "seconds"))
    return wrong or starts(machine, RESTORE_POINT, "backbuild-restore-point.service", RESTORE_POINT_SCRIPT)


def _compares(machine: Machine) -> str | None:
    """Return what is wrong with the script that lets PostgreSQL go on after a file that the archive has already."""
    if [line.text for line in lines_of(machine.file(ARCHIVED)) or ()] != COMPARING:
        shown = "; ".join(COMPARING)
        return f"{ARCHIVED} does not run exactly {shown}: a file that is not archived could count as archived"
    return steered(machine) or replaced(machine, "cmp")


@define(
    "retention",
    "wal-is-archived",
    Severity.CRITICAL,
    "Every WAL segment is archived within a fraction of the recovery point objective",
    over=database_machines,
    promises=("BAK-4", "REC-4"),
    controls=RECOVERY,
    remedy="keep archive_mode, archive_timeout and archive_command in patroni.yml, and its script `archived` "
    "(machines/templates/database)",
)
def wal_archived(_: Graph, machine: Machine) -> str | None:
    """WAL that is not archived exists on the database machines only."""
    found = parameters(machine)
    mode = found.get("archive_mode")
    if str(mode) not in {"on", "always", "True"}:
        return f"{PATRONI}: archive_mode is {mode!r}"
    timeout = duration_seconds(str(found.get("archive_timeout") or ""))
    if not timeout:
        return f"{PATRONI}: archive_timeout is not set: with few writes, a segment is archived only when it is full"
    if timeout > (most := number("BAK-4", "archive_seconds")):
        return f"{PATRONI}: archive_timeout is {timeout:g} s; {most:g} s at most are expected"
    return _archives(machine, found) or replaced(machine, "pgbackrest")


def _archives(machine: Machine, found: Mapping[str, object]) -> str | None:
    """Return the problem of the archiving of segments, None if there is none; `found` are PostgreSQL's parameters."""
    if library := found.get("archive_library"):
        return f"{PATRONI}: archive_library is {library!r}: PostgreSQL uses it instead of the archive_command"
    command, right = str(found.get("archive_command")), Command("archive-push", {"stanza": machine.group}, ("%p",))
    push, _, otherwise = command.partition(" || ")
    if shell_command_of(push) != right or otherwise.split() != [ARCHIVED, "%f", "%p"]:
        expected = f"pgbackrest --stanza={machine.group} archive-push %p || {ARCHIVED} %f %p"
        return f"{PATRONI}: archive_command is {command!r}; {expected} is expected, perhaps with harmless options"
    if wrong := _compares(machine):
        return wrong
    if machine.pgbackrest("archive-push-queue-max"):
        return f"{PGBACKREST}: archive-push-queue-max drops WAL that waits too long"
    if machine.pgbackrest("archive-check", "y") != "y":
        return f"{PGBACKREST}: archive-check is not y: a backup without its WAL counts as complete"
    return None


@define(
    "retention",
    "repository-is-the-vault",
    Severity.CRITICAL,
    "Backups go to the primary bucket, below the prefix of the hourly class",
    over=database_machines,
    promises=("BAK-3", "BAK-5"),
    controls=BACKUP,
    remedy="render the primary bucket into machines/templates/database/etc/pgbackrest/pgbackrest.conf",
)
def repository_is_vault(graph: Graph, machine: Machine) -> str | None:
    """Objects elsewhere are not replicated, locked or verified."""
    if wrong := _overridden(machine):
        return wrong
    if (kind := machine.pgbackrest("repo1-type")) != "s3":
        return f"{PGBACKREST}: repo1-type is {kind!r}; s3 is expected"
    bucket = machine.pgbackrest("repo1-s3-bucket")
    found = [copy for copy in r2_copies(graph) if copy.name == bucket]
    if not found:
        return f"{PGBACKREST}: repo1-s3-bucket={bucket} is not a backup bucket of this stack"
    if (path := machine.pgbackrest("repo1-path")) != "/hourly":
        return f"{PGBACKREST}: repo1-path is {path!r}; /hourly is expected, as in the bucket's lock and lifecycle rules"
    return _reaches(machine, _endpoint(found[0]))


def _overridden(machine: Machine) -> str | None:
    """Return which file or variable overrides pgBackRest's configuration file, None if none does."""
    for path, content in machine.files.items():
        if path.startswith("/etc/pgbackrest") and path != PGBACKREST:
            return f"{path} overrides {PGBACKREST}; move its settings there"
        if found := re.search(r"\bPGBACKREST_\w+", content):
            return f"{path} names {found[0]}, which overrides {PGBACKREST}; move the setting there"
        if path not in {CONFIGURE, MANIFEST} and re.search(r"/(run/backbuild|etc)/pgbackrest\b", content):
            return f"{path} names the folder of pgBackRest's configuration; write the settings into {PGBACKREST}"
    script = machine.file(CONFIGURE)
    stored = [one.replace(r"\n", "\n") for one in STORED.findall(script)]
    if [line.strip() for line in script.splitlines() if re.search(r"\$pgbackrest|/pgbackrest\b", line)] != STORING:
        return f"{CONFIGURE} writes pgBackRest's configuration in a way that this rule cannot read"
    names = set(re.findall(r"\b[a-z][a-z0-9]*(?:-[a-z0-9]+)+(?==)", "".join(stored)))
    if len(stored) != 1 or names != STORED_OPTIONS:
        return f"{CONFIGURE} stores other options of pgBackRest than {', '.join(sorted(STORED_OPTIONS))}"
    return None


def _reaches(machine: Machine, right: str) -> str | None:
    """Return what is wrong with the settings for the bucket whose endpoint is `right`."""
    endpoint = machine.pgbackrest("repo1-s3-endpoint")
    if endpoint != right:
        return f"{PGBACKREST}: repo1-s3-endpoint={endpoint}; {right} is expected"
    if any(machine.pgbackrest(f"repo1-{name}-verify-tls", "y") != "y" for name in ("storage", "s3")):
        return f"{PGBACKREST}: repo1-storage-verify-tls is not y: the endpoint's certificate is not verified"
    data = machine.patroni.text("postgresql.data_dir")
    if machine.pgbackrest("pg1-path") != data:
        return f"{PGBACKREST}: pg1-path of [{machine.group}] is not {data}, the database's data directory"
    return None


def _endpoint(copy: Copy) -> str:
    """Return the S3 endpoint of an R2 bucket."""
    jurisdiction = copy.bucket.text("jurisdiction") or "default"
    within = "" if jurisdiction == "default" else f".{jurisdiction}"
    return f"{copy.bucket.text('accountId')}{within}.r2.cloudflarestorage.com"


@define(
    "retention",
    "one-repository",
    Severity.HIGH,
    "All groups write to one primary bucket, with a token for that bucket only",
    over=primaries,
    promises=("BAK-3",),
    controls=BACKUP,
    remedy="let every machine's pgbackrest.conf name the same bucket (model/topology.py: buckets)",
)
def one_repository(graph: Graph, copy: Copy) -> str | None:
    """Groups are restored together, and one event notification replicates one bucket."""
    others = [one for one in primaries(graph) if one is not copy]
    if others:
        return f"machines also write to {others[0].name}"
    for token in graph.of(TOKEN):
        if token.text("status") not in {"active", ""}:
            return f"{token.label} is {token.text('status')}: it cannot write backups"
        if token.text("expiresOn"):
            return f"{token.label} expires at {token.text('expiresOn')}: then backups fail"
    return None


@define(
    "retention",
    "encrypted-before-it-leaves",
    Severity.CRITICAL,
    "Backups are encrypted on the machine",
    over=database_machines,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="keep repo1-cipher-type=aes-256-cbc, and the secret backup-cipher among the machine's secrets",
)
def encrypted_before(_: Graph, machine: Machine) -> str | None:
    """Every copy is then encrypted, in any bucket and jurisdiction."""
    cipher = machine.pgbackrest("repo1-cipher-type", "none")
    if cipher != "aes-256-cbc":
        return f"{PGBACKREST}: repo1-cipher-type is {cipher}; aes-256-cbc is expected"
    if not re.search(r"^\S*backups/cipher backup-cipher ", machine.file(ENVIRONMENT), re.MULTILINE):
        return f"{ENVIRONMENT}: the secret backup-cipher is not fetched"
    return None


@define(
    "retention",
    "nothing-expires-on-the-machine",
    Severity.HIGH,
    "The machines delete no backups",
    over=database_machines,
    promises=("BAK-6",),
    controls=RECOVERY,
    remedy="keep expire-auto=n in pgbackrest.conf",
)
def nothing_expires(_: Graph, machine: Machine) -> str | None:
    """Only the rotation decides what is deleted; a locked bucket would refuse some of pgBackRest's deletions."""
    value = machine.pgbackrest("expire-auto", "y")
    if value != "n":
        return f"{PGBACKREST}: expire-auto is {value}; n is expected"
    for path, content in machine.files.items():
        if (found := found_in(content, DELETING)) is not None:
            return f"{path} runs pgbackrest {found[1]}, which deletes or stops backups; remove it"
    return None


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
    """Without a manifest a copy cannot be verified against the original."""
    last = (lines_of(machine.file(BACKUP_SCRIPT)) or (None,))[-1]
    words = last.words if last is not None and not last.block else None
    if words is None or [word.removeprefix("/usr/bin/") for word in words] != ["exec", *SIGNING]:
        return f'{BACKUP_SCRIPT} does not end with exec python3 {MANIFEST} "$GROUP"'
    if "sha256" not in machine.file(MANIFEST):
        return f"{MANIFEST} computes no SHA-256"
    if not re.search(r"^\S*backups/manifest-keys manifest-keys ", machine.file(ENVIRONMENT), re.MULTILINE):
        return f"{ENVIRONMENT}: the secret manifest-keys is not fetched"
    return None


@define(
    "retention",
    "pages-have-checksums",
    Severity.MEDIUM,
    "Database pages have checksums, which pgBackRest verifies",
    over=database_machines,
    promises=("BAK-2",),
    controls=INTEGRITY,
    remedy="keep data-checksums among bootstrap.initdb in patroni.yml",
)
def pages_have_checksums(_: Graph, machine: Machine) -> str | None:
    """With checksums, pgBackRest finds corrupt pages when it backs them up."""
    options = machine.patroni.read("bootstrap.initdb")
    listed = options if isinstance(options, list) else []
    if "data-checksums" not in listed:
        return f"{PATRONI}: bootstrap.initdb does not list data-checksums"
    return None if machine.pgbackrest("checksum-page", "y") == "y" else f"{PGBACKREST}: checksum-page is not y"
