"""Retention: copies apart from the database and from each other, replicated, and open to nobody."""

from __future__ import annotations

import json
from typing import Any, cast

from policies.controls import ACCESS, AT_REST, OFFSITE, RECOVERY
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import Severity, Subject, define
from policies.views.edge import SCRIPT, Worker, in_folder
from policies.views.geography import Point, least_km, places
from policies.views.machines import Machine, database_machines, duration_seconds
from policies.views.vault import (
    CONSUMER,
    EVENTS,
    QUEUE,
    Copy,
    copies,
    offsite_copies,
    primaries,
    r2_copies,
    replicas,
)

ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PUBLIC = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
TOKEN = "cloudflare:index/accountToken:AccountToken"  # noqa: S105 (a type)
USER_POLICY = "aws:iam/userPolicy:UserPolicy"
MANAGED_DOMAIN = "cloudflare:index/r2ManagedDomain:R2ManagedDomain"
CUSTOM_DOMAIN = "cloudflare:index/r2CustomDomain:R2CustomDomain"
KEY = "aws:kms/key:Key"
ACTIONS = {"PutObject", "CompleteMultipartUpload", "CopyObject"}
BATCH_SECONDS = 900  # how long a batch of messages may take at most, by the platform's own limit
# R2's permission group "Workers R2 Storage Bucket Item Write", by Cloudflare's id: objects, and no configuration.
ITEM_WRITE = "2efd5506f9c8494dacb1fa10a3e7d5b6"
# What would let whoever writes copies also take them away.
UNLOCKING = (
    "s3:*",
    "*",
    "s3:BypassGovernanceRetention",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketVersioning",
    "s3:PutBucketPolicy",
    "s3:DeleteBucket",
    "s3:DeleteObjectVersion",
    "kms:ScheduleKeyDeletion",
    "kms:*",
)


def whole(graph: Graph) -> list[Subject]:
    """Stack."""
    return [graph.stack]


def _database(graph: Graph) -> tuple[Point, ...]:
    """Where the database stands."""
    regions = {machine.instance.region for machine in database_machines(graph)}
    return tuple(point for region in sorted(regions) for point in places(region=region))


@define(
    "retention",
    "three-copies",
    Severity.CRITICAL,
    "There are three copies of every backup, with two providers",
    over=whole,
    promises=("BAK-3", "BAK-5", "RED-4"),
    controls=OFFSITE,
    remedy="restore the primary, the replica and the off-site bucket (components/vault.py)",
)
def three_copies(graph: Graph, _: Resource) -> str | None:
    """One that is damaged, one that is out of reach, and one to restore from."""
    r2, s3 = len(r2_copies(graph)), len(offsite_copies(graph))
    if r2 + s3 < number("BAK-5", "copies"):
        return f"there are {r2} buckets in R2 and {s3} in S3"
    return None if r2 and s3 else "all copies are with one provider"


@define(
    "retention",
    "copies-far-from-the-database",
    Severity.CRITICAL,
    "Two copies at least are provably far from the database",
    over=whole,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="choose backups.replica.jurisdiction and backups.offsite.region away from database.region",
)
def copies_far(graph: Graph, _: Resource) -> str | None:
    """A jurisdiction counts as near as its nearest site may be, so that the primary's own never counts as far."""
    database, least = _database(graph), number("BAK-5", "apart_km")
    distances = {copy: least_km(database, copy.places) for copy in copies(graph)}
    far = [copy for copy, km in distances.items() if km >= least]
    if len(far) < 2:
        stand = "; ".join(f"{copy.bucket.name} ({copy.where}): {km:.0f} km" for copy, km in distances.items())
        return f"{len(far)} copies are {least:g} km or more from the database ({stand})"
    return None


