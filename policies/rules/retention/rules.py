"""Retention: locks, lifecycle rules, the rotation and the window of point-in-time recovery fit together.

A class of the rotation is `hourly`, `daily`, `monthly` or `yearly` (docs/retention.md).
"""

from __future__ import annotations

import re

from policies.controls import RECOVERY, RETENTION
from policies.graph import Graph, Resource, Undetermined
from policies.promises import number
from policies.rule import NotApplicable, Severity, define
from policies.views.lifecycles import S3_LOCK
from policies.views.machines import PATRONI, Group, database_groups
from policies.views.shared import stack
from policies.views.vault import (
    CLASSES,
    Copy,
    copies,
    machine_keep_days,
    offsite_copies,
    primaries,
    related,
    replicas,
    rotation,
)

VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"


def _wal(group: Group) -> str:
    """Return the prefix of a group's WAL, for all timelines of its major version of PostgreSQL."""
    found = re.search(r"/postgresql/(\d+)/bin", group.members[0].patroni.text("postgresql.bin_dir"))
    if found is None:
        raise Undetermined(group.members[0].urn, f"{PATRONI}: postgresql.bin_dir", "contains no version")
    return f"hourly/archive/{group.name}/{found[1]}-"


def _description(group: Group) -> str:
    return f"hourly/archive/{group.name}/archive.info"


def _root(kind: str, group: Group) -> str:
    """Return the prefix of a group's backups in a class."""
    return f"hourly/backup/{group.name}/" if kind == "hourly" else f"{kind}/{group.name}/"


def _manifests(group: Group) -> str:
    return f"manifests/{group.name}/"


def _keep(graph: Graph, kind: str) -> float:
    days = rotation(graph).keep_days.get(kind)
    if days is None:
        raise Undetermined(graph.stack.urn, f"keepDays.{kind}", "is missing in the rotation")
    return days


def _longest(graph: Graph, kind: str) -> float:
    """Return the longest time in days that the rotation keeps a backup of a class.

    The newest full backups, of which one is made a day, are kept in the hourly class regardless of their age.
    """
    fulls = rotation(graph).minimum_fulls or 0
    return max(_keep(graph, kind), fulls) if kind == "hourly" else _keep(graph, kind)


@define(
    "retention",
    "kept-as-long-as-the-rotation-says",
    Severity.CRITICAL,
    "No lifecycle rule deletes backups that the rotation keeps",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="generate the bucket's lifecycle rules from topology.retention only",
)
def kept_long_enough(graph: Graph, copy: Copy) -> str | None:
    """The rotation decides what is deleted; lifecycle rules delete only what the age-out Worker has not deleted."""
    for group in database_groups(graph):
        for kind in CLASSES:
            expires, keep = copy.expires(_root(kind, group)), _longest(graph, kind)
            if expires is not None and expires < keep + 1:
                deleted = f"{kind} backups of {group.name} are deleted after {expires:g} days"
                return f"{deleted}; {keep + 1:g} at least are expected"
            last = copy.ages_out(_root(kind, group))
            if expires != last:
                return f"some {kind} backups of {group.name} are deleted {_after(expires)}, the others {_after(last)}"
    return None


@define(
    "retention",
    "everything-ages-out",
    Severity.HIGH,
    "Backups of every class are deleted within the documented time, in every copy",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="restore the class's lifecycle rule in all copies (topology.retention)",
)
def everything_ages_out(graph: Graph, copy: Copy) -> str | None:
    """Backups that are never deleted are kept longer than customers were told."""
    for group in database_groups(graph):
        for kind in CLASSES:
            gone, most = copy.gone(_root(kind, group)), _longest(graph, kind) + number("BAK-6", "backstop_days")
            if gone is None:
                return f"{kind} backups of {group.name} are never deleted{_but_deleted(copy, kind, group)}"
            if gone > most:
                return (
                    f"{kind} backups of {group.name} are deleted after {gone:g} days; at most {most:g} are documented"
                )
    return None


def _but_deleted(copy: Copy, kind: str, group: Group) -> str:
    deleted = copy.ages_out(_root(kind, group))
    return "" if deleted is None else f": they are deleted after {deleted:g} days, but their old versions remain"


@define(
    "retention",
    "wal-outlives-what-needs-it",
    Severity.CRITICAL,
    "No lifecycle rule deletes WAL that a kept backup needs, or pgBackRest's archive.info",
    over=copies,
    promises=("BAK-4", "BAK-6", "REC-4"),
    controls=RECOVERY,
    remedy="keep a prefix for each group's WAL that expires no earlier than hourly/backup/ (topology.retention)",
)
def wal_outlives(graph: Graph, copy: Copy) -> str | None:
    """A backup cannot be restored without the WAL that was written while it was made."""
    for group in database_groups(graph):
        wal, backup = copy.expires(_wal(group)), copy.ages_out(_root("hourly", group))
        if wal is not None and (backup is None or wal < backup):
            lasts = "never" if backup is None else f"after {backup:g} days"
            return f"WAL of {group.name} is deleted after {wal:g} days, and its backups {lasts}"
        if copy.expires(_description(group)) is not None:
            return f"{_description(group)} is deleted: without it no backup of {group.name} can be restored"
    return None


