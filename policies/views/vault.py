"""The copies of every backup: three buckets with their locks and lifecycles, and the policy that they carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from policies.graph import Graph, Node, Resource, Undetermined
from policies.views import edge
from policies.views.geography import Point, places
from policies.views.machines import PGBACKREST, database_groups
from policies.views.shared import once

R2: Final = "cloudflare:index/r2Bucket:R2Bucket"
R2_LOCK: Final = "cloudflare:index/r2BucketLock:R2BucketLock"
R2_LIFECYCLE: Final = "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle"
EVENTS: Final = "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification"
QUEUE: Final = "cloudflare:index/queue:Queue"
CONSUMER: Final = "cloudflare:index/queueConsumer:QueueConsumer"
S3: Final = "aws:s3/bucket:Bucket"
S3_LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
S3_LOCK: Final = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"

DAY: Final = 86_400
CLASSES: Final = ("hourly", "daily", "monthly", "yearly")


@dataclass(frozen=True, eq=False)
class Copy:
    """One bucket that holds backups: `expiry` and `lock` are days by prefix."""

    bucket: Resource
    expiry: dict[str, float]
    lock: dict[str, float]
    places: tuple[Point, ...]
    where: str

    @property
    def urn(self) -> str:
        """The bucket's."""
        return self.bucket.urn

    @property
    def label(self) -> str:
        """`bucket vault-primary`."""
        return f"bucket {self.bucket.name}"

    @property
    def name(self) -> str:
        """What the cloud calls it."""
        return self.bucket.text("bucket") or self.bucket.text("name")

    def expires(self, prefix: str) -> float | None:
        """After how many days what lies below a prefix is deleted by a rule; None: never."""
        return min((days for rule, days in self.expiry.items() if prefix.startswith(rule)), default=None)

    def locked(self, prefix: str) -> float:
        """For how many days nobody may delete what lies below a prefix."""
        return max((days for rule, days in self.lock.items() if prefix.startswith(rule)), default=0.0)


@once
def r2_copies(graph: Graph) -> list[Copy]:
    """Backup buckets in R2."""
    used = _bound_buckets(graph)
    copies: list[Copy] = []
    for bucket in graph.of(R2):
        if bucket.text("name") in used:
            jurisdiction = bucket.text("jurisdiction")
            copies.append(
                Copy(
                    bucket,
                    _r2_expiry(graph, bucket),
                    _r2_lock(graph, bucket),
                    places(jurisdiction=jurisdiction or "default"),
                    f"jurisdiction {jurisdiction or 'default'}",
                )
            )
    return copies


@once
def offsite_copies(graph: Graph) -> list[Copy]:
    """Backup buckets in S3."""
    return [
        Copy(bucket, _s3_expiry(graph, bucket), _s3_lock(graph, bucket), places(region=bucket.region), bucket.region)
        for bucket in graph.of(S3)
    ]


def copies(graph: Graph) -> list[Copy]:
    """Backup buckets."""
    return [*r2_copies(graph), *offsite_copies(graph)]


def primaries(graph: Graph) -> list[Copy]:
    """Bucket that machines write backups to."""
    repositories = {
        machine.assignments(PGBACKREST).get("repo1-s3-bucket", "")
        for group in database_groups(graph)
        for machine in group.members
    }
    return [copy for copy in r2_copies(graph) if copy.name in repositories]


def replicas(graph: Graph) -> list[Copy]:
    """Replicas of the primary bucket."""
    first = {copy.urn for copy in primaries(graph)}
    return [copy for copy in copies(graph) if copy.urn not in first]


def _bound_buckets(graph: Graph) -> set[str]:
    """Names of the R2 buckets that the Workers which look after backups are bound to."""
    return {
        binding.text("bucketName")
        for worker in edge.backup_workers(graph)
        for binding in worker.bindings.values()
        if binding.text("type") == "r2_bucket"
    }