@define(
    "retention",
    "copies-far-from-each-other",
    Severity.HIGH,
    "No two copies share a jurisdiction or a region",
    over=replicas,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="choose backups.jurisdiction, backups.replica.jurisdiction and backups.offsite.region apart",
)
def copies_apart(graph: Graph, copy: Copy) -> str | None:
    """Two copies in one place, or under one order of one court, are one copy."""
    for other in copies(graph):
        if other.urn == copy.urn:
            continue
        if other.where == copy.where:
            return f"it shares {copy.where} with {other.bucket.name}"
        both = {"R2" if one in r2_copies(graph) else "S3" for one in (copy, other)}
        least = number("BAK-5", "apart_km")
        if len(both) == 1 and (km := least_km(copy.places, other.places)) < least:
            return f"it may be {km:.0f} km from {other.bucket.name}; {least:g} km are expected"
    return None


@define(
    "retention",
    "offsite-in-another-region",
    Severity.CRITICAL,
    "The off-site copy is in another region than the database",
    over=offsite_copies,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="choose backups.offsite.region away from database.region",
)
def offsite_elsewhere(graph: Graph, copy: Copy) -> str | None:
    """The loss of the region must not take a copy along."""
    km, least = least_km(_database(graph), copy.places), number("BAK-5", "apart_km")
    return None if km >= least else f"it is in {copy.where}, {km:.0f} km from the database; {least:g} km are expected"


@define(
    "retention",
    "replicated-at-once",
    Severity.CRITICAL,
    "Every object that enters the primary is told of, to a Worker that copies it, and no message is lost",
    over=primaries,
    promises=("BAK-5", "REC-4"),
    controls=OFFSITE,
    remedy="restore the event notification, its queue, the consumer and the dead-letter queue",
)
def replicated_at_once(graph: Graph, copy: Copy) -> str | None:
    """A backup that waits for a schedule is in one place until then."""
    events = graph.referring(copy.bucket, EVENTS, "bucketName")
    if not events:
        return "nothing is told of its objects"
    rules = events[0].items("rules")
    told = {
        action
        for rule in rules
        if not rule.text("prefix") and not rule.text("suffix")
        for action in rule.words("actions")
    }
    if missing := sorted(ACTIONS - told):
        return f"{events[0].name} does not tell of {', '.join(missing)} everywhere in the bucket"
    queues = graph.targets(events[0], "queueId", QUEUE)
    consumers = [one for queue in queues for one in graph.referring(queue, CONSUMER, "queueId")]
    scripts = {script.text("name") for script in graph.of(SCRIPT)}
    if not any(one.text("scriptName") in scripts for one in consumers):
        return "no Worker of this stack consumes what is told"
    for consumer in consumers:
        if not graph.targets(consumer, "deadLetterQueue", QUEUE):
            return f"{consumer.name} has no dead-letter queue: a message that fails too often is lost"
    return None


def queues(graph: Graph) -> list[Resource]:
    """Queues."""
    return graph.of(QUEUE)


@define(
    "retention",
    "messages-wait-long-enough",
    Severity.HIGH,
    "What could not be copied waits until somebody has looked",
    over=queues,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="restore message_retention_period of the queues (components/vault.py)",
)
def messages_wait(_: Graph, queue: Resource) -> str | None:
    """A weekend without anybody looking, plus a day."""
    seconds = queue.number("settings.messageRetentionPeriod") or 0
    least = number("BAK-5", "message_days") * 86_400
    if seconds < least:
        return f"messages wait {seconds / 86_400:g} days; {least / 86_400:g} at least are expected"
    if queue.read("settings.deliveryPaused") is True:
        return "its delivery is paused"
    return None


def replicators(graph: Graph) -> list[Worker]:
    """Worker that replicates."""
    return in_folder(graph, "backups/replicate")


@define(
    "retention",
    "replication-reaches-every-copy",
    Severity.CRITICAL,
    "The replicating Worker reads the primary and writes every other copy",
    over=replicators,
    promises=("BAK-5",),
    controls=OFFSITE,
    remedy="restore its bindings PRIMARY, REPLICA and OFFSITE_* (components/backup_workers.py)",
)
def replication_reaches(graph: Graph, worker: Worker) -> str | None:
    """A copy that nobody writes is an empty bucket."""
    for binding, found in (
        ("PRIMARY", primaries(graph)),
        ("REPLICA", r2_copies(graph)),
        ("OFFSITE", offsite_copies(graph)),
    ):
        wrong = _binding(worker, binding, found)
        if wrong:
            return wrong
    if worker.bindings["PRIMARY"].text("bucketName") == worker.bindings["REPLICA"].text("bucketName"):
        return "PRIMARY and REPLICA are the same bucket"
    return None


