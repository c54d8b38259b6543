"""Retention: the arithmetic of locks, lifecycles, the rotation and the window of point-in-time recovery."""

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
    """Below what a group's WAL lies, of whatever timeline: the major version that the group runs."""
    found = re.search(r"/postgresql/(\d+)/bin", group.members[0].patroni.text("postgresql.bin_dir"))
    if found is None:
        raise Undetermined(group.members[0].urn, f"{PATRONI}: postgresql.bin_dir", "names no version")
    return f"hourly/archive/{group.name}/{found[1]}-"


def _description(group: Group) -> str:
    return f"hourly/archive/{group.name}/archive.info"


def _root(kind: str, group: Group) -> str:
    """Below what a class keeps a group's backups."""
    return f"hourly/backup/{group.name}/" if kind == "hourly" else f"{kind}/{group.name}/"


def _manifests(group: Group) -> str:
    return f"manifests/{group.name}/"


def _keep(graph: Graph, kind: str) -> float:
    days = rotation(graph).keep_days.get(kind)
    if days is None:
        raise Undetermined(graph.stack.urn, f"keepDays.{kind}", "is not said by the rotation policy")
    return days


def _longest(graph: Graph, kind: str) -> float:
    """How long something of a class may be kept: the newest full backups, a day apart, stay however old they are."""
    fulls = rotation(graph).minimum_fulls or 0
    return max(_keep(graph, kind), fulls) if kind == "hourly" else _keep(graph, kind)


@define(
    "retention",
    "kept-as-long-as-the-rotation-says",
    Severity.CRITICAL,
    "No rule deletes anything of a class before the rotation lets it go",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="make the bucket's lifecycle rules from topology.retention, never by hand",
)
def kept_long_enough(graph: Graph, copy: Copy) -> str | None:
    """The rotation decides; a lifecycle rule is behind it and never in front."""
    for group in database_groups(graph):
        for kind in CLASSES:
            expires, keep = copy.expires(_root(kind, group)), _longest(graph, kind)
            if expires is not None and expires < keep + 1:
                return f"{kind} backups of {group.name} go after {expires:g} days; {keep:g} are kept, and a day more"
            last = copy.ages_out(_root(kind, group))
            if expires != last:
                return (
                    f"some {kind} backups of {group.name} go after {_days(expires)}, and the rest after {_days(last)}"
                )
    return None


@define(
    "retention",
    "everything-ages-out",
    Severity.HIGH,
    "Whatever a class holds goes one day, in every copy",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="restore the class's lifecycle rule in all copies (topology.retention)",
)
def everything_ages_out(graph: Graph, copy: Copy) -> str | None:
    """What is never deleted is kept longer than customers were told."""
    for group in database_groups(graph):
        for kind in CLASSES:
            gone, most = copy.gone(_root(kind, group)), _longest(graph, kind) + number("BAK-6", "backstop_days")
            if gone is None:
                return f"{kind} backups of {group.name} never go{_but_deleted(copy, kind, group)}"
            if gone > most:
                return f"{kind} backups of {group.name} go after {gone:g} days; {most:g} at most are documented"
    return None


def _but_deleted(copy: Copy, kind: str, group: Group) -> str:
    deleted = copy.ages_out(_root(kind, group))
    return "" if deleted is None else f": their old versions stay when they are deleted after {deleted:g} days"


@define(
    "retention",
    "wal-outlives-what-needs-it",
    Severity.CRITICAL,
    "No rule expires WAL that a kept backup needs, nor the archive's description",
    over=copies,
    promises=("BAK-4", "BAK-6", "REC-4"),
    controls=RECOVERY,
    remedy="keep a prefix for each group's WAL that expires no earlier than hourly/backup/ (topology.retention)",
)
def wal_outlives(graph: Graph, copy: Copy) -> str | None:
    """A backup without the WAL that was written while it was made cannot be restored at all."""
    for group in database_groups(graph):
        wal, backup = copy.expires(_wal(group)), copy.ages_out(_root("hourly", group))
        if wal is not None and (backup is None or wal < backup):
            lasts = "never" if backup is None else f"after {backup:g} days"
            return f"WAL of {group.name} goes after {wal:g} days, and its backups {lasts}"
        if copy.expires(_description(group)) is not None:
            return f"{_description(group)} expires: without it no backup of {group.name} can be restored"
    return None


