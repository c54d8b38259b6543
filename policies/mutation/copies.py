"""Weakenings of the copies of every backup: where they are, who writes and reads them, and who looks after them."""

from __future__ import annotations

from policies.graph import Graph, Resource
from policies.mutation.edge import added, binding
from policies.mutation.operators import ABSENT, add, chain, drop, drop_all, having, named, put, unprotect
from policies.mutation.rotation import LOOKING_AFTER, every, worker
from policies.mutation.weakening import CRON, VERSION, Weakening

R2 = "cloudflare:index/r2Bucket:R2Bucket"
S3 = "aws:s3/bucket:Bucket"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PUBLIC = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
EVENTS = "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification"
QUEUE = "cloudflare:index/queue:Queue"
CONSUMER = "cloudflare:index/queueConsumer:QueueConsumer"
TOKEN = "cloudflare:index/accountToken:AccountToken"  # noqa: S105 (a type)
USER_POLICY = "aws:iam/userPolicy:UserPolicy"
KEY = "aws:kms/key:Key"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105


def published(graph: Graph) -> Resource:
    """A public address of the primary bucket."""
    bucket = next(one for one in graph.of(R2) if one.name.endswith("primary"))
    urn = bucket.urn.replace(R2, "cloudflare:index/r2ManagedDomain:R2ManagedDomain")
    return Resource(
        urn,
        "cloudflare:index/r2ManagedDomain:R2ManagedDomain",
        {"bucketName": bucket.properties["name"], "enabled": True},
        parent=bucket.parent,
        property_dependencies={"bucketName": (bucket.urn,)},
    )


def drilled(graph: Graph) -> Graph:
    """The stack with a restore drill, as it will be declared: a Worker below drills/ that runs by itself."""
    prefix = "::".join(graph.stack.urn.split("::")[:2])
    script = Resource(
        f"{prefix}::cloudflare:index/worker:Worker::restore-drill",
        "cloudflare:index/worker:Worker",
        {"id": "drill", "name": "drill"},
    )
    version = Resource(
        f"{prefix}::{VERSION}::restore-drill",
        VERSION,
        {"workerId": "drill", "mainModule": "drills/restore/index.js", "bindings": []},
        property_dependencies={"workerId": (script.urn,)},
    )
    trigger = Resource(
        f"{prefix}::{CRON}::restore-drill", CRON, {"scriptName": "drill", "schedules": [{"cron": "0 4 1 * *"}]}
    )
    return Graph([*graph.resources, script, version, trigger])


