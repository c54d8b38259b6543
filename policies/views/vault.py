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
ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"

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


@dataclass(frozen=True)
class Listed:
    """A copy in the binding `COPIES` of a Worker; the fields of another kind are empty."""

    name: str
    kind: str
    bucket: str = ""
    region: str = ""
    endpoint: str = ""
    lock_mode: str = ""

    @property
    def binding(self) -> str:
        """The name, or the beginning of the names, of its other bindings."""
        return f"COPY_{self.name.upper()}"

    @property
    def keys(self) -> dict[str, str]:
        """The bindings of its keys in S3: name to type."""
        return {f"{self.binding}_{key}": "secret_text" for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}


def listed(worker: edge.Worker) -> list[Listed]:
    """Return the copies in a Worker's binding `COPIES`; none without it."""
    bound = worker.document("COPIES")
    entries = cast("list[dict[str, Any]]", bound) if isinstance(bound, list) else []
    fields = {"bucket": "bucket", "region": "region", "endpoint": "endpoint", "lock_mode": "lockMode"}
    return [
        Listed(str(one.get("name")), str(one.get("kind")), **{to: str(one.get(key, "")) for to, key in fields.items()})
        for one in entries
    ]


@once
def offsite_copies(graph: Graph) -> list[Copy]:
    """Backup buckets in S3."""
    names = {one.bucket for worker in edge.backup_workers(graph) for one in listed(worker) if not one.endpoint}
    return [
        Copy(graph, bucket, places(region=bucket.region), bucket.region)
        for bucket in graph.of(S3)
        if bucket.text("bucket") in names
    ]


@dataclass(frozen=True)
class ForeignCopy:
    """A copy in an S3-compatible store whose buckets the stack does not declare."""

    listed: Listed
    urn: str

    @property
    def label(self) -> str:
        """`copy archive`."""
        return f"copy {self.listed.name}"


@once
def foreign_copies(graph: Graph) -> list[ForeignCopy]:
    """Copies in other S3-compatible stores."""
    found = {one: worker.urn for worker in edge.backup_workers(graph) for one in listed(worker) if one.endpoint}
    return [ForeignCopy(one, urn) for one, urn in found.items()]


def copies(graph: Graph) -> list[Copy]:
    """Backup buckets."""
    return [*r2_copies(graph), *offsite_copies(graph)]


def primaries(graph: Graph) -> list[Copy]:
    """Bucket that machines write backups to."""
    repositories = {
        bucket
        for group in database_groups(graph)
        for machine in group.members
        for bucket in machine.pgbackrest_by_command("repo1-s3-bucket").values()
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
        float(machine.pgbackrest("repo1-retention-full", "0"))
        for group in database_groups(graph)
        for machine in group.members
    ]
    return min(figures, default=None)


def overlooks(worker: edge.Worker, copy: Copy) -> str | None:
    """Return why a Worker cannot read a copy: it has no binding to it, or no key."""
    entries = listed(worker)
    if copy.bucket.type == R2:
        where = (copy.name, copy.bucket.text("jurisdiction"))
        bound = [worker.bindings[one.binding] for one in entries if one.kind == "r2" and one.binding in worker.bindings]
        found = any((one.text("bucketName"), one.text("jurisdiction")) == where for one in bound)
        return None if found else f"it is not bound to {copy.name} in {copy.where}"
    for one in entries:
        if (one.bucket, one.region, one.endpoint) == (copy.name, copy.where, ""):
            return worker.lacks(**one.keys)
    return f"COPIES does not list {copy.name} in {copy.where}"
