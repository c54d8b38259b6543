"""Decide which run a restore begins with, and which objects of the copy it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from manifest import Json, Keys, start_of

from restore.catalogue import Listed, Run, broken_link, indexes_of, labels_in, read
from restore.copies import Copy, RestoreError
from restore.wal import number_of, segment_of

HOURLY = "hourly"
PROMOTED = ("daily", "monthly", "yearly")
COORDINATOR = "coordinator"  # with Citus, its manifests list the restore points of all groups
BATCH = 8  # manifests that are read at once, newest first
NEW_GROUP = timedelta(days=1)
POINT = "backbuild-%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Wanted:
    """An object that a restore needs: its key, its path in the repository, and what a manifest lists about it."""

    key: str
    path: str
    size: int
    sha256: str | None
    """None: no manifest lists the object yet. pgBackRest's own SHA-1 protects WAL."""


@dataclass(frozen=True)
class Selection:
    """What a restore fetches."""

    run: str
    finished: datetime
    place: str
    """The class of the run: `hourly`, or that of a promoted backup."""
    wanted: tuple[Wanted, ...]
    points: dict[str, str]
    """The last segment of each restore point that manifests list and that the selected WAL reaches."""
    scanned: tuple[Wanted, ...]
    """The WAL, in order, that may contain further restore points."""
    until: str
    """The last segment."""


def select(copy: Copy, group: str, keys: Keys, before: datetime | None, upto: str | None) -> Selection:
    """Return what a restore needs of the newest run that ended before a time, with its WAL up to a restore point.

    `before` and `upto` are None for the newest data. There need not be a point named `upto`: names contain their
    time. Raises `RestoreError` if the copy lacks something.
    """
    labels = labels_in(copy, group)
    stored = set(copy.folders(f"{HOURLY}/backup/{group}/"))
    if (runs := _hourly(copy, group, keys, labels, stored, before)) is not None:
        return _select_hourly(copy, group, keys, runs, before, upto)
    if before is None:
        raise RestoreError(f"{copy.name} has no backup of {group}; restore from another copy")
    return _select_promoted(copy, group, keys, labels, before)


def _hourly(
    copy: Copy, group: str, keys: Keys, labels: Sequence[str], stored: set[str], before: datetime | None
) -> list[Run] | None:
    """Return the consecutive runs from the needed full backup to the newest one; None if no run fits.

    The chosen run is the newest one that ended before the time.
    """
    found: list[Run] = []  # newest first
    needed: set[str] | None = None
    waiting = list(labels)
    while waiting and needed != set():
        batch, waiting = waiting[-BATCH:], waiting[:-BATCH]
        for run in read(copy, group, batch[::-1], keys):
            found.append(run)
            if needed is None and run.label in stored and (before is None or run.finished < before):
                needed = {run.label, *run.needs}
            if needed is not None:
                needed.discard(run.label)
                if not needed:
                    break
    if needed is None:
        return None
    if needed:
        raise RestoreError(f"{copy.name} lacks the manifest of {min(needed, key=start_of)}; restore from another copy")
    if before is None:
        _refuse_new_group(copy, group, keys, found[-1], labels)
    runs = found[::-1]
    if reason := broken_link(runs):
        raise RestoreError(
            f"the chain of manifests of {group} in {copy.name} is broken: {reason}; restore from another copy"
        )
    return runs


def _refuse_new_group(copy: Copy, group: str, keys: Keys, full: Run, labels: Sequence[str]) -> None:
    """Refuse to take a group that was created anew for the newest data: it begins empty."""
    if full.previous is None or full.previous[0] not in labels or datetime.now(UTC) - full.finished > NEW_GROUP:
        return
    (before,) = read(copy, group, [full.previous[0]], keys)
    if before.history != full.history:
        raise RestoreError(
            f"{group} was created anew: run {full.label} began history {full.history}, and run {before.label} ended "
            f"history {before.history}. Say which one to restore: `--to` with a time or a point that `--list` shows"
        )


def _select_hourly(
    copy: Copy, group: str, keys: Keys, runs: Sequence[Run], before: datetime | None, upto: str | None
) -> Selection:
    chosen = next(run for run in reversed(runs) if before is None or run.finished < before)
    by_label = {run.label: run for run in runs}
    files = [
        Wanted(key, key.removeprefix(f"{HOURLY}/"), one.size, one.sha256)
        for label in (*chosen.needs, chosen.label)
        for key, one in by_label[label].files.items()
        if key.startswith(f"{HOURLY}/")
    ]
    indexes = [
        Wanted(key, path, chosen.files[key].size, chosen.files[key].sha256)
        for key, path in indexes_of(chosen, group).items()
    ]
    listed = {key: one for run in runs for key, one in run.wal.items()}
    archive = copy.objects(f"{HOURLY}/archive/{group}/{chosen.history}/")
    wal = wal_from(archive, listed, chosen.first, copy.name)
    points = _points(copy, group, keys, chosen, runs)
    if upto is not None:
        reached = [number_of(segment) for name, segment in points.items() if name >= upto]
        wal = {segment: one for segment, one in wal.items() if not reached or number_of(segment) <= min(reached)}
    histories = [
        replace(_wanted(one, listed), path=_below(one["Key"])) for one in archive if one["Key"].endswith(".history")
    ]
    return _selection(chosen, HOURLY, [*files, *indexes, *histories], wal, points)


