"""Retention: backups are verified, watched, aged out, and now and then restored."""

from __future__ import annotations

from policies.controls import MONITORING, RETENTION, TESTING
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import Severity, define
from policies.views.calendars import window_gap_days
from policies.views.edge import CRON, SCRIPT, Worker, backup_workers, databases_of, in_folder
from policies.views.lifecycles import S3_LOCK
from policies.views.machines import database_groups
from policies.views.shared import stack
from policies.views.vault import Copy, copies, overlooks, primaries

WINDOW = "aws:ssm/maintenanceWindow:MaintenanceWindow"
TASK = "aws:ssm/maintenanceWindowTask:MaintenanceWindowTask"


def verifiers(graph: Graph) -> list[Worker]:
    """Worker that verifies."""
    return in_folder(graph, "backups/verify")


def watchers(graph: Graph) -> list[Worker]:
    """Worker that watches."""
    return in_folder(graph, "backups/watch")


def agers(graph: Graph) -> list[Worker]:
    """Worker that ages out."""
    return in_folder(graph, "backups/age-out")


def _runs(worker: Worker, most_seconds: float) -> str | None:
    """What is wrong with a Worker that must run so often, and remember what it found."""
    gap = worker.gap_seconds
    if gap is None:
        return "it never runs by itself"
    if gap > most_seconds:
        return f"it runs every {gap:g} s at the longest; {most_seconds:g} s at most are expected"
    return None


def _overlooks(worker: Worker, found: list[Copy]) -> str | None:
    return next((wrong for copy in found if (wrong := overlooks(worker, copy))), None)


def _remembers(graph: Graph, worker: Worker) -> str | None:
    return None if databases_of(graph, worker) else "it has no database to remember what it found"


@define(
    "retention",
    "verification-is-scheduled",
    Severity.CRITICAL,
    "Every copy is verified by a Worker that runs by itself and remembers what it found",
    over=verifiers,
    promises=("BAK-2",),
    controls=TESTING,
    remedy="restore the cron trigger and bindings of backups/verify (components/backup_workers.py)",
)
def verification_scheduled(graph: Graph, worker: Worker) -> str | None:
    """A backup that was never read again is a hope."""
    wrong = _runs(worker, number("BAK-2", "verify_minutes") * 60) or _remembers(graph, worker)
    if wrong:
        return wrong
    return _overlooks(worker, copies(graph))


@define(
    "retention",
    "watchdog-within-the-recovery-point",
    Severity.CRITICAL,
    "A gap in the backups is noticed well within the recovery point",
    over=watchers,
    promises=("REC-4", "BAK-1", "BAK-4"),
    controls=MONITORING,
    remedy="restore the cron trigger and bindings of backups/watch (components/backup_workers.py)",
)
def watchdog(graph: Graph, worker: Worker) -> str | None:
    """What is noticed later than the recovery point allows is noticed too late."""
    wrong = _runs(worker, number("REC-4", "watch_seconds")) or _remembers(graph, worker)
    if wrong:
        return wrong
    return _overlooks(worker, primaries(graph))


@define(
    "retention",
    "backup-alarms-reach-two-channels",
    Severity.HIGH,
    "What is wrong with backups reaches people by mail and by webhook",
    over=watchers,
    promises=("REC-4", "BAK-1", "BAK-2"),
    controls=MONITORING,
    remedy="name at least one address in alarms.emails and one in alarms.webhooks",
)
def backup_alarms(_: Graph, worker: Worker) -> str | None:
    """The watchdog does not pass through AWS, which may be what is down."""
    needed = {"EMAIL": "send_email", "ALARM_EMAILS": "json", "ALARM_WEBHOOKS": "secret_text"}
    for name, type in needed.items():
        if name not in worker.bindings or worker.bindings[name].text("type") != type:
            return f"it has no binding {name} ({type})"
    if not any("@" in address for address in worker.names("ALARM_EMAILS") or ()):
        return "ALARM_EMAILS names nobody"
    hooks = worker.bindings["ALARM_WEBHOOKS"]
    if hooks.known("text") and "https://" not in hooks.text("text"):
        return "ALARM_WEBHOOKS names nobody"
    senders = worker.bindings["EMAIL"].words("allowedSenderAddresses")
    return None if worker.text("SENDER") in senders else f"it may not send as {worker.text('SENDER') or 'nobody'}"