def _binding(worker: Worker, name: str, found: list[Copy]) -> str | None:
    if name == "OFFSITE":
        needed = ("OFFSITE_BUCKET", "OFFSITE_REGION", "OFFSITE_ACCESS_KEY_ID", "OFFSITE_SECRET_ACCESS_KEY")
        missing = [one for one in needed if one not in worker.bindings]
        if missing:
            return f"it has no binding {missing[0]}"
        where = (worker.text("OFFSITE_BUCKET"), worker.text("OFFSITE_REGION"))
        right = [(copy.name, copy.where) for copy in found]
        return None if where in right else f"OFFSITE_BUCKET and OFFSITE_REGION are {where}, which is no copy"
    if name not in worker.bindings:
        return f"it has no binding {name}"
    bound = worker.bindings[name]
    for copy in found:
        if copy.name == bound.text("bucketName"):
            own = copy.bucket.text("jurisdiction")
            same = bound.text("jurisdiction") == own
            return (
                None
                if same
                else f"{name} is bound in jurisdiction {bound.text('jurisdiction')}, and {copy.name} is in {own}"
            )
    return f"{name} is bound to {bound.text('bucketName')}, which is not what it should be"


@define(
    "retention",
    "recovery-point-adds-up",
    Severity.CRITICAL,
    "What the last machine lost, and the way to the farthest copy, stay within the recovery point",
    over=replicators,
    promises=("REC-4", "BAK-4"),
    controls=RECOVERY,
    remedy="shorten archive_timeout, the consumer's max_wait_time_ms, or the reconciliation's schedule",
)
def recovery_point_adds_up(graph: Graph, worker: Worker) -> str | None:
    """Archived at the latest after the timeout, told of after the queue's wait, copied within one batch; and what was
    never told of is found by the next reconciliation.
    """
    archive = max((_archive_seconds(machine) for machine in database_machines(graph)), default=0.0)
    consumers = [one for one in graph.of(CONSUMER) if one.text("scriptName") == worker.name]
    waits = max(((one.number("settings.maxWaitTimeMs") or 0) / 1000 for one in consumers), default=0.0)
    reconciled = min((gap for one in _reconcilers(graph) if (gap := one.gap_seconds) is not None), default=None)
    if reconciled is None:
        return "nothing reconciles the copies by itself, so that an object which was never told of is never copied"
    total, most = archive + waits + reconciled + BATCH_SECONDS, number("REC-4", "seconds")
    if total > most:
        parts = (
            f"{archive:g} s archiving + {waits:g} s waiting + {reconciled:g} s reconciling + {BATCH_SECONDS} s copying"
        )
        return f"{parts} = {total:g} s; {most:g} s are promised"
    return None


def _archive_seconds(machine: Machine) -> float:
    text = str(machine.dcs.read("postgresql.parameters.archive_timeout") or "")
    return duration_seconds(text) or number("REC-4", "seconds")


def _reconcilers(graph: Graph) -> list[Worker]:
    """Workers that run by themselves and look at all copies."""
    both = [worker for folder in ("backups/replicate", "backups/verify") for worker in in_folder(graph, folder)]
    return [
        worker for worker in both if {"PRIMARY", "REPLICA", "OFFSITE_BUCKET"} <= worker.bindings.keys() and worker.crons
    ]


