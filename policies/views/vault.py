"""The copies of every backup: buckets with their locks and lifecycles, and the rotation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

from policies.graph import Graph, Node, Resource, Undetermined
from policies.views import edge
from policies.views.geography import Point, places
from policies.views.lifecycles import NEVER, Expiry, r2_expiry, r2_lock, s3_expiry, s3_lock
from policies.views.machines import database_groups
from policies.views.shared import once

R2: Final = "cloudflare:index/r2Bucket:R2Bucket"
EVENTS: Final = "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification"
QUEUE: Final = "cloudflare:index/queue:Queue"
CONSUMER: Final = "cloudflare:index/queueConsumer:QueueConsumer"
S3: Final = "aws:s3/bucket:Bucket"

CLASSES: Final = ("hourly", "daily", "monthly", "yearly")


@dataclass(frozen=True, eq=False)
class Copy:
    """One bucket with backups; values for a prefix (`daily/worker-1/`) are computed from all its rules."""

    graph: Graph
    bucket: Resource
    places: tuple[Point, ...]
    where: str

    @property
    def urn(self) -> str:
        """The URN of the bucket."""
        return self.bucket.urn

    @property
    def label(self) -> str:
        """`bucket vault-primary`."""
        return f"bucket {self.bucket.name}"

    @property
    def name(self) -> str:
        """Its name at the provider."""
        return self.bucket.text("bucket") or self.bucket.text("name")

    @cached_property
    def rules(self) -> Expiry:
        """When its lifecycle deletes objects."""
        return (r2_expiry if self.bucket.type == R2 else s3_expiry)(self.graph, self.bucket)

    @property
    def expiry(self) -> dict[str, float]:
        """Prefix to the days after which a rule deletes objects below it."""
        return self.rules.deleted

    @cached_property
    def lock(self) -> dict[str, float]:
        """Prefix to the days for which objects below it are locked."""
        return (r2_lock if self.bucket.type == R2 else s3_lock)(self.graph, self.bucket)

    def expires(self, prefix: str) -> float | None:
        """Return after how many days a rule may delete the first object below a prefix; None: never."""
        return min((days for rule, days in self.expiry.items() if related(prefix, rule)), default=None)

    def ages_out(self, prefix: str) -> float | None:
        """Return after how many days a rule deletes all objects below a prefix; None: never."""
        return min((days for rule, days in self.expiry.items() if prefix.startswith(rule)), default=None)

    def gone(self, prefix: str) -> float | None:
        """Return after how many days all objects below a prefix are gone, old versions included; None: never."""
        days = min((days for rule, days in self.rules.gone.items() if prefix.startswith(rule)), default=NEVER)
        return None if days == NEVER else days

    def locked(self, prefix: str) -> float:
        """Return for how many days all objects below a prefix are locked."""
        return max((days for rule, days in self.lock.items() if prefix.startswith(rule)), default=0.0)


def related(one: str, other: str) -> bool:
    """Return whether an object can be below both prefixes."""
    return one.startswith(other) or other.startswith(one)


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
                    graph,
                    bucket,
                    places(jurisdiction=jurisdiction or "default"),
                    f"jurisdiction {jurisdiction or 'default'}",
                )
            )
    return copies


@once
def offsite_copies(graph: Graph) -> list[Copy]:
    """Backup buckets in S3: those that a backup Worker names."""
    named = {worker.text("OFFSITE_BUCKET") for worker in edge.backup_workers(graph)}
    return [
        Copy(graph, bucket, places(region=bucket.region), bucket.region)
        for bucket in graph.of(S3)
        if bucket.text("bucket") in named
    ]


def copies(graph: Graph) -> list[Copy]:
    """Backup buckets."""
    return [*r2_copies(graph), *offsite_copies(graph)]


def primaries(graph: Graph) -> list[Copy]:
    """Bucket that machines write backups to."""
    repositories = {
        bucket
        for group in database_groups(graph)
        for machine in group.members
        for bucket in machine.said("repo1-s3-bucket").values()
    }
    return [copy for copy in r2_copies(graph) if copy.name in repositories]


def replicas(graph: Graph) -> list[Copy]:
    """Replicas of the primary bucket."""
    first = {copy.urn for copy in primaries(graph)}
    return [copy for copy in copies(graph) if copy.urn not in first]


def _bound_buckets(graph: Graph) -> set[str]:
    """Return the names of the R2 buckets in the bindings of the Workers that handle backups."""
    return {
        binding.text("bucketName")
        for worker in edge.backup_workers(graph)
        for binding in worker.bindings.values()
        if binding.text("type") == "r2_bucket"
    }


@dataclass(frozen=True)
class Rotation:
    """The rotation: days by class, and the window of point-in-time recovery if it is declared."""

    keep_days: dict[str, float]
    point_in_time_days: float | None
    minimum_fulls: float | None


@once
def rotation(graph: Graph) -> Rotation:
    """Return the rotation from the Workers' bindings, else from the stack's outputs."""
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
    """Return pgBackRest's retention in days: the least of all machines."""
    figures = [
        float(machine.told("repo1-retention-full", "0"))
        for group in database_groups(graph)
        for machine in group.members
    ]
    return min(figures, default=None)


def overlooks(worker: edge.Worker, copy: Copy) -> str | None:
    """Return why a Worker cannot read a copy: it has no binding to it, or no key."""
    if copy.bucket.type == R2:
        where = (copy.name, copy.bucket.text("jurisdiction"))
        bound = {
            (one.text("bucketName"), one.text("jurisdiction"))
            for one in worker.bindings.values()
            if one.text("type") == "r2_bucket"
        }
        return None if where in bound else f"it is not bound to {copy.name} in {copy.where}"
    told = (worker.text("OFFSITE_BUCKET"), worker.text("OFFSITE_REGION"))
    if told != (copy.name, copy.where):
        return f"OFFSITE_BUCKET and OFFSITE_REGION are {told}; {(copy.name, copy.where)} is expected"
    missing = sorted({"OFFSITE_ACCESS_KEY_ID", "OFFSITE_SECRET_ACCESS_KEY"} - worker.bindings.keys())
    return f"it has no binding {missing[0]}" if missing else None