WEAKENINGS = (
    # where the copies are
    Weakening("a copy is not declared", "three-copies", chain(drop(R2), drop(S3))),
    Weakening("all copies with one provider", "three-copies", drop_all(S3)),
    Weakening(
        "the replica moves to the primary's jurisdiction",
        "copies-far-from-each-other",
        put(R2, "jurisdiction", "eu", named("replica")),
    ),
    Weakening(
        "the replica moves next to the database",
        "copies-far-from-the-database",
        put(R2, "jurisdiction", "eu", named("replica")),
    ),
    Weakening(
        "a bucket without a jurisdiction",
        "copies-far-from-the-database",
        put(R2, "jurisdiction", ABSENT, named("replica")),
    ),
    Weakening(
        "the off-site copy moves into the database's region",
        "offsite-in-another-region",
        put(S3, "region", "eu-central-1"),
    ),
    Weakening(
        "the off-site copy moves to the next city", "offsite-in-another-region", put(S3, "region", "eu-central-2")
    ),
    Weakening("an off-site region that nobody knows", "offsite-in-another-region", put(S3, "region", "mars-north-1")),
    # replication
    Weakening("nothing is told of new objects", "replicated-at-once", drop(EVENTS)),
    Weakening("large uploads are not told of", "replicated-at-once", put(EVENTS, "rules[0].actions", ["PutObject"])),
    Weakening(
        "only a part of the bucket is told of",
        "replicated-at-once",
        put(EVENTS, "rules", every(lambda rule: {**rule, "prefix": "daily/"})),
    ),
    Weakening("nobody listens", "replicated-at-once", drop(CONSUMER, named("replicate"))),
    Weakening(
        "failed messages are lost",
        "dead-letters-are-handled",
        put(CONSUMER, "deadLetterQueue", ABSENT, named("replicate")),
    ),
    Weakening(
        "failed messages are lost at once",
        "replicated-at-once",
        put(CONSUMER, "deadLetterQueue", ABSENT, named("replicate")),
    ),
    Weakening("nobody looks at what failed", "dead-letters-are-handled", drop(CONSUMER, named("dead"))),
    Weakening(
        "messages wait an hour", "messages-wait-long-enough", put(QUEUE, "settings.messageRetentionPeriod", 3600)
    ),
    Weakening(
        "delivery is paused",
        "messages-wait-long-enough",
        put(QUEUE, "settings", lambda settings: {**settings, "deliveryPaused": True}),
    ),
    Weakening(
        "the replica is not written",
        "replication-reaches-every-copy",
        put(VERSION, "bindings", binding("REPLICA"), worker("replicate")),
    ),
    Weakening(
        "the replica is the primary",
        "replication-reaches-every-copy",
        put(
            VERSION,
            "bindings",
            binding("REPLICA", bucketName="backbuild-prod-backups", jurisdiction="eu"),
            worker("replicate"),
        ),
    ),
    Weakening(
        "the off-site region is mistaken",
        "replication-reaches-every-copy",
        put(VERSION, "bindings", binding("OFFSITE_REGION", text="eu-west-1"), worker("replicate")),
    ),
    Weakening(
        "the off-site keys are not there",
        "replication-reaches-every-copy",
        put(VERSION, "bindings", binding("OFFSITE_SECRET_ACCESS_KEY"), worker("replicate")),
    ),
    Weakening(
        "a jurisdiction is mistaken",
        "replication-reaches-every-copy",
        put(VERSION, "bindings", binding("REPLICA", jurisdiction="eu"), worker("replicate")),
    ),
    Weakening("nothing compares the copies", "copies-are-reconciled", drop(CRON, named("replicate"))),
    Weakening(
        "the copies are compared once a day",
        "copies-are-reconciled",
        put(CRON, "schedules[0].cron", "0 3 * * *", named("replicate")),
    ),
    Weakening(
        "messages wait for an hour to be handed over",
        "recovery-point-adds-up",
        put(CONSUMER, "settings.maxWaitTimeMs", 3_600_000, named("replicate")),
    ),
    # encryption and access
    Weakening(
        "the off-site copy under Amazon's key",
        "offsite-is-encrypted",
        put(ENCRYPTION, "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm", "AES256"),
    ),
    Weakening("no encryption off-site", "offsite-is-encrypted", drop(ENCRYPTION)),
    *(
        Weakening(f"{flag} is false", "buckets-are-private", put(PUBLIC, flag, False))
        for flag in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ),
    Weakening("nothing blocks public access", "buckets-are-private", drop(PUBLIC)),
    Weakening(
        "objects may belong to others", "buckets-are-private", put(OWNERSHIP, "rule.objectOwnership", "ObjectWriter")
    ),
    Weakening("a public bucket", "buckets-are-private", add(published)),
    Weakening("off-site in the clear", "offsite-speaks-tls-only", drop(BUCKET_POLICY)),
    Weakening(
        "off-site policy allows",
        "offsite-speaks-tls-only",
        put(BUCKET_POLICY, "policy", lambda text: text.replace("Deny", "Allow")),
    ),
    Weakening(
        "the writer may do anything",
        "writers-cannot-unlock",
        put(USER_POLICY, "policy", lambda text: text.replace("s3:GetObject", "s3:*")),
    ),
    Weakening(
        "the writer may pass over locks",
        "writers-cannot-unlock",
        put(USER_POLICY, "policy", lambda text: text.replace("s3:GetObject", "s3:BypassGovernanceRetention")),
    ),
    Weakening(
        "the machines may change the bucket",
        "writers-cannot-unlock",
        put(TOKEN, "policies[0].permissionGroups", added(id="bf7481a1826f439697cb59a20b22293e")),
    ),
    Weakening(
        "the machines may write all buckets",
        "writers-cannot-unlock",
        put(TOKEN, "policies[0].resources", '{"com.cloudflare.api.account.*": "*"}'),
    ),
    *(
        Weakening(f"an unprotected {type.rpartition(':')[2]}", "data-is-protected", unprotect(type))
        for type in (R2, S3, KEY, "cloudflare:index/d1Database:D1Database")
    ),
    Weakening(
        "an unprotected pass phrase",
        "data-is-protected",
        unprotect("random:index/randomPassword:RandomPassword", named("cipher", "superuser")),
    ),
    Weakening("a key that is gone in a week", "keys-outlive-mistakes", put(KEY, "deletionWindowInDays", 7)),
    Weakening("a key that never rotates", "keys-outlive-mistakes", put(KEY, "enableKeyRotation", False)),
    Weakening("a secret that is gone at once", "secrets-outlive-mistakes", put(SECRET, "recoveryWindowInDays", 0)),
    Weakening("a secret without a value", "secrets-outlive-mistakes", drop(SECRET_VERSION)),
    # what looks after them
    Weakening(
        "verified once a day", "verification-is-scheduled", put(CRON, "schedules[0].cron", "0 3 * * *", named("verify"))
    ),
    Weakening("never verified", "verification-is-scheduled", drop(CRON, named("verify"))),
    Weakening(
        "a copy is not verified",
        "verification-is-scheduled",
        put(VERSION, "bindings", binding("REPLICA"), worker("verify")),
    ),
    Weakening(
        "verification forgets", "verification-is-scheduled", put(VERSION, "bindings", binding("DB"), worker("verify"))
    ),
    Weakening(
        "watched every two hours",
        "watchdog-within-the-recovery-point",
        put(CRON, "schedules[0].cron", "0 */2 * * *", named("watch")),
    ),
    Weakening("never watched", "watchdog-within-the-recovery-point", drop(CRON, named("watch"))),
    Weakening(
        "the watchdog does not see the primary",
        "watchdog-within-the-recovery-point",
        put(VERSION, "bindings", binding("PRIMARY"), worker("watch")),
    ),
    Weakening(
        "the watchdog mails nobody",
        "backup-alarms-reach-two-channels",
        put(VERSION, "bindings", binding("ALARM_EMAILS", json="[]"), worker("watch")),
    ),
    Weakening(
        "the watchdog calls nobody",
        "backup-alarms-reach-two-channels",
        put(VERSION, "bindings", binding("ALARM_WEBHOOKS"), worker("watch")),
    ),
    Weakening(
        "aged out once a week", "age-out-is-scheduled", put(CRON, "schedules[0].cron", "15 7 * * 1", named("age-out"))
    ),
    Weakening("never aged out", "age-out-is-scheduled", drop(CRON, named("age-out"))),
    Weakening(
        "a group that nobody was told of",
        "every-group-is-looked-after",
        put(VERSION, "bindings", binding("GROUPS", json='["coordinator"]'), LOOKING_AFTER),
    ),
    Weakening(
        "a group that the API was not told of",
        "every-group-is-looked-after",
        put(VERSION, "bindings", binding("STANZAS", json='["coordinator"]'), having("mainModule", "api/index.js")),
    ),
    Weakening(
        "the drill does not run by itself", "restore-drill-is-scheduled", drop(CRON, named("restore-drill")), drilled
    ),
    Weakening(
        "a drill a year",
        "restore-drill-is-scheduled",
        put(CRON, "schedules[0].cron", "0 4 1 1 *", named("restore-drill")),
        drilled,
    ),
)
