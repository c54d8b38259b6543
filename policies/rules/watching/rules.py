"""Retention: backups are verified, watched and deleted in time."""

from __future__ import annotations

from policies.controls import MONITORING, RETENTION, TESTING
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import Severity, define
from policies.views.edge import Worker, alarms_unheard, backup_workers, databases_of, in_folder
from policies.views.lifecycles import S3_LOCK
from policies.views.machines import database_groups
from policies.views.shared import stack
from policies.views.vault import Copy, copies, listed, offsite_copies, overlooks, primaries


def verifiers(graph: Graph) -> list[Worker]:
    """Worker that verifies backups."""
    return in_folder(graph, "backups/verify")


def watchers(graph: Graph) -> list[Worker]:
    """Worker that watches backups."""
    return in_folder(graph, "backups/watch")


def agers(graph: Graph) -> list[Worker]:
    """Worker that deletes expired backups."""
    return in_folder(graph, "backups/age-out")


def _handles(graph: Graph, worker: Worker, most_seconds: float, handled: list[Copy]) -> str | None:
    """Return what is wrong with a Worker that must run on a schedule, store its results and read these copies."""
    if wrong := worker.late(most_seconds):
        return wrong
    if not databases_of(graph, worker):
        return "it has no database for its results"
    return next((wrong for copy in handled if (wrong := overlooks(worker, copy))), None)


@define(
    "retention",
    "verification-is-scheduled",
    Severity.CRITICAL,
    "A Cloudflare Worker verifies every copy on a schedule and stores the results",
    over=verifiers,
    promises=("BAK-2",),
    controls=TESTING,
    remedy="restore the cron trigger and bindings of backups/verify (components/backup_workers.py)",
)
def verification_scheduled(graph: Graph, worker: Worker) -> str | None:
    """A stored backup may be damaged, and only reading it again shows that."""
    return _handles(graph, worker, number("BAK-2", "verify_minutes") * 60, copies(graph))


@define(
    "retention",
    "watchdog-within-the-recovery-point",
    Severity.CRITICAL,
    "Missing backups and WAL are detected well within the recovery point objective",
    over=watchers,
    promises=("REC-4", "BAK-1", "BAK-4"),
    controls=MONITORING,
    remedy="restore the cron trigger and bindings of backups/watch (components/backup_workers.py)",
)
def watchdog(graph: Graph, worker: Worker) -> str | None:
    """If a backup is found missing later than that, more data may be lost than the objective allows."""
    return _handles(graph, worker, number("REC-4", "watch_seconds"), primaries(graph))


@define(
    "retention",
    "backup-alarms-reach-two-channels",
    Severity.HIGH,
    "Problems with backups reach operators by e-mail and by webhook",
    over=watchers,
    promises=("REC-4", "BAK-1", "BAK-2"),
    controls=MONITORING,
    remedy="name at least one address in alarms.emails and one in alarms.webhooks",
)
def backup_alarms(_: Graph, worker: Worker) -> str | None:
    """The Worker that watches backups still runs while AWS is down, so it needs its own two channels."""
    return alarms_unheard(worker)


@define(
    "retention",
    "workers-share-one-rotation",
    Severity.HIGH,
    "All Cloudflare Workers that handle backups use the same rotation and know the locks of the copies in S3",
    over=backup_workers,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="bind ROTATION and COPIES from the topology (components/backup_workers.py)",
)
def one_rotation(graph: Graph, worker: Worker) -> str | None:
    """With different rotations, one Worker would delete backups that another one keeps."""
    bound = worker.document("ROTATION")
    if bound is None:
        return "it has no binding ROTATION"
    for other in backup_workers(graph):
        if other.document("ROTATION") != bound:
            return f"its ROTATION differs from that of {other.label}"
    for copy in offsite_copies(graph):
        modes = {lock.text("rule.defaultRetention.mode") for lock in graph.referring(copy.bucket, S3_LOCK, "bucket")}
        for one in listed(worker):
            if one.bucket == copy.name and one.lock_mode not in modes:
                return f"it writes {copy.name} with lock mode {one.lock_mode}, but the bucket has {', '.join(modes)}"
    return None


@define(
    "retention",
    "age-out-is-scheduled",
    Severity.HIGH,
    "Expired backups are deleted within a day, in every copy",
    over=agers,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="restore the cron trigger and bindings of backups/age-out (components/backup_workers.py)",
)
def age_out_scheduled(graph: Graph, worker: Worker) -> str | None:
    """The documentation promises this schedule."""
    return _handles(graph, worker, number("BAK-6", "age_out_hours") * 3600, copies(graph))


@define(
    "retention",
    "every-group-is-looked-after",
    Severity.HIGH,
    "The Cloudflare Workers and the API know every group that is backed up",
    over=stack,
    promises=("BAK-1", "BAK-4"),
    controls=MONITORING,
    remedy="bind STANZAS and GROUPS from topology.database_groups",
)
def every_group(graph: Graph, _: Resource) -> str | None:
    """If a Worker does not know a group, that group's backups can stop without an alarm."""
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
                    return f"{worker.label} does not know {', '.join(missing)} ({binding})"
    return None if told else "no Worker knows which groups are backed up"
