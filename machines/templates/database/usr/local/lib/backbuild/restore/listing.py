"""What can be restored of this member's group from a copy: `backbuild-restore list`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from manifest import Keys, start_of

from restore import state
from restore.catalogue import Run, broken_link, labels_in, read
from restore.copies import Copy, Json, RestoreError
from restore.selection import HOURLY, PROMOTED
from restore.wal import segment_of

SHOWN = 60  # runs: the answer must fit into 24 kB, the limit of Systems Manager


def list_copy(copy: Copy, group: str, keys: Keys) -> Json:
    """Return the runs, the window and the newest restore point of a copy, and the problem of its manifests, if any."""
    labels = labels_in(copy, group)
    classes = {name: set(copy.folders(f"{name}/{group}/")) for name in PROMOTED}
    stored = set(copy.folders(f"{HOURLY}/backup/{group}/"))
    runs: list[Run] = []
    problem = None
    try:
        runs.extend(read(copy, group, labels, keys))
        recent = [run for run in runs if run.label in stored]
        if recent:
            first = runs.index(recent[0])
            problem = broken_link(runs[first:])
    except RestoreError as error:
        problem = str(error)
    hourly = [run for run in runs if run.label in stored]
    points = sorted(name for run in runs for name in run.points)
    archived = [one for one in copy.objects(f"{HOURLY}/archive/{group}/") if segment_of(one["Key"].rpartition("/")[2])]
    newest: datetime | None = max((one["LastModified"] for one in archived), default=None)
    shown = [run for run in runs if not run.needs or run in runs[-5:]][-SHOWN:]
    return {
        "group": group,
        "copy": copy.name,
        "problem": problem,
        "from": _time(hourly[0].finished) if hourly else None,
        "walUntil": _time(newest),
        "newestListedPoint": points[-1] if points else None,
        "runs": [
            {
                "run": run.label,
                "finishedAt": _time(run.finished),
                "classes": [
                    *([HOURLY] if run.label in stored else []),
                    *(name for name, present in classes.items() if run.label in present),
                ],
            }
            for run in sorted(shown, key=lambda run: start_of(run.label))
        ],
        "rehearsed": rehearsals().get(copy.name),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _rehearsals() -> Path:
    return state.root() / "rehearsals.json"


def rehearsals() -> dict[str, Json]:
    """Return the last successful rehearsal of each copy on this member, by the copy's name."""
    file = _rehearsals()
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def keep_rehearsal(copy: str, result: Json) -> None:
    """Keep the result of a successful rehearsal."""
    state.write(_rehearsals(), {**rehearsals(), copy: result})