def _points(copy: Copy, group: str, keys: Keys, chosen: Run, runs: Sequence[Run]) -> dict[str, str]:
    """Return the last segment of each listed restore point after a run: by the group's and coordinator's manifests."""
    sources = [run for run in runs if run.finished >= chosen.finished]
    if group != COORDINATOR:
        since = start_of(chosen.label)
        labels = [label for label in labels_in(copy, COORDINATOR) if start_of(label) >= since]
        sources += read(copy, COORDINATOR, labels, keys)
    after = chosen.finished.strftime(POINT)
    return {
        name: segments[group]
        for run in sources
        for name, segments in run.points.items()
        if group in segments and name > after
    }


def _select_promoted(copy: Copy, group: str, keys: Keys, labels: Sequence[str], before: datetime) -> Selection:
    places = {
        label: name for name in reversed(PROMOTED) for label in copy.folders(f"{name}/{group}/") if label in labels
    }
    runs = {run.label: run for run in read(copy, group, sorted(places, key=start_of), keys)}
    fitting = [run for run in runs.values() if run.finished <= before]
    if not fitting:
        oldest = min((run.finished for run in runs.values()), default=None)
        window = f"its oldest backup is of {oldest:%Y-%m-%dT%H:%M:%SZ}" if oldest else "it has no backup"
        raise RestoreError(f"{copy.name} has nothing of {group} from before that time: {window}")
    chosen = max(fitting, key=lambda run: run.finished)
    folder = f"{places[chosen.label]}/{group}/{chosen.label}/"
    later = [label for label in labels if start_of(label) > start_of(chosen.label)][:BATCH]
    known = {
        **{_below(key): one for key, one in chosen.files.items() if key.startswith(f"{HOURLY}/")},
        **{path: chosen.files[key] for key, path in indexes_of(chosen, group).items()},
    }
    listed = {
        f"{folder}{path}": one
        for path, one in [
            *known.items(),
            *((_below(key), one) for run in [chosen, *read(copy, group, later, keys)] for key, one in run.wal.items()),
        ]
    }
    stored = copy.objects(folder)
    if absent := {f"{folder}{path}" for path in known} - {one["Key"] for one in stored}:
        raise RestoreError(f"{copy.name} lacks {min(absent)}; restore from another copy")
    archive = [one for one in stored if one["Key"].startswith(f"{folder}archive/{group}/{chosen.history}/")]
    wal = wal_from(archive, listed, chosen.first, copy.name, all_listed=False)
    wal = {segment: replace(one, path=one.key.removeprefix(folder)) for segment, one in wal.items()}
    files = [
        replace(_wanted(one, listed), path=one["Key"].removeprefix(folder))
        for one in stored
        if segment_of(_name(one["Key"])) is None
    ]
    return _selection(chosen, places[chosen.label], files, wal, {})


def _selection(
    run: Run, place: str, files: Iterable[Wanted], wal: Mapping[str, Wanted], points: Mapping[str, str]
) -> Selection:
    in_order = sorted(wal, key=lambda segment: (number_of(segment), segment))
    if not in_order or number_of(in_order[-1]) < number_of(run.last):
        raise RestoreError(
            f"the WAL ends before segment {run.last}, which run {run.label} needs; restore from another copy"
        )
    until = in_order[-1]
    reached = {
        name: segment
        for name, segment in points.items()
        if number_of(run.last) <= number_of(segment) <= number_of(until)
    }
    scanned_after = max(map(number_of, reached.values()), default=number_of(run.last) - 1)
    scanned = tuple(wal[segment] for segment in in_order if number_of(segment) > scanned_after)
    return Selection(run.label, run.finished, place, (*files, *wal.values()), reached, scanned, until)


def wal_from(
    archive: Sequence[Json], listed: Mapping[str, Listed], first: str, copy: str, *, all_listed: bool = True
) -> dict[str, Wanted]:
    """Return the WAL from a segment on, by segment. Raises `RestoreError` if a segment is missing or has another size.

    Of several files of one segment, the one that a manifest lists counts.
    """
    start = number_of(first)
    found: dict[str, Wanted] = {}
    for one in archive:
        segment = segment_of(_name(one["Key"]))
        if segment is None or number_of(segment) < start or (segment in found and one["Key"] not in listed):
            continue
        found[segment] = _wanted(one, listed)
    expected = {segment: key for key in listed if (segment := segment_of(_name(key))) and number_of(segment) >= start}
    if all_listed and (absent := expected.keys() - found.keys()):
        raise RestoreError(f"{copy} lacks {expected[min(absent, key=number_of)]}; restore from another copy")
    if sizes := [one.key for one in found.values() if one.key in listed and listed[one.key].size != one.size]:
        raise RestoreError(
            f"{min(sizes)} in {copy} has another size than its manifest lists; restore from another copy"
        )
    numbers = {number_of(segment) for segment in found}
    for number in range(start, max(numbers, default=start)):
        if number not in numbers:
            raise RestoreError(
                f"the WAL in {copy} has a gap: segment {number >> 8:08X}{number & 0xFF:08X} (without its timeline) is "
                "missing, and later ones exist; restore from another copy, or to a point before the gap"
            )
    return found


def _wanted(one: Json, listed: Mapping[str, Listed]) -> Wanted:
    known = listed.get(one["Key"])
    return Wanted(one["Key"], _below(one["Key"]), one["Size"], known.sha256 if known else None)


def _below(key: str) -> str:
    return key.removeprefix(f"{HOURLY}/")


def _name(key: str) -> str:
    return key.rpartition("/")[2]
