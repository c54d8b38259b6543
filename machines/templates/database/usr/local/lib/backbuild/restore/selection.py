"""Decide which run a restore begins with, and which objects of the copy it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from manifest import LABEL, Keys, segments, start_of

from restore.archive import Archive, Wanted, limit_of
from restore.catalogue import Run, broken_link, history_of, indexes_of, labels_in, read, unlisted_of
from restore.copies import Copy, RestoreError
from restore.wal import number_of, timeline_of

HOURLY = "hourly"
PROMOTED = ("daily", "monthly", "yearly")
COORDINATOR = "coordinator"  # with Citus, its manifests list the restore points of all groups
BATCH = 8  # manifests that are read at once, newest first
NEW_GROUP = timedelta(days=1)
POINT = "backbuild-%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Selection:
    """What a restore fetches."""

    run: str
    finished: datetime
    last: str
    """The last segment that makes the run consistent."""
    place: str
    """The class of the run: `hourly`, or that of a promoted backup."""
    wanted: tuple[Wanted, ...]
    points: dict[str, str]
    """The last segment of each restore point that manifests list and that the selected WAL reaches."""
    scanned: tuple[Wanted, ...]
    """The WAL, in order, that may contain further restore points."""
    until: str
    """The last segment."""
    newest_timeline: int
    """The highest timeline in the archive."""
    history: str
    """The history in the archive that the run belongs to, such as `17-1`."""


def select(copy: Copy, group: str, keys: Keys, before: datetime | None, upto: str | None) -> Selection:
    """Return what a restore needs of the newest run that ended before a time, with its WAL up to a restore point.

    `before` and `upto` are None for the newest data. There need not be a point named `upto`: names contain their
    time. Raises `RestoreError` if the copy lacks something.
    """
    labels = labels_in(copy, group)
    stored = set(copy.folders(f"{HOURLY}/backup/{group}/"))
    if (found := _hourly(copy, group, keys, labels, stored, before)) is not None:
        return _select_hourly(copy, group, keys, *found, upto)
    if before is None:
        raise RestoreError(f"{copy.name} has no backup of {group}; restore from another copy")
    return _select_promoted(copy, group, keys, labels, before, stored)


def _hourly(
    copy: Copy, group: str, keys: Keys, labels: Sequence[str], stored: set[str], before: datetime | None
) -> tuple[list[Run], Run] | None:
    """Return consecutive runs up to the newest one, and the one to restore; None if no run fits.

    The one to restore is the newest one that ended before the time. The first of the runs is its full backup, or an
    earlier run whose manifest lists some of its WAL.
    """
    found: list[Run] = []  # newest first
    chosen: Run | None = None
    needed: set[str] = set()
    waiting = list(labels)
    while waiting and not (chosen and not needed and not unlisted_of(chosen, found)):
        batch, waiting = waiting[-BATCH:], waiting[:-BATCH]
        for run in read(copy, group, batch[::-1], keys):
            found.append(run)
            if chosen is None and run.label in stored and (before is None or run.finished < before):
                chosen = run
                needed = {run.label, *run.needs}
            needed.discard(run.label)
            if chosen and not needed and not unlisted_of(chosen, found):
                break
    if chosen is None:
        return None
    if needed:
        key = f"manifests/{group}/{min(needed, key=start_of)}.json"
        raise RestoreError(f"{copy.name} lacks {key}; restore from another copy")
    runs = found[::-1]
    if reason := broken_link(runs):
        raise RestoreError(
            f"the chain of manifests of {group} in {copy.name} is broken: {reason}; restore from another copy"
        )
    if before is None:
        _refuse_new_group(copy, group, keys, runs, chosen, labels)
    return runs, chosen


def _refuse_new_group(
    copy: Copy, group: str, keys: Keys, runs: Sequence[Run], chosen: Run, labels: Sequence[str]
) -> None:
    """Refuse to take a group that was created anew for the newest data: it begins empty."""
    full = next(run for run in runs if run.label == chosen.label[:16])
    if full.previous is None or full.previous[0] not in labels or datetime.now(UTC) - full.finished > NEW_GROUP:
        return
    until = labels.index(full.previous[0]) + 1
    earlier = list(read(copy, group, labels[max(until - BATCH, 0) : until], keys))
    before, after = history_of(earlier[-1], earlier), history_of(full, [*earlier, *runs[runs.index(full) :]])
    if before != after:
        raise RestoreError(
            f"{group} was created anew: run {full.label} began history {after}, and run {earlier[-1].label} ended "
            f"history {before}. Say which one to restore: `--to` with a time or a point that `--list` shows"
        )


def _select_hourly(copy: Copy, group: str, keys: Keys, runs: Sequence[Run], chosen: Run, upto: str | None) -> Selection:
    by_label = {run.label: run for run in runs}
    files = [
        Wanted(key, _below(key), one.size, one.sha256)
        for label in (*chosen.needs, chosen.label)
        for key, one in by_label[label].files.items()
        if key.startswith(f"{HOURLY}/")
    ]
    indexes = [
        Wanted(key, path, chosen.files[key].size, chosen.files[key].sha256)
        for key, path in indexes_of(chosen, group).items()
    ]
    folder = f"{HOURLY}/archive/{group}/{history_of(chosen, runs)}/"
    listed = {key: one for run in runs for key, one in run.wal.items()}
    archive = Archive(copy.name, f"{HOURLY}/", folder, copy.objects(folder), listed)
    points = _points(copy, group, keys, chosen, runs)
    return _selection(chosen, HOURLY, [*files, *indexes], archive, points, upto)


def _points(copy: Copy, group: str, keys: Keys, chosen: Run, runs: Sequence[Run]) -> dict[str, str]:
    """Return the last segment of each listed restore point after a run: by the group's and coordinator's manifests."""
    sources = [run for run in runs if run.finished >= chosen.finished]
    if group != COORDINATOR:
        labels = labels_in(copy, COORDINATOR)
        later = [label for label in labels if start_of(label) >= start_of(chosen.label)]
        # The run before these may have ended after the chosen one.
        sources += read(copy, COORDINATOR, labels[-len(later) - 1 :], keys)
    after = chosen.finished.strftime(POINT)
    return {
        name: reached[group]
        for run in sources
        for name, reached in run.points.items()
        if group in reached and name > after
    }


def _select_promoted(
    copy: Copy, group: str, keys: Keys, labels: Sequence[str], before: datetime, stored: set[str]
) -> Selection:
    places = {
        label: name for name in reversed(PROMOTED) for label in copy.folders(f"{name}/{group}/") if label in labels
    }
    runs = {run.label: run for run in read(copy, group, sorted(places, key=start_of), keys)}
    fitting = [run for run in runs.values() if run.finished <= before]
    if not fitting:
        oldest = min((run.finished for run in runs.values()), default=None)
        window = f"its oldest backup is of {oldest:%Y-%m-%dT%H:%M:%SZ}" if oldest else "it has no backup"
        absent = sorted(label for label in stored - {*labels} if LABEL.fullmatch(label))
        lacking = f", and it lacks manifests/{group}/{absent[0]}.json" if absent else ""
        raise RestoreError(
            f"{copy.name} has nothing of {group} from before that time: {window}{lacking}; restore from another copy, "
            "or to a later time"
        )
    chosen = max(fitting, key=lambda run: run.finished)
    folder = f"{places[chosen.label]}/{group}/{chosen.label}/"
    place = labels.index(chosen.label)
    around = list(read(copy, group, labels[max(place - 1, 0) : place + BATCH], keys))
    known = {
        **{_below(key): one for key, one in chosen.files.items() if key.startswith(f"{HOURLY}/")},
        **{path: chosen.files[key] for key, path in indexes_of(chosen, group).items()},
    }
    objects = {one["Key"]: one for one in copy.objects(folder)}
    if absent := {f"{folder}{path}" for path in known} - objects.keys():
        raise RestoreError(f"{copy.name} lacks {min(absent)}; restore from another copy")
    files = [Wanted(f"{folder}{path}", path, one.size, one.sha256) for path, one in known.items()]
    # Only the run's own WAL is copied there.
    listed = {
        key: one for run in around for path, one in run.wal.items() if (key := f"{folder}{_below(path)}") in objects
    }
    inner = f"{folder}archive/{group}/{history_of(chosen, around)}/"
    archive = Archive(copy.name, folder, inner, [*objects.values()], listed)
    return _selection(chosen, places[chosen.label], files, archive, {}, None)


def _selection(
    run: Run, place: str, files: Iterable[Wanted], archive: Archive, points: Mapping[str, str], upto: str | None
) -> Selection:
    wal = archive.wal(run.first, limit_of(points, upto, run.last))
    if absent := segments(run.first, run.last) - wal.keys():
        raise RestoreError(
            f"{archive.copy} lacks WAL segment {min(absent)} in {archive.folder}, which run {run.label} needs; restore "
            "from another copy"
        )
    later = {name: segment for name, segment in points.items() if number_of(segment) >= number_of(run.last)}
    reached = {name: segment for name, segment in later.items() if segment in wal}
    return Selection(
        run=run.label,
        finished=run.finished,
        last=run.last,
        place=place,
        wanted=(*files, *archive.timelines().values(), *wal.values()),
        points=reached,
        scanned=tuple(wal[segment] for segment in _unknown(wal, run.last, later)),
        until=max(wal),
        newest_timeline=archive.newest_timeline(),
        history=PurePosixPath(archive.folder).name,
    )


def _unknown(wal: Mapping[str, Wanted], last: str, points: Mapping[str, str]) -> list[str]:
    """Return the segments, in order, that may contain restore points that are not listed with a segment that exists.

    A leader that is lost archives its last segment never: the next leader's segment of that number has its points.
    """
    ends: dict[int, int] = {}
    lost: set[int] = set()
    for segment in points.values():
        if segment in wal:
            timeline = timeline_of(segment)
            ends[timeline] = max(number_of(segment), ends.get(timeline, 0))
        else:
            lost.add(number_of(segment))
    listed_until = {segment: ends.get(timeline_of(segment), number_of(last) - 1) for segment in wal}
    found = [segment for segment in wal if number_of(segment) > listed_until[segment] or number_of(segment) in lost]
    return sorted(found, key=lambda segment: (number_of(segment), segment))


def _below(key: str) -> str:
    return key.removeprefix(f"{HOURLY}/")
