"""The steps of a restore. Each can be repeated after an interruption."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifest import Keys

from restore import cluster, group, listing, points, repository
from restore.copies import RestoreError, copy_of, readers, secret
from restore.selection import HOURLY, Selection, select
from restore.state import State
from restore.wal import segment_of

POINTS_SHOWN = 200  # the answer must fit into 24 kB, the limit of Systems Manager

Json = dict[str, Any]


def keys() -> Keys:
    """Return the keys that verify manifests."""
    return Keys(secret("manifest-keys"))


def fetch(state: State) -> Json:
    """Fetch what the restore needs, and find the restore points that it can reach."""
    plan, own = state.plan, os.environ["GROUP"]
    before = None if plan["before"] is None else datetime.fromisoformat(plan["before"])
    copy = copy_of(plan["copy"])
    chosen = select(copy, own, keys(), before, plan["upto"])
    _refuse_other_version(copy.name, chosen)
    _drop_others(state, chosen)
    repository.fetch(
        copy,
        chosen.wanted,
        state.repository,
        lambda done, total: state.show({"what": "fetch", "bytes": done, "total": total}),
    )
    repository.configure(state, own)
    repository.backup_of(own, chosen.run)  # it can be decrypted
    unlisted = [one for one in chosen.wanted if one.sha256 is None]
    scanned = () if plan["upto"] in chosen.points else chosen.scanned
    found = {**points.scan(copy.name, own, scanned), **chosen.points}
    found = points.reachable(own, found, chosen.last, chosen.wanted)
    points.prove(copy.name, own, (one for one in unlisted if one not in scanned and segment_of(Path(one.path).name)))
    # A promoted backup has its point a little later than its own time.
    names = sorted(name for name in found if plan["upto"] is None or name <= plan["upto"] or chosen.place != HOURLY)
    return {
        "run": chosen.run,
        "finishedAt": f"{chosen.finished:%Y-%m-%dT%H:%M:%SZ}",
        "class": chosen.place,
        "bytes": sum(one.size for one in chosen.wanted),
        "objects": len(chosen.wanted),
        "unlisted": len(unlisted),
        "newestTimeline": chosen.newest_timeline,
        "until": chosen.until,
        "points": {name: found[name] for name in names[-POINTS_SHOWN:]},
    }


def _refuse_other_version(copy: str, chosen: Selection) -> None:
    """Refuse a run of another major version of PostgreSQL: this machine's programs cannot read its data."""
    theirs, own = chosen.history.partition("-")[0], cluster.major()
    if theirs != own:
        raise RestoreError(
            f"run {chosen.run} in {copy} is of PostgreSQL {theirs}, and {os.environ['MEMBER']} has PostgreSQL {own}; "
            f"restore it with the revision of the program that declares PostgreSQL {theirs}"
        )


def _drop_others(state: State, chosen: Selection) -> None:
    """Delete files of an earlier attempt that are no longer wanted."""
    wanted = {state.repository / one.path for one in chosen.wanted}
    for file in state.repository.rglob("*"):
        if file.is_file() and file not in wanted:
            file.unlink()


def recover(state: State, point: str | None, segment: str | None) -> Json:
    """Restore the fetched run, and recover it to a restore point."""
    if state.in_place and not state.shut.exists():
        raise RestoreError(f"{os.environ['MEMBER']} is not shut; only `python -m drills restore` restores in place")
    return cluster.recover(state, os.environ["GROUP"], state.results()["fetch"], point, segment)


def serve(state: State) -> Json:
    """Start the recovered cluster beside the group."""
    group.serve(state)
    return {"socket": f"/run/{group.unit_of(state)}", "port": cluster.PORT}


STEPS: dict[str, tuple[Callable[..., Json | None], str]] = {
    "fetch": (fetch, "postgres"),
    "recover": (recover, "postgres"),
    "committed": (cluster.committed, "postgres"),
    "settle": (cluster.settle, "postgres"),
    "check": (cluster.check, "postgres"),
    "shut": (group.shut, "root"),
    "open": (group.open_group, "root"),
    "join": (group.join, "root"),
    "finish": (group.finish, "root"),
    "serve": (serve, "root"),
}
"""Each step and the user that it runs as. A step takes the restore's state and its own arguments."""


def remove(state: State) -> None:
    """End a restore: delete its files and its cluster. Raises `RestoreError` if the group's data are half restored."""
    if state.in_place and state.changed.exists() and "open" not in state.results() and state.shut.exists():
        raise RestoreError(
            f"the data of {os.environ['MEMBER']} are half restored; continue the restore with the same arguments, or "
            "give the volumes back their snapshots"
        )
    group.stop_serving(state)
    group.reopen(state)
    cluster.remove(state)


def rehearse() -> Json:
    """Restore the group's newest run from one copy into a folder, check it, and delete it again.

    Only one member does it: the standby with the highest name. Each month it is another copy's turn.
    """
    if (member := os.environ["MEMBER"]) != (chosen := _rehearser()):
        return {"skipped": f"{chosen} rehearses for {os.environ['GROUP']}, not {member}"}
    names = sorted(readers())
    now = datetime.now(UTC)
    copy = names[(now.year * 12 + now.month) % len(names)]
    state = State("rehearsal")
    shutil.rmtree(state.folder, ignore_errors=True)  # of a rehearsal that was interrupted
    state.begin({"copy": copy, "to": "latest", "before": None, "upto": None})
    begun = time.monotonic()
    try:
        fetched = fetch(state)
        state.finish("fetch", fetched)
        point, segment = max(fetched["points"].items(), default=(None, None))
        recovered = recover(state, point, segment)
        checked = cluster.check(state)
    finally:
        shutil.rmtree(state.folder)
    result = {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "run": fetched["run"],
        "point": point,
        "bytes": recovered["bytes"],
        "relations": checked["relations"],
        "seconds": round(time.monotonic() - begun),
    }
    listing.keep_rehearsal(copy, result)
    return {"copy": copy, **result}


def _rehearser() -> str:
    """Return the group's standby with the highest name, or its leader if it has no standby."""
    address = f"https://{os.environ['ADDRESS']}:{os.environ['REST_PORT']}/cluster"
    curl = ["curl", "--config", "/run/backbuild/patroni-curl", "-fsS", "--max-time", "5", address]
    members = json.loads(repository.output(curl))["members"]
    standbys = [one["name"] for one in members if one["role"] != "leader" and one["state"] == "streaming"]
    return max(standbys or [one["name"] for one in members if one["role"] == "leader"])