def _r2_expiry(graph: Graph, bucket: Resource) -> dict[str, float]:
    rules: dict[str, float] = {}
    for lifecycle in graph.referring(bucket, R2_LIFECYCLE, "bucketName"):
        for rule in lifecycle.items("rules"):
            seconds = rule.number("deleteObjectsTransition.condition.maxAge")
            if rule.flag("enabled") and seconds is not None:
                _keep(rules, rule.text("conditions.prefix"), seconds / DAY, min)
    return rules


def _r2_lock(graph: Graph, bucket: Resource) -> dict[str, float]:
    rules: dict[str, float] = {}
    for lock in graph.referring(bucket, R2_LOCK, "bucketName"):
        for rule in lock.items("rules"):
            if rule.flag("enabled"):
                _keep(rules, rule.text("prefix"), _locked_days(rule), max)
    return rules


def _locked_days(rule: Node) -> float:
    if rule.text("condition.type") == "Indefinite":
        return float("inf")
    return (rule.number("condition.maxAgeSeconds") or 0.0) / DAY


def _s3_expiry(graph: Graph, bucket: Resource) -> dict[str, float]:
    rules: dict[str, float] = {}
    for lifecycle in graph.referring(bucket, S3_LIFECYCLE, "bucket"):
        for rule in lifecycle.items("rules"):
            days = rule.number("expiration.days")
            if rule.text("status") == "Enabled" and days is not None:
                _keep(rules, rule.text("filter.prefix"), days, min)
    return rules


def _s3_lock(graph: Graph, bucket: Resource) -> dict[str, float]:
    """S3's default retention is one for the whole bucket; who writes what lives longer sets its own date."""
    days = [
        found
        for lock in graph.referring(bucket, S3_LOCK, "bucket")
        if (found := lock.number("rule.defaultRetention.days")) is not None
    ]
    return {"": max(days)} if days else {}


def _keep(rules: dict[str, float], prefix: str, days: float, better: Any) -> None:
    rules[prefix] = better(rules.get(prefix, days), days)


def writer_of(graph: Graph, name: str) -> list[edge.Worker]:
    """The Workers below `backups/` that are bound to a bucket by its name."""
    found: list[edge.Worker] = []
    for worker in edge.backup_workers(graph):
        named = {one.text("bucketName") for one in worker.bindings.values() if one.text("type") == "r2_bucket"}
        if name in {*named, worker.text("OFFSITE_BUCKET")}:
            found.append(worker)
    return found


@dataclass(frozen=True)
class Rotation:
    """What the policy says: days by class, and the window of point-in-time recovery where it is declared."""

    keep_days: dict[str, float]
    point_in_time_days: float | None
    minimum_fulls: float | None


@once
def rotation(graph: Graph) -> Rotation:
    """The rotation policy: what the Workers are bound to, else what the stack exports."""
    for worker in edge.backup_workers(graph):
        bound = worker.document("ROTATION")
        if isinstance(bound, dict):
            policy = cast("dict[str, Any]", bound)
            keep = policy.get("keepDays")
            if isinstance(keep, dict):
                days = {name: float(count) for name, count in cast("dict[str, Any]", keep).items()}
                return Rotation(days, policy.get("pointInTimeDays"), policy.get("minimumFulls"))
    exported = graph.stack.read("retentionDays")
    if not isinstance(exported, dict):
        raise Undetermined(graph.stack.urn, "retentionDays", "is neither bound to a Worker nor exported by the stack")
    found = Node(graph.stack.urn, "retentionDays", exported)
    return Rotation({name: found.number(name) or 0.0 for name in exported}, None, None)


def machine_keep_days(graph: Graph) -> float | None:
    """For how many days the backup tool believes that its repository is kept: the least of all machines'."""
    figures = [
        float(machine.figure(PGBACKREST, "repo1-retention-full"))
        for group in database_groups(graph)
        for machine in group.members
    ]
    return min(figures, default=None)


def wal_prefix(group: str) -> str:
    """Where a group's WAL lies; its archive's description, beside it, is needed for ever."""
    return f"hourly/archive/{group}/17-"