@define(
    "retention",
    "wal-ages-out",
    Severity.MEDIUM,
    "Every group's WAL goes one day",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="restore the lifecycle rule of the group's WAL (topology.retention)",
)
def wal_ages_out(graph: Graph, copy: Copy) -> str | None:
    """WAL holds the same data as the backups."""
    for group in database_groups(graph):
        wal, most = copy.gone(_wal(group)), _longest(graph, "hourly") + number("BAK-6", "backstop_days")
        if wal is None or wal > most:
            return f"WAL of {group.name} goes {'never' if wal is None else f'after {wal:g} days'}; {most:g} at most"
    return None


@define(
    "retention",
    "window-is-covered",
    Severity.CRITICAL,
    "Every moment of the window can be restored: its WAL is kept, and a full backup from before its beginning",
    over=copies,
    promises=("BAK-4", "REC-4"),
    controls=RECOVERY,
    remedy="keep rotation.hourlyDays at least as long as pointInTimeDays, and BAK-4's figure within both",
)
def window_covered(graph: Graph, copy: Copy) -> str | None:
    """The oldest moment needs the full backup before it, which may be a whole interval older than the window."""
    policy = rotation(graph)
    window, promised = policy.point_in_time_days, number("BAK-4", "point_in_time_days")
    if window is not None and window < promised:
        return f"the window is {window:g} days; {promised:g} are promised"
    needed = (window or promised) + number("BAK-1", "interval_hours") / 24
    if (keep := _keep(graph, "hourly")) < needed:
        return f"the rotation keeps hourly backups {keep:g} days; a window of {needed - 1:g} needs {needed:g}"
    for group in database_groups(graph):
        for what, key in (("WAL", _wal(group)), ("backups", _root("hourly", group))):
            expires = copy.expires(key)
            if expires is not None and expires < needed:
                return f"{what} of {group.name} go after {expires:g} days; the window needs {needed:g}"
    return None


@define(
    "retention",
    "locks-end-before-expiry",
    Severity.HIGH,
    "No lock outlasts the rule that deletes what it holds",
    over=copies,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="make locks and lifecycles from the same topology.retention",
)
def locks_end_before_expiry(_: Graph, copy: Copy) -> str | None:
    """A lifecycle rule that meets a lock does nothing; what should have gone stays, and nobody is told."""
    for prefix, days in copy.expiry.items():
        for held, locked in copy.lock.items():
            if related(prefix, held) and locked > days:
                place = max(prefix, held, key=len)
                return f"below {place} everything is locked for {locked:g} days and expires after {days:g}"
    return None


@define(
    "retention",
    "locked-as-long-as-kept",
    Severity.CRITICAL,
    "Nobody deletes or overwrites a kept backup, nor its WAL, before its time",
    over=copies,
    promises=("BAK-6", "BAK-3"),
    controls=RETENTION,
    remedy="restore the lock rules of all copies from topology.retention",
)
def locked_as_long_as_kept(graph: Graph, copy: Copy) -> str | None:
    """Whoever takes over the machines' keys must not be able to take the backups along.

    Of the hourly class, R2 locks the WAL and what signs for it: the tool rewrites its index and the manifest of a
    running backup, which a lock would refuse. S3 has one default for the bucket, the least that any class needs.
    """
    shared = copy in offsite_copies(graph)
    for group in database_groups(graph):
        roots = {f"{kind} backups": (kind, _root(kind, group)) for kind in CLASSES[1:]}
        roots |= {"WAL": ("hourly", _wal(group)), "manifests": ("hourly", _manifests(group))}
        for what, (kind, root) in roots.items():
            keep = _keep(graph, "hourly" if shared else kind)
            if (locked := copy.locked(root)) < keep:
                return f"{what} of {group.name} are locked for {locked:g} days; {keep:g} are kept"
    return None


@define(
    "retention",
    "copies-keep-the-same",
    Severity.HIGH,
    "Every copy keeps exactly as long as the primary",
    over=replicas,
    promises=("BAK-6", "BAK-5"),
    controls=RETENTION,
    remedy="make the rules of all copies from the same topology.retention",
)
def copies_keep_the_same(graph: Graph, copy: Copy) -> str | None:
    """A copy that lets go earlier is none at the moment it is needed."""
    for first in primaries(graph):
        for name, own, other in (("expires", copy.expiry, first.expiry), ("is locked", copy.lock, first.lock)):
            if name == "is locked" and copy in offsite_copies(graph):
                continue  # one default for the whole bucket
            different = sorted(key for key in {*own, *other} if own.get(key) != other.get(key))
            if different:
                key = different[0]
                here, there = (_days(rules.get(key)) for rules in (own, other))
                return f"what lies below {key} {name} after {here} here and after {there} in {first.bucket.name}"
    return None