@define(
    "retention",
    "offsite-is-encrypted",
    Severity.HIGH,
    "The off-site copy is encrypted with a key of its own",
    over=offsite_copies,
    promises=("BAK-3",),
    controls=AT_REST,
    remedy="restore the bucket's encryption with the off-site KMS key (components/offsite.py)",
)
def offsite_encrypted(graph: Graph, copy: Copy) -> str | None:
    """Encrypted before it left the machine, and again where it lies."""
    for configuration in graph.referring(copy.bucket, ENCRYPTION, "bucket"):
        for rule in configuration.items("rules"):
            algorithm = rule.text("applyServerSideEncryptionByDefault.sseAlgorithm")
            if algorithm not in {"aws:kms", "aws:kms:dsse"}:
                return f"its encryption is {algorithm or 'not set'}; aws:kms is expected"
            keys = graph.targets(configuration, "rules", KEY)
            return None if keys else "it is not encrypted with a key of this stack"
    return "it has no default encryption"


@define(
    "retention",
    "buckets-are-private",
    Severity.CRITICAL,
    "No backup can be read by the public",
    over=copies,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the public access block and the ownership; remove public domains of R2 buckets",
)
def buckets_private(graph: Graph, copy: Copy) -> str | None:
    """Encrypted as they are, who has seen one knows how much there is and when it changes."""
    if copy in r2_copies(graph):
        for domain in (
            *graph.referring(copy.bucket, MANAGED_DOMAIN, "bucketName"),
            *graph.referring(copy.bucket, CUSTOM_DOMAIN, "bucketName"),
        ):
            if domain.flag("enabled"):
                return f"{domain.label} publishes it"
        return None
    blocks = graph.referring(copy.bucket, PUBLIC, "bucket")
    if not blocks:
        return "nothing blocks public access to it"
    for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        if not blocks[0].flag(name):
            return f"{name} is not true"
    owners = graph.referring(copy.bucket, OWNERSHIP, "bucket")
    if not any(one.text("rule.objectOwnership") == "BucketOwnerEnforced" for one in owners):
        return "its objects may belong to others (rule.objectOwnership is not BucketOwnerEnforced)"
    return None


@define(
    "retention",
    "offsite-speaks-tls-only",
    Severity.MEDIUM,
    "The off-site bucket refuses whoever does not use TLS",
    over=offsite_copies,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the bucket's policy (components/offsite.py)",
)
def offsite_tls_only(graph: Graph, copy: Copy) -> str | None:
    """Its policy names the bucket by what AWS will call it, so that the first preview cannot know it yet."""
    for policy in graph.referring(copy.bucket, BUCKET_POLICY, "bucket"):
        for statement in _statements(policy):
            condition = cast("dict[str, Any]", statement.get("Condition") or {})
            if statement.get("Effect") == "Deny" and condition.get("Bool") == {"aws:SecureTransport": "false"}:
                return None
    return "no policy denies what does not use TLS"


@define(
    "retention",
    "writers-cannot-unlock",
    Severity.CRITICAL,
    "Who writes copies may not take locks, versions or keys away",
    over=whole,
    promises=("BAK-3", "BAK-6"),
    controls=ACCESS,
    remedy="restore the least that the writer needs (components/offsite.py, components/vault.py)",
)
def writers_cannot_unlock(graph: Graph, _: Resource) -> str | None:
    """A leaked key must not be worth more than the objects that it may write."""
    for token in graph.of(TOKEN):
        for policy in token.items("policies"):
            groups = {one.text("id") for one in policy.items("permissionGroups")}
            if groups - {ITEM_WRITE}:
                return f"{token.label} has permission groups beside that for writing objects"
            primary = [copy.name for copy in primaries(graph)]
            if not any(name in policy.text("resources") and "*" not in name for name in primary):
                return f"{token.label} is not confined to the primary bucket"
    for policy in graph.of(USER_POLICY):
        for statement in _statements(policy):
            actions = statement.get("Action")
            listed = cast("list[str]", [actions] if isinstance(actions, str) else actions or [])
            if statement.get("Effect") == "Allow" and (wrong := sorted(set(listed) & set(UNLOCKING))):
                return f"{policy.label} allows {', '.join(wrong)}"
    return None


def _statements(policy: Resource) -> list[dict[str, Any]]:
    document = cast("dict[str, Any]", json.loads(policy.text("policy") or "{}"))
    return cast("list[dict[str, Any]]", document.get("Statement") or [])