@define(
    "retention",
    "wal-ages-out",
    Severity.MEDIUM,
    "Every group's WAL is deleted within the documented time",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="restore the lifecycle rule of the group's WAL (topology.retention)",
)
def wal_ages_out(graph: Graph, copy: Copy) -> str | None:
    """WAL contains the same data as backups, so it must not be kept longer than documented."""
    for group in database_groups(graph):
        wal, most = copy.gone(_wal(group)), _longest(graph, "hourly") + number("BAK-6", "backstop_days")
        if wal is None or wal > most:
            after = "never deleted" if wal is None else f"deleted after {wal:g} days"
            return f"WAL of {group.name} is {after}; at most {most:g} days are documented"
    return None


@define(
    "retention",
    "window-is-covered",
    Severity.CRITICAL,
    "Every moment of the point-in-time window can be restored from kept WAL and an earlier full backup",
    over=copies,
    promises=("BAK-4", "REC-4"),
    controls=RECOVERY,
    remedy="keep rotation.hourlyDays at least as long as pointInTimeDays, and both at least as long as BAK-4's figure",
)
def window_covered(graph: Graph, copy: Copy) -> str | None:
    """To restore the oldest moment of the window, the full backup before it is needed, which may be one day older."""
    policy = rotation(graph)
    window, promised = policy.point_in_time_days, number("BAK-4", "point_in_time_days")
    if window is not None and window < promised:
        return f"the point-in-time window is {window:g} days; {promised:g} are promised"
    needed = (window or promised) + number("BAK-1", "interval_hours") / 24
    if (keep := _keep(graph, "hourly")) < needed:
        short = f"the rotation keeps hourly backups {keep:g} days"
        return f"{short}; a point-in-time window of {window or promised:g} days needs {needed:g}"
    for group in database_groups(graph):
        for what, key in (("WAL", _wal(group)), ("backups", _root("hourly", group))):
            expires = copy.expires(key)
            if expires is not None and expires < needed:
                deleted = f"{what} of {group.name} are deleted after {expires:g} days"
                return f"{deleted}; the point-in-time window needs {needed:g}"
    return None


@define(
    "retention",
    "locks-end-before-expiry",
    Severity.HIGH,
    "Locks end before lifecycle rules delete the objects",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="generate locks and lifecycle rules from the same topology.retention",
)
def locks_end_before_expiry(_: Graph, copy: Copy) -> str | None:
    """A lifecycle rule cannot delete a locked object, and it reports no error."""
    for prefix, days in copy.expiry.items():
        for held, locked in copy.lock.items():
            if related(prefix, held) and locked > days:
                place = max(prefix, held, key=len)
                return f"objects below {place} are locked for {locked:g} days, but are to be deleted after {days:g}"
    return None


@define(
    "retention",
    "locked-as-long-as-kept",
    Severity.CRITICAL,
    "Kept backups and their WAL cannot be deleted or overwritten",
    over=copies,
    promises=("BAK-6", "BAK-3"),
    controls=RETENTION,
    remedy="restore the lock rules of all copies from topology.retention",
)
def locked_as_long_as_kept(graph: Graph, copy: Copy) -> str | None:
    """An attacker with the machines' credentials must not be able to delete backups.

    In the hourly class, R2 locks WAL and manifests only: pgBackRest overwrites its index and the manifest of a running
    backup, and a lock would refuse that. In S3 one lock period is for the whole bucket: that of the shortest class.
    """
    shared = copy in offsite_copies(graph)
    for group in database_groups(graph):
        roots = {f"{kind} backups": (kind, _root(kind, group)) for kind in CLASSES[1:]}
        roots |= {"WAL": ("hourly", _wal(group)), "manifests": ("hourly", _manifests(group))}
        for what, (kind, root) in roots.items():
            keep = _keep(graph, "hourly" if shared else kind)
            if (locked := copy.locked(root)) < keep:
                return f"{what} of {group.name} are locked for {locked:g} days, but kept for {keep:g}"
    return None


@define(
    "retention",
    "copies-keep-the-same",
    Severity.HIGH,
    "Every copy keeps objects exactly as long as the primary",
    over=replicas,
    promises=("BAK-6", "BAK-5"),
    controls=RETENTION,
    remedy="generate the rules of all copies from the same topology.retention",
)
def copies_keep_the_same(graph: Graph, copy: Copy) -> str | None:
    """A copy that deletes objects earlier than the primary may lack the backup that a restore needs."""
    for first in primaries(graph):
        for name, own, other in (("is deleted", copy.expiry, first.expiry), ("is unlocked", copy.lock, first.lock)):
            if name == "is unlocked" and copy in offsite_copies(graph):
                continue  # S3 has one default retention for the whole bucket
            different = sorted(key for key in {*own, *other} if own.get(key) != other.get(key))
            if different:
                key = different[0]
                here, there = (_after(rules.get(key)) for rules in (own, other))
                return f"the prefix {key} {name} {here} here and {there} in {first.bucket.name}"
    return None