@define(
    "retention",
    "classes-build-on-each-other",
    Severity.HIGH,
    "Each class of the rotation keeps longer than the one before it, and as long as promised",
    over=stack,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="set backups.rotation to BAK-6's figures at least (promises.toml)",
)
def classes_build(graph: Graph, _: Resource) -> str | None:
    """A month's backup that goes with the days' is no month's."""
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
    "What the backup tool believes to be kept is what the buckets keep",
    over=stack,
    promises=("BAK-6",),
    controls=RETENTION,
    remedy="render repo1-retention-full from topology.retention (pgbackrest.conf)",
)
def tool_and_rules_agree(graph: Graph, _: Resource) -> str | None:
    """An operator who asks pgBackRest must be told the truth."""
    told, keep = machine_keep_days(graph), _keep(graph, "hourly")
    return None if told == keep else f"repo1-retention-full is {told:g} days, and the rotation keeps {keep:g}"


@define(
    "retention",
    "fulls-are-always-left",
    Severity.HIGH,
    "The newest full backups stay, however old they are",
    over=stack,
    promises=("BAK-1", "BAK-6"),
    controls=RECOVERY,
    remedy="set backups.rotation.minimumFulls to BAK-6's figure at least (promises.toml)",
)
def fulls_are_left(graph: Graph, _: Resource) -> str | None:
    """When backups stop, the last good ones must not age out one by one before anybody has mended it."""
    kept = rotation(graph).minimum_fulls
    if kept is None:
        least = min((copy.expires("hourly/backup/") or float("inf") for copy in copies(graph)), default=0.0)
        full = number("BAK-1", "interval_hours") / 24
        count = least / full
        needed = number("BAK-6", "minimum_fulls")
        return None if count >= needed else f"the lifecycle leaves {count:g} full backups; {needed:g} are promised"
    needed = number("BAK-6", "minimum_fulls")
    return None if kept >= needed else f"minimumFulls is {kept:g}; {needed:g} are promised"


@define(
    "retention",
    "offsite-is-locked-for-good",
    Severity.CRITICAL,
    "Where data is protected, not even the account's owner shortens the off-site lock",
    over=offsite_copies,
    promises=("BAK-3", "BAK-6"),
    controls=RETENTION,
    remedy="keep versioning, object lock and its compliance mode (components/offsite.py)",
)
def offsite_locked(graph: Graph, copy: Copy) -> str | None:
    """The copy of last resort must survive whoever has taken over everything else."""
    if not copy.bucket.flag("objectLockEnabled"):
        return "objectLockEnabled is not true"
    versioning = graph.referring(copy.bucket, VERSIONING, "bucket")
    if not any(one.text("versioningConfiguration.status") == "Enabled" for one in versioning):
        return "versioning is not enabled"
    if copy.bucket.flag("forceDestroy"):
        return "forceDestroy is true: its objects would go with it"
    modes = [lock.text("rule.defaultRetention.mode") for lock in graph.referring(copy.bucket, S3_LOCK, "bucket")]
    if not modes:
        return "it has no default retention"
    if copy.bucket.protect and modes[0] != "COMPLIANCE":
        return f"its mode is {modes[0]}; COMPLIANCE is expected where the bucket is protected"
    return None


@define(
    "retention",
    "manifests-are-kept",
    Severity.HIGH,
    "Signed manifests are kept as long as anything that they list",
    over=copies,
    promises=("BAK-2", "BAK-6"),
    controls=RETENTION,
    remedy="let `manifests/` expire no earlier than the longest class (topology.retention)",
)
def manifests_kept(graph: Graph, copy: Copy) -> str | None:
    """A backup whose manifest is gone can be restored and never verified."""
    longest = max(_keep(graph, kind) for kind in CLASSES)
    for group in database_groups(graph):
        expires = copy.expires(_manifests(group))
        if expires is not None and expires <= longest:
            return f"manifests of {group.name} go after {expires:g} days, and backups are kept for {longest:g}"
    if copy.expires("manifests/") is None and not copy.locked("manifests/"):
        raise NotApplicable("no rule is about manifests: they are kept for ever")
    return None


def _days(days: float | None) -> str:
    return "no time at all" if days is None else f"{days:g} days"
