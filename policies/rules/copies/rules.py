"""Retention: copies are far from the database and from each other, and replicated."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

from policies.controls import OFFSITE, RECOVERY
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import Severity, define
from policies.views.edge import Worker, backup_workers, in_folder
from policies.views.geography import Point, least_km, places
from policies.views.lifecycles import in_place
from policies.views.machines import Machine, database_machines, duration_seconds
from policies.views.patroni import parameters
from policies.views.permissions import ACCESS_KEY
from policies.views.shared import stack
from policies.views.vault import (
    CONSUMER,
    EVENTS,
    QUEUE,
    Copy,
    ForeignCopy,
    Listed,
    copies,
    foreign_copies,
    listed,
    offsite_copies,
    overlooks,
    primaries,
    r2_copies,
    replicas,
)

ACTIONS = {"PutObject", "CompleteMultipartUpload", "CopyObject"}
BATCH_SECONDS = 900  # the longest time for a batch of messages; Cloudflare ends a consumer after that


def _database(graph: Graph) -> tuple[Point, ...]:
    """Return the places of the database."""
    regions = {machine.instance.region for machine in database_machines(graph)}
    return tuple(point for region in sorted(regions) for point in places(region=region))


@define(
    "retention",
    "three-copies",
    Severity.CRITICAL,
    "There are three copies of every backup, with two providers",
    over=stack,
    promises=("BAK-3", "BAK-5", "RED-4"),
    controls=OFFSITE,
    remedy="list three copies at least in backups.copies, one of them of kind s3",
)
def three_copies(graph: Graph, _: Resource) -> str | None:
    """One copy may be corrupt and another unreachable; the third can still be restored."""
    r2, s3, others = len(r2_copies(graph)), len(offsite_copies(graph)), len(foreign_copies(graph))
    if r2 + s3 + others < number("BAK-5", "copies"):
        return f"there are {r2} buckets in R2, {s3} in S3 and {others} in other stores"
    return None if r2 and s3 + others else "all copies are with one provider"


@define(
    "retention",
    "copies-far-from-the-database",
    Severity.CRITICAL,
    "At least two copies are far from the database",
    over=stack,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="choose jurisdictions and regions in backups.copies away from database.region",
)
def copies_far(graph: Graph, _: Resource) -> str | None:
    """R2 may store objects in any data centre of a jurisdiction, so the distance to the nearest one counts.

    A jurisdiction that contains the database's region never counts as far.
    """
    database, least = _database(graph), number("BAK-5", "apart_km")
    distances = {copy: least_km(database, copy.places) for copy in copies(graph)}
    far = [copy for copy, km in distances.items() if km >= least]
    if len(far) < 2:
        stand = "; ".join(f"{copy.bucket.name} ({copy.where}): {km:.0f} km" for copy, km in distances.items())
        return f"{len(far)} copies are {least:g} km or more from the database, two at least are expected ({stand})"
    return None


@define(
    "retention",
    "copies-far-from-each-other",
    Severity.HIGH,
    "No two copies share a jurisdiction or a region",
    over=replicas,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="choose the jurisdictions and regions in backups.copies apart",
)
def copies_apart(graph: Graph, copy: Copy) -> str | None:
    """One disaster or one court order would affect two copies in the same place.

    Beside three copies that are far from each other, a further one may be near one of them.
    """
    others = [other for other in copies(graph) if other.urn != copy.urn]
    for other in others:
        if other.where == copy.where:
            return f"it shares {copy.where} with {other.bucket.name}"
    least = number("BAK-5", "apart_km")
    near = next((other for other in others if _apart_km(graph, copy, other) < least), None)
    if near is None or any(_all_apart(graph, three, least) for three in combinations(others, 3)):
        return None
    km = _apart_km(graph, copy, near)
    return f"it may be only {km:.0f} km from {near.bucket.name}; {least:g} km at least are expected"


def _apart_km(graph: Graph, one: Copy, other: Copy) -> float:
    """Return the least distance of two copies of one provider; a copy of another provider shares nothing with it."""
    same = (one in r2_copies(graph)) == (other in r2_copies(graph))
    return least_km(one.places, other.places) if same else math.inf


def _all_apart(graph: Graph, group: Iterable[Copy], least: float) -> bool:
    return all(_apart_km(graph, one, other) >= least for one, other in combinations(group, 2))


@define(
    "retention",
    "offsite-in-another-region",
    Severity.CRITICAL,
    "Each copy in S3 is in another region than the database",
    over=offsite_copies,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="choose the regions of kind s3 in backups.copies away from database.region",
    optional=True,
)
def offsite_elsewhere(graph: Graph, copy: Copy) -> str | None:
    """The loss of the database's region must not include a copy."""
    km, least = least_km(_database(graph), copy.places), number("BAK-5", "apart_km")
    if km >= least:
        return None
    return f"it is in {copy.where}, {km:.0f} km from the database; {least:g} km at least are expected"