@define(
    "retention",
    "classes-build-on-each-other",
    Severity.HIGH,
    "Each class of the rotation keeps backups longer than the previous one, and as long as promised",
    over=stack,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="set backups.rotation to at least the figures of BAK-6 (promises.toml)",
)
def classes_build(graph: Graph, _: Resource) -> str | None:
    """If monthly backups are deleted as early as daily ones, the monthly class is useless."""
    days = [_keep(graph, kind) for kind in CLASSES]
    for index in range(1, len(CLASSES)):
        if days[index] <= days[index - 1]:
            return (
                f"{CLASSES[index]} backups are kept {days[index]:g} days, {CLASSES[index - 1]} ones {days[index - 1]:g}"
            )
    for kind, kept in zip(CLASSES, days, strict=True):
        if kept < (least := number("BAK-6", f"{kind}_days")):
            return f"{kind} backups are kept {kept:g} days; {least:g} at least are promised"
    return None


@define(
    "retention",
    "tool-and-rules-agree",
    Severity.MEDIUM,
    "pgBackRest is configured with the rotation's retention of full backups",
    over=stack,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="render repo1-retention-full from topology.retention (pgbackrest.conf)",
)
def tool_and_rules_agree(graph: Graph, _: Resource) -> str | None:
    """The retention in pgBackRest's configuration must not mislead operators about what the buckets keep."""
    told, keep = machine_keep_days(graph), _keep(graph, "hourly")
    return None if told == keep else f"repo1-retention-full is {told:g} days, and the rotation keeps {keep:g}"


@define(
    "retention",
    "fulls-are-always-left",
    Severity.HIGH,
    "The newest full backups are kept regardless of their age",
    over=stack,
    promises=("BAK-1", "BAK-6"),
    controls=RECOVERY,
    remedy="set backups.rotation.minimumFulls to at least the figure of BAK-6 (promises.toml)",
)
def fulls_are_left(graph: Graph, _: Resource) -> str | None:
    """If backups stop, the last good ones must not be deleted before operators have repaired the cause."""
    kept = rotation(graph).minimum_fulls
    if kept is None:
        least = min((copy.expires("hourly/backup/") or float("inf") for copy in copies(graph)), default=0.0)
        full = number("BAK-1", "interval_hours") / 24
        count = least / full
        needed = number("BAK-6", "minimum_fulls")
        return None if count >= needed else f"the lifecycle rules leave {count:g} full backups; {needed:g} are promised"
    needed = number("BAK-6", "minimum_fulls")
    return None if kept >= needed else f"minimumFulls is {kept:g}; {needed:g} are promised"


@define(
    "retention",
    "offsite-is-locked-for-good",
    Severity.CRITICAL,
    "In protected stacks, even the owner of the AWS account cannot shorten the lock of the off-site copy",
    over=offsite_copies,
    promises=("BAK-3", "BAK-6"),
    controls=RETENTION,
    remedy="keep versioning, object lock and its compliance mode (components/offsite.py)",
    optional=True,
)
def offsite_locked(graph: Graph, copy: Copy) -> str | None:
    """The off-site copy must survive an attacker who has administrator access to the platform."""
    if not copy.bucket.flag("objectLockEnabled"):
        return "objectLockEnabled is not true"
    versioning = graph.referring(copy.bucket, VERSIONING, "bucket")
    if not any(one.text("versioningConfiguration.status") == "Enabled" for one in versioning):
        return "versioning is not enabled"
    if copy.bucket.flag("forceDestroy"):
        return "forceDestroy is true: Pulumi deletes all objects when it deletes the bucket"
    modes = [lock.text("rule.defaultRetention.mode") for lock in graph.referring(copy.bucket, S3_LOCK, "bucket")]
    if not modes:
        return "it has no default retention: new objects are not locked"
    if copy.bucket.protect and modes[0] != "COMPLIANCE":
        return f"its mode is {modes[0]}; COMPLIANCE is expected in a protected stack"
    return None


@define(
    "retention",
    "manifests-are-kept",
    Severity.HIGH,
    "Signed manifests are kept as long as the backups that they list",
    over=copies,
    promises=("BAK-2", "BAK-6"),
    controls=RETENTION,
    remedy="keep `manifests/` at least as long as the longest class (topology.retention)",
)
def manifests_kept(graph: Graph, copy: Copy) -> str | None:
    """Without its manifest a backup can be restored, but not verified."""
    longest = max(_keep(graph, kind) for kind in CLASSES)
    for group in database_groups(graph):
        expires = copy.expires(_manifests(group))
        if expires is not None and expires <= longest:
            return f"manifests of {group.name} are deleted after {expires:g} days, and backups are kept for {longest:g}"
    if copy.expires("manifests/") is None and not copy.locked("manifests/"):
        raise NotApplicable("no lifecycle rule or lock is for manifests: they are never deleted")
    return None


def _after(days: float | None) -> str:
    return "never" if days is None else f"after {days:g} days"