@define(
    "retention",
    "workers-share-one-rotation",
    Severity.HIGH,
    "Every Worker that looks after backups follows the same rotation and knows the off-site lock",
    over=backup_workers,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="bind ROTATION and LOCK_MODE from the topology (components/backup_workers.py)",
)
def one_rotation(graph: Graph, worker: Worker) -> str | None:
    """What one Worker keeps, another must not age out."""
    bound = worker.document("ROTATION")
    if bound is None:
        return "it has no binding ROTATION"
    for other in backup_workers(graph):
        if other.document("ROTATION") != bound:
            return f"its ROTATION is not that of {other.label}"
    if "LOCK_MODE" in worker.bindings:
        modes = {lock.text("rule.defaultRetention.mode") for lock in graph.of(S3_LOCK)}
        if worker.text("LOCK_MODE") not in modes:
            return f"LOCK_MODE is {worker.text('LOCK_MODE')}, and the bucket's mode is {', '.join(sorted(modes))}"
    return None


@define(
    "retention",
    "age-out-is-scheduled",
    Severity.HIGH,
    "What has aged out is deleted within a day, in every copy",
    over=agers,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="restore the cron trigger and bindings of backups/age-out (components/backup_workers.py)",
)
def age_out_scheduled(graph: Graph, worker: Worker) -> str | None:
    """The documented schedule is this one."""
    wrong = _runs(worker, number("BAK-6", "age_out_hours") * 3600) or _remembers(graph, worker)
    if wrong:
        return wrong
    return _overlooks(worker, copies(graph))


@define(
    "retention",
    "every-group-is-looked-after",
    Severity.HIGH,
    "Workers and API know every group that is backed up",
    over=stack,
    promises=("BAK-1", "BAK-4"),
    controls=MONITORING,
    remedy="bind STANZAS and GROUPS from topology.database_groups",
)
def every_group(graph: Graph, _: Resource) -> str | None:
    """A group that nobody was told of can stop being backed up without anybody noticing."""
    groups = {group.name for group in database_groups(graph)}
    told = 0
    for folder in ("api", "backups/watch", "backups/verify", "backups/age-out", "backups/replicate"):
        for worker in in_folder(graph, folder):
            for binding in ("STANZAS", "GROUPS"):
                known = worker.names(binding)
                if known is None:
                    continue
                told += 1
                if missing := sorted(groups - known):
                    return f"{worker.label} is not told of {', '.join(missing)} ({binding})"
    return None if told else "no Worker is told which groups are backed up"


@define(
    "retention",
    "restore-drill-is-scheduled",
    Severity.HIGH,
    "A restore is tried by itself, as often as promised",
    over=stack,
    promises=("REC-5", "BAK-2"),
    controls=TESTING,
    remedy="declare a Worker below drills/ with a cron trigger, or a maintenance task that runs backbuild-drill",
)
def restore_drill(graph: Graph, _: Resource) -> str | None:
    """Only a restore proves a backup."""
    most = number("REC-5", "drill_days") * 86_400
    scripts = {script.text("name") for script in graph.of(SCRIPT)}
    for trigger in graph.of(CRON):
        if "drill" in trigger.name and trigger.text("scriptName") in scripts:
            for worker in in_folder(graph, "drills/restore"):
                if worker.gap_seconds is not None and worker.gap_seconds <= most:
                    return None
    for task in graph.of(TASK):
        given = task.items("taskInvocationParameters.runCommandParameters.parameters")
        commands = [line for one in given if one.text("name") == "commands" for line in one.words("values")]
        window = graph.target(task, "windowId", WINDOW)
        gap = None if window is None else window_gap_days(window.text("schedule"))
        drills = any(line.split()[:1] and line.split()[0].endswith("/backbuild-drill") for line in commands)
        if drills and gap is not None and gap <= number("REC-5", "drill_days"):
            return None
    return "nothing in this stack restores a backup by itself"