@define(
    "retention",
    "replicated-at-once",
    Severity.CRITICAL,
    "Each new object in the primary sends an event to the replicating Worker, and no event is lost",
    over=primaries,
    promises=("BAK-5", "REC-4"),
    controls=OFFSITE,
    remedy="restore the event notification, its queue, the consumer and the dead-letter queue",
)
def replicated_at_once(graph: Graph, copy: Copy) -> str | None:
    """Without events, a new object exists in one place only, until a scheduled comparison finds it."""
    events = in_place(graph, copy.bucket, EVENTS)
    if not events:
        return "it sends no events for its objects"
    rules = events[0].items("rules")
    told = {
        action
        for rule in rules
        if not rule.text("prefix") and not rule.text("suffix")
        for action in rule.words("actions")
    }
    if missing := sorted(ACTIONS - told):
        return f"{events[0].name} does not send events for {', '.join(missing)} in the whole bucket"
    consumers = _consumers(graph, copy)
    copying = {worker.name for worker in replicators(graph)}
    if not consumers or not all(one.text("scriptName") in copying for one in consumers):
        return "the replicating Worker does not consume its events"
    for consumer in consumers:
        if not graph.targets(consumer, "deadLetterQueue", QUEUE):
            return f"{consumer.name} has no dead-letter queue: messages that fail too often are lost"
    return None


def queues(graph: Graph) -> list[Resource]:
    """Queues."""
    return graph.of(QUEUE)


@define(
    "retention",
    "messages-wait-long-enough",
    Severity.HIGH,
    "Failed messages are kept until operators have had time to act",
    over=queues,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="restore message_retention_period of the queues (components/vault.py)",
)
def messages_wait(_: Graph, queue: Resource) -> str | None:
    """Operators may be away for a weekend, and then need a day to repair the cause."""
    seconds = queue.number("settings.messageRetentionPeriod") or 0
    least = number("BAK-5", "message_days") * 86_400
    if seconds < least:
        return f"messages are kept for {seconds / 86_400:g} days; {least / 86_400:g} at least are expected"
    if queue.read("settings.deliveryPaused") is True:
        return "its delivery is paused"
    return None


def replicators(graph: Graph) -> list[Worker]:
    """Worker that replicates backups."""
    return in_folder(graph, "backups/replicate")


@define(
    "retention",
    "replication-reaches-every-copy",
    Severity.CRITICAL,
    "The replicating Worker reads the primary and writes every other copy",
    over=replicators,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="restore its bindings COPIES and COPY_* (components/backup_workers.py)",
)
def replication_reaches(graph: Graph, worker: Worker) -> str | None:
    """A copy without a writer stays empty."""
    for copy in copies(graph):
        if wrong := overlooks(worker, copy):
            return wrong
    first = listed(worker)[0]
    bucket = worker.bindings[first.binding].text("bucketName") if first.binding in worker.bindings else first.bucket
    if bucket not in {copy.name for copy in primaries(graph)}:
        return f"COPIES begins with {first.name}, but the machines write to another copy; list the primary first"
    off = [key.label for key in graph.of(ACCESS_KEY) if key.text("status") not in {"Active", ""}]
    return f"{off[0]} is not active: it cannot write its copy" if off else None


@define(
    "retention",
    "foreign-copies-are-locked-and-apart",
    Severity.CRITICAL,
    "A copy in another S3-compatible store is written over TLS with secret keys, locked, and in a region of its own",
    over=foreign_copies,
    promises=("BAK-3", "BAK-5", "BAK-6"),
    controls=OFFSITE,
    remedy="give the copy an HTTPS endpoint, keys, a region of its own and lockMode COMPLIANCE in backups.copies",
    optional=True,
)
def foreign_copies_safe(graph: Graph, copy: ForeignCopy) -> str | None:
    """The stack does not declare its bucket, so the rule judges its entry in the Workers' binding COPIES."""
    protected = any(first.bucket.protect for first in primaries(graph))
    return _unsafe(copy.listed, protected=protected) or _shared(graph, copy.listed) or _unreached(graph, copy.listed)


def _unsafe(one: Listed, *, protected: bool) -> str | None:
    if not one.endpoint.startswith("https://") or not (one.bucket and one.region):
        return (
            f"its endpoint is {one.endpoint or 'not set'}, its region {one.region or 'not set'}, its bucket"
            f" {one.bucket or 'not set'}; an https:// endpoint, a region and a bucket are expected"
        )
    if one.lock_mode != "COMPLIANCE" and (protected or one.lock_mode != "GOVERNANCE"):
        return f"its lock mode is {one.lock_mode or 'not set'}; COMPLIANCE is expected in a protected stack"
    return None


def _shared(graph: Graph, one: Listed) -> str | None:
    """Return which other copy is in the same region of the same store."""
    for other in foreign_copies(graph):
        shares = (other.listed.endpoint, other.listed.region) == (one.endpoint, one.region)
        if shares and other.listed.name != one.name:
            return f"it shares {one.endpoint} in {one.region} with {other.label}"
    return None


