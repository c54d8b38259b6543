"""Weakenings of the copies: where they are, and how objects are replicated to them."""

from __future__ import annotations

from policies.graph import Graph
from policies.mutation.bindings import (
    BACKUPS,
    change_bindings,
    in_folder,
    rebind,
    redocumented,
    relist,
    unbind,
)
from policies.mutation.files import edit
from policies.mutation.operators import (
    ABSENT,
    Change,
    Mutant,
    Operator,
    assigned,
    chain,
    drop,
    drop_all,
    named,
    put,
    replaced,
)
from policies.mutation.weakening import Preparation, Weakenings
from policies.views.edge import CRON, VERSION
from policies.views.machines import PATRONI
from policies.views.permissions import ACCESS_KEY
from policies.views.vault import CONSUMER, EVENTS, QUEUE, R2, S3

OFFSITE = named("offsite")

REPLICA, REPLICATOR = named("replica"), named("replicate")
REPLICATE = "backups/replicate"
REPLICATE_QUEUE = named("backups-replicate")
HALF_A_DAY = 43_200

ARCHIVE = {
    "name": "archive",
    "kind": "s3",
    "bucket": "archive",
    "region": "nord-1",
    "lockMode": "COMPLIANCE",
    "endpoint": "https://s3.example.net",
}
ARCHIVE_KEYS = [
    {"name": f"COPY_ARCHIVE_{key}", "type": "secret_text", "text": "x"}
    for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
]


def with_archive(graph: Graph) -> Graph:
    """Return the stack with a fourth copy in another S3-compatible store."""
    added = redocumented("COPIES", lambda copies: [*copies, ARCHIVE])
    return _rebound(graph, lambda bindings: [*added(bindings), *ARCHIVE_KEYS])


def _rebound(graph: Graph, change: Change) -> Graph:
    versions = filter(in_folder(*BACKUPS), graph.of(VERSION))
    changed = (assigned(version, "bindings", change) for version in versions)
    return replaced(graph, *(one for one in changed if one is not None))


def everywhere(change: Change) -> Operator:
    """Change the bindings of all Workers that handle backups in one mutant."""
    return lambda graph: iter([Mutant("all Workers", _rebound(graph, change))])


WEAKENINGS: Weakenings = {
    "three-copies": {
        "a copy is not declared": chain(drop(R2), drop(S3, OFFSITE)),
        "all copies are with one provider": drop_all(S3, OFFSITE),
    },
    "copies-far-from-the-database": {
        "the replica is in the database's jurisdiction": put(R2, "jurisdiction", "eu", REPLICA),
        "the replica has no jurisdiction": put(R2, "jurisdiction", ABSENT, REPLICA),
    },
    "copies-far-from-each-other": {
        "the replica is in the primary's jurisdiction": put(R2, "jurisdiction", "eu", REPLICA),
    },
    "offsite-in-another-region": {
        "the off-site copy is in the database's region": put(S3, "region", "eu-central-1", OFFSITE),
        "the off-site copy is in the nearest region": put(S3, "region", "eu-central-2", OFFSITE),
        "the off-site copy's region is unknown": put(S3, "region", "mars-north-1", OFFSITE),
    },
    "replicated-at-once": {
        "the bucket sends no events": drop(EVENTS),
        "multipart uploads send no events": put(EVENTS, "rules[0].actions", ["PutObject"]),
        "one prefix only sends events": put(EVENTS, "rules[*].prefix", "daily/"),
        "no Worker consumes the events": drop(CONSUMER, REPLICATOR),
        "the consumer has no dead-letter queue": put(CONSUMER, "deadLetterQueue", ABSENT, REPLICATOR),
        "another Worker consumes the events": put(CONSUMER, "scriptName", "backbuild-prod-api", REPLICATE_QUEUE),
        "another jurisdiction's bucket sends events": put(EVENTS, "jurisdiction", "fedramp"),
    },
    "messages-wait-long-enough": {
        "messages are kept for an hour": put(QUEUE, "settings.messageRetentionPeriod", 3600),
        "delivery is paused": put(QUEUE, "settings.deliveryPaused", True),
    },
    "replication-reaches-every-copy": {
        "the replicator has no binding to the replica": unbind("COPY_REPLICA", REPLICATE),
        "the replicator's replica is the primary": rebind(
            "COPY_REPLICA", REPLICATE, bucketName="backbuild-prod-backups", jurisdiction="eu"
        ),
        "the replicator has a wrong off-site region": relist("offsite", REPLICATE, region="eu-west-1"),
        "the replicator has no off-site key": unbind("COPY_OFFSITE_SECRET_ACCESS_KEY", REPLICATE),
        "the replicator has a wrong jurisdiction": rebind("COPY_REPLICA", REPLICATE, jurisdiction="eu"),
        "the replicator takes the replica for the primary": change_bindings(
            redocumented("COPIES", lambda copies: [copies[1], copies[0], *copies[2:]]), REPLICATE
        ),
        "the replicator does not list the off-site copy": change_bindings(
            redocumented("COPIES", lambda copies: copies[:2]), REPLICATE
        ),
        "the writer's access key is inactive": put(ACCESS_KEY, "status", "Inactive"),
    },
    "foreign-copies-are-locked-and-apart": {
        "its endpoint does not use TLS": relist("archive", *BACKUPS, endpoint="http://s3.example.net"),
        "a user with a special permission may shorten its locks": relist("archive", *BACKUPS, lockMode="GOVERNANCE"),
        "it has no lock mode": relist("archive", *BACKUPS, lockMode=""),
        "one Worker does not list it": change_bindings(redocumented("COPIES", lambda copies: copies[:3]), *BACKUPS),
        "one Worker has no key": unbind("COPY_ARCHIVE_SECRET*", *BACKUPS),
        "its key is not secret": rebind("COPY_ARCHIVE_SECRET_ACCESS_KEY", *BACKUPS, type="plain_text"),
        "two copies are in one region of one store": everywhere(
            redocumented("COPIES", lambda copies: [*copies, {**copies[3], "name": "second", "bucket": "second"}])
        ),
    },
    "recovery-point-adds-up": {
        "a WAL segment waits fifty minutes": edit(PATRONI, "archive_timeout: 60s", "archive_timeout: 50min"),
        "a batch of messages waits an hour": put(CONSUMER, "settings.maxWaitTimeMs", 3_600_000, REPLICATOR),
        "a failed message is not retried": put(CONSUMER, "settings.maxRetries", 0, REPLICATE_QUEUE),
        "a retry comes half a day later": put(CONSUMER, "settings.retryDelay", HALF_A_DAY, REPLICATE_QUEUE),
        "messages are delivered half a day late": put(QUEUE, "settings.deliveryDelay", HALF_A_DAY, named("events")),
    },
    "dead-letters-are-handled": {
        "failed messages are dropped": put(CONSUMER, "deadLetterQueue", ABSENT, REPLICATOR),
        "no Worker consumes the dead letters": drop(CONSUMER, named("dead")),
    },
    "copies-are-reconciled": {
        "the copies are never compared": drop(CRON, REPLICATOR),
        "the copies are compared daily": put(CRON, "schedules[0].cron", "0 3 * * *", REPLICATOR),
    },
}
PREPARATIONS: dict[str, Preparation] = {"foreign-copies-are-locked-and-apart": with_archive}
