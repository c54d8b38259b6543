"""What the signed manifests in a copy list for one group: its runs, their objects, its WAL and its restore points."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath

from manifest import LABEL, Json, Keys, segments, start_of

from restore.copies import READ_ERRORS, Copy, RestoreError, reason_of
from restore.wal import HISTORY, segment_of

PARALLEL_READS = 4


@dataclass(frozen=True)
class Listed:
    """An object in a manifest: its size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Run:
    """A backup run, as its manifest describes it. Keys of objects are those in the hourly class."""

    label: str
    finished: datetime
    needs: tuple[str, ...]
    first: str
    last: str
    files: dict[str, Listed] = field(repr=False)
    """The objects of the run itself, and the copies of the indexes."""
    wal: dict[str, Listed] = field(repr=False)
    """The WAL that was archived since the manifest before."""
    points: dict[str, dict[str, str]] = field(repr=False)
    """Restore points made since then: for each group, the last segment that a restore needs."""
    previous: tuple[str, str] | None
    """The run of the manifest before, and the SHA-256 of its envelope."""
    sha256: str
    """The SHA-256 of this manifest's envelope."""


def labels_in(copy: Copy, group: str) -> list[str]:
    """Return the labels of the runs that have a manifest in a copy, oldest first."""
    prefix = f"manifests/{group}/"
    names = (one["Key"].removeprefix(prefix) for one in copy.objects(prefix))
    return sorted((name[:-5] for name in names if name.endswith(".json") and LABEL.fullmatch(name[:-5])), key=start_of)


def read(copy: Copy, group: str, labels: Sequence[str], keys: Keys) -> Iterator[Run]:
    """Yield the run of each manifest, in the given order, several read at once. Raises `RestoreError`."""
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        yield from pool.map(partial(_read, copy, group, keys), labels)


def _read(copy: Copy, group: str, keys: Keys, label: str) -> Run:
    key = f"manifests/{group}/{label}.json"
    try:
        envelope = copy.read(key)
        manifest = keys.open(envelope)
        if (manifest["group"], manifest["run"]) != (group, label):
            raise ValueError("signed for another group or run")
    except ValueError as error:
        raise RestoreError(f"{key} in {copy.name} is {error}; restore from another copy") from None
    except READ_ERRORS as error:
        raise RestoreError(f"{key} in {copy.name} cannot be read: {reason_of(error)}") from None
    return run_of(manifest, envelope)


def run_of(manifest: Json, envelope: bytes) -> Run:
    """Return the run that a verified manifest describes."""
    listed = {one["key"]: (one["kind"], Listed(one["size"], one["sha256"])) for one in manifest["objects"]}
    previous = manifest["previous"]
    return Run(
        label=manifest["run"],
        finished=datetime.fromisoformat(manifest["finishedAt"]),
        needs=tuple(manifest["dependsOn"]),
        first=manifest["wal"]["first"],
        last=manifest["wal"]["last"],
        files={key: one for key, (kind, one) in listed.items() if kind != "wal"},
        wal={key: one for key, (kind, one) in listed.items() if kind == "wal"},
        points={point["name"]: point["segments"] for point in manifest.get("points", ())},
        previous=None if previous is None else (previous["run"], previous["sha256"]),
        sha256=hashlib.sha256(envelope).hexdigest(),
    )


def history_of(run: Run, runs: Sequence[Run]) -> str:
    """Return the history in the archive that a run belongs to, such as `17-1`. `runs`: consecutive ones, also this one.

    A manifest lists WAL only once. If manifests were late, an earlier one lists this run's WAL. Raises `RestoreError`.
    """
    labels = [one.label for one in runs]
    place = labels.index(run.label)
    for index in sorted(range(len(runs)), key=lambda index: abs(index - place)):
        near = runs[index]
        for key in sorted(near.wal, reverse=True):
            parts = PurePosixPath(key).parts
            if segment_of(parts[-1]) == run.last and (found := [part for part in parts if HISTORY.fullmatch(part)]):
                return found[0]
    raise RestoreError(f"no manifest near {run.label} lists its WAL segment {run.last}; choose another restore point")


def unlisted_of(run: Run, runs: Iterable[Run]) -> set[str]:
    """Return the WAL segments that make a run consistent and that none of the manifests lists."""
    listed = {segment_of(key.rpartition("/")[2]) for one in runs for key in one.wal}
    return segments(run.first, run.last) - listed


def broken_link(runs: Sequence[Run]) -> str | None:
    """Return where the chain of consecutive manifests, oldest first, is broken; None if it is complete.

    A full backup needs no other run. It may follow an earlier run than the one before it, or none: after the primary is
    lost, it is made while the older manifests are still being brought back.
    """
    digests: dict[str | None, str] = {}
    for before, after in pairwise(runs):
        digests[before.label] = before.sha256
        named, sha256 = after.previous or (None, "")
        if start_of(after.label) <= start_of(before.label):
            return f"the manifest of {after.label} comes after that of {before.label}"
        fits = named == before.label or not after.needs
        if named in digests:
            if sha256 != digests[named]:
                return f"the manifest of {after.label} names another SHA-256 than the manifest of {named} has"
            if not fits:
                return f"the manifest of {after.label} follows that of {named}, not that of {before.label}"
        elif not fits or (named is not None and start_of(named) > start_of(runs[0].label)):
            return f"the manifest of {after.label} follows that of {named or 'none'}, which is missing"
    return None


def indexes_of(run: Run, group: str) -> dict[str, str]:
    """Return the path in a repository of each index that the manifests keep, by its key."""
    folder = f"manifests/{group}/{run.label}/"
    return {key: _index(key, group) for key in run.files if key.startswith(folder)}


def _index(key: str, group: str) -> str:
    name = PurePosixPath(key).name
    return f"{'archive' if name.startswith('archive.info') else 'backup'}/{group}/{name}"