def _unreached(graph: Graph, one: Listed) -> str | None:
    """Return which Worker does not list a copy, or has no secret key for it."""
    for worker in backup_workers(graph):
        if one not in listed(worker):
            return f"{worker.label} does not list it in COPIES, or lists it with other values"
        if wrong := worker.lacks(**one.keys):
            return f"{worker.label}: {wrong}"
    return None


@define(
    "retention",
    "recovery-point-adds-up",
    Severity.CRITICAL,
    "Archiving, queueing, reconciling and copying take no longer than the recovery point objective",
    over=replicators,
    promises=("REC-4", "BAK-4"),
    controls=RECOVERY,
    remedy="shorten archive_timeout, the consumer's max_wait_time_ms, or the reconciliation's schedule",
)
def recovery_point_adds_up(graph: Graph, worker: Worker) -> str | None:
    """A WAL segment is archived after archive_timeout at the latest, waits in the queue, and is copied in one batch.

    If its event is lost, the next reconciliation copies it.
    """
    archive = max((_archive_seconds(machine) for machine in database_machines(graph)), default=0.0)
    consumers = [one for one in graph.of(CONSUMER) if one.text("scriptName") == worker.name]
    if any(not one.number("settings.maxRetries") for one in consumers):
        return "maxRetries is 0: a failed message is not retried"
    waits = max((_waits(graph, one) for one in consumers), default=0.0)
    reconciled = min((gap for one in _reconcilers(graph) if (gap := one.gap_seconds) is not None), default=None)
    if reconciled is None:
        return "no Worker reconciles the copies on a schedule: an object without an event is never copied"
    total, most = archive + waits + reconciled + BATCH_SECONDS, number("REC-4", "seconds")
    if total > most:
        parts = (
            f"{archive:g} s archiving + {waits:g} s waiting + {reconciled:g} s reconciling + {BATCH_SECONDS} s copying"
        )
        return f"{parts} = {total:g} s; {most:g} s are promised"
    return None


def _waits(graph: Graph, consumer: Resource) -> float:
    """Return for how many seconds a message waits: in the queue, for its batch, and for one retry."""
    delays = (queue.number("settings.deliveryDelay") or 0 for queue in graph.targets(consumer, "queueId", QUEUE))
    batch, again = consumer.number("settings.maxWaitTimeMs") or 0, consumer.number("settings.retryDelay") or 0
    return max(delays, default=0.0) + batch / 1000 + again


def _archive_seconds(machine: Machine) -> float:
    text = str(parameters(machine).get("archive_timeout") or "")
    return duration_seconds(text) or number("REC-4", "seconds")


def _reconcilers(graph: Graph) -> list[Worker]:
    """Return the Workers that compare all copies on a schedule."""
    both = [worker for folder in ("backups/replicate", "backups/verify") for worker in in_folder(graph, folder)]
    return [worker for worker in both if worker.crons and not any(overlooks(worker, copy) for copy in copies(graph))]


@define(
    "retention",
    "dead-letters-are-handled",
    Severity.HIGH,
    "Messages that failed too often are retried, and operators are notified",
    over=primaries,
    promises=("BAK-5", "REC-4"),
    controls=OFFSITE,
    remedy="restore the consumer of the dead-letter queue (components/backup_workers.py)",
)
def dead_letters_handled(graph: Graph, copy: Copy) -> str | None:
    """Without a consumer the dead-letter queue drops its messages after two weeks at most."""
    letters = [queue for one in _consumers(graph, copy) for queue in graph.targets(one, "deadLetterQueue", QUEUE)]
    if not letters:
        return "the consumer of its events has no dead-letter queue"
    for queue in letters:
        if not graph.referring(queue, CONSUMER, "queueId"):
            return f"no Worker consumes {queue.name}"
        if queue in graph.targets(graph.referring(queue, CONSUMER, "queueId")[0], "deadLetterQueue", QUEUE):
            return f"{queue.name} is its own dead-letter queue: failed messages return to it for ever"
    return None


def _consumers(graph: Graph, copy: Copy) -> list[Resource]:
    """Return the consumers of a bucket's events."""
    queues = [queue for one in in_place(graph, copy.bucket, EVENTS) for queue in graph.targets(one, "queueId", QUEUE)]
    return [one for queue in queues for one in graph.referring(queue, CONSUMER, "queueId")]


@define(
    "retention",
    "copies-are-reconciled",
    Severity.CRITICAL,
    "Objects without an event are found by comparing the copies",
    over=replicators,
    promises=("BAK-5", "REC-4"),
    controls=OFFSITE,
    remedy="restore the cron trigger of backups/replicate (components/backup_workers.py)",
)
def copies_reconciled(_: Graph, worker: Worker) -> str | None:
    """An event can be lost; a listing shows every object."""
    return worker.late(number("REC-4", "reconcile_seconds"))
