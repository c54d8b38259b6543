"""Simulate many days of backups. After each day, every store must contain exactly the objects that the rotation keeps.

`python -m drills.rotations --days 400` uses production's rotation. The tests use a shorter rotation. An interrupted run
continues with the same arguments after its last complete day; `--anew` begins again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from datetime import datetime, timedelta
from typing import Any

from drills.progress import Progress
from harness.backup_world import GROUP, ROTATION, STORES, Machine, Run, World
from harness.copies import OLDEST
from harness.offsite import Offsite
from harness.workerd import Host

PERIODS = {"daily": 8, "monthly": 6, "yearly": 4}
SMALL = {
    "pointInTimeDays": 2,
    "minimumFulls": 2,
    "keepDays": {"hourly": 3, "daily": 7, "monthly": 40, "yearly": 400},
}


def locks_of(rotation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return R2's lock rules for a rotation, as docs/retention.md describes them."""
    keep = rotation["keepDays"]
    return [
        {"prefix": f"hourly/archive/{GROUP}/17-", "days": keep["hourly"]},
        {"prefix": "manifests/", "days": keep["hourly"]},
        *({"prefix": f"{name}/", "days": keep[name]} for name in PERIODS),
    ]


def segment(key: str) -> str:
    """Return the name of the WAL segment in an object's key."""
    return key.rpartition("/")[2][:24]


def is_within(key: str, run: Run) -> bool:
    """Whether a run needs this WAL segment to be consistent."""
    return run.manifest["wal"]["first"] <= segment(key) <= run.manifest["wal"]["last"]


def is_within_point(key: str, run: Run) -> bool:
    """Whether a restore of a run to its restore point needs this WAL segment."""
    (point,) = run.manifest["points"]
    return run.manifest["wal"]["first"] <= segment(key) <= point["segments"][GROUP]


class Expected:
    """The objects that must exist by docs/retention.md, computed from all runs since the start."""

    def __init__(self, rotation: dict[str, Any]) -> None:
        self.rotation = rotation
        self._expired: dict[str, datetime] = {}  # runs without any object left, and since when

    def keys(self, runs: list[Run], now: datetime) -> set[str]:
        """Return the keys of all objects that must exist after age-out has run at `now`."""
        kept: dict[str, set[str]] = {run.label: set() for run in runs}  # keys, by the run whose manifest lists them
        self._add_hourly(runs, now, kept)
        for name, digits in PERIODS.items():
            keep, seen = timedelta(days=self.rotation["keepDays"][name]), set[str]()
            for run in runs:
                period = run.label[:digits]
                if run.manifest["kind"] == "full" and period not in seen:
                    seen.add(period)
                    if run.finished > now - keep:
                        self._add_promoted(run, runs, name, kept)
        for run in runs:
            if kept[run.label]:
                self._expired.pop(run.label, None)
            else:
                self._expired.setdefault(run.label, now)
            if now - self._expired.get(run.label, now) < timedelta(days=1):
                indexes = [one["key"] for one in run.manifest["objects"] if one["kind"] == "index"]
                kept[run.label] |= {run.key, *indexes}
        return set[str]().union(*kept.values())

    def _add_hourly(self, runs: list[Run], now: datetime, kept: dict[str, set[str]]) -> None:
        keep = timedelta(days=self.rotation["keepDays"]["hourly"])
        # Deletions are planned a day ahead, so an object that a newer backup replaces is deleted a day after it.
        yesterday = [run for run in runs if run.finished <= now - timedelta(days=1)]
        hourly = self._needed_runs(runs, now, keep) + self._needed_runs(yesterday, now, keep)
        anchors = [run for run in runs if run.finished <= now - timedelta(days=self.rotation["pointInTimeDays"])]
        first = anchors[-1].manifest["wal"]["first"] if anchors else ""
        for run in runs:
            for one in run.manifest["objects"]:
                key = one["key"]
                young = datetime.fromisoformat(one["storedAt"]) > now - keep
                needed = young or segment(key) >= first or any(is_within(key, other) for other in hourly)
                if (one["kind"] == "backup" and run in hourly) or (one["kind"] == "wal" and needed):
                    kept[run.label].add(key)

    def _needed_runs(self, runs: list[Run], now: datetime, keep: timedelta) -> list[Run]:
        fulls = [run for run in runs if run.manifest["kind"] == "full"]
        window = timedelta(days=self.rotation["pointInTimeDays"])
        kept = [run for run in runs if run.finished > now - keep]
        kept += fulls[-self.rotation["minimumFulls"] :]
        kept += [run for run in runs if run.finished <= now - window][-1:]
        labels = {label for run in kept for label in [run.label, *run.manifest["dependsOn"]]}
        return [run for run in runs if run.label in labels]

    def _add_promoted(self, run: Run, runs: list[Run], name: str, kept: dict[str, set[str]]) -> None:
        base = f"{name}/{GROUP}/{run.label}/"
        for other in runs:
            for one in other.manifest["objects"]:
                key, own = one["key"], other is run
                if (one["kind"] == "backup" and own) or (one["kind"] == "wal" and is_within_point(key, run)):
                    kept[other.label].add(base + key.removeprefix("hourly/"))
                elif one["kind"] == "index" and own:
                    folder = "archive" if key.endswith("archive.info") else "backup"
                    kept[other.label].add(f"{base}{folder}/{GROUP}/{key.rpartition('/')[2]}")


def play(
    host: Host,
    offsite: Offsite,
    days: int,
    rotation: dict[str, Any],
    seed: int,
    a_day: int = 4,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Simulate `days` days with `a_day` runs each. Raises `AssertionError` if a store has unexpected content."""
    world = World(host, offsite, ROTATION=rotation)
    world.instruction = {"locks": locks_of(rotation)}
    begin = world.time
    state = None if progress is None else progress.load()
    if state is None:
        machine, chance, expected = Machine(seed=seed), random.Random(seed), Expected(rotation)
        machine.late_wal = True
        counts = {"days": 0, "runs": 0, "objects": 0, "deleted": 0}
    else:
        machine, chance, expected, counts, saved = state
        world.restore(saved)
    for day in range(counts["days"], days):
        for number in range(a_day):
            world.time = begin + timedelta(days=day, hours=number * 20 / a_day)
            # Sometimes a day has no full backup, and sometimes a run is missing.
            if (number > 0 or chance.random() < 0.1) and machine.runs:
                if chance.random() < 0.05:
                    continue
                run = machine.backup(world.time, "incremental", files=1)
            else:
                run = machine.backup(world.time, "full")
            world.time = run.finished + timedelta(seconds=30)
            world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))
            world.pass_by(minutes=2)
            world.cron("verify")
            counts["runs"] += 1
        world.time = begin + timedelta(days=day, hours=22)
        world.cron("replicate")
        world.cron("age-out")
        outcome, detail = world.last("age-out")
        assert outcome == "ok", detail
        assert detail["refused"] == 0, detail
        counts["deleted"] += detail["deleted"]
        wanted = expected.keys(machine.runs, world.time)
        for store in STORES:
            found = set(world.keys(store))
            assert found == wanted, (
                f"day {day}, {store}: {len(found - wanted)} unexpected, such as {sorted(found - wanted)[:3]}; "
                f"{len(wanted - found)} missing, such as {sorted(wanted - found)[:3]}"
            )
        counts["days"], counts["objects"] = day + 1, len(wanted)
        if progress is not None:
            progress.save((machine, chance, expected, counts, world.save()))
    overdue = world.sql(f"SELECT COUNT(*) AS overdue FROM objects WHERE {OLDEST} IS NULL")
    assert overdue == [{"overdue": 0}]
    assert world.findings() == []
    bodies = [world.digests(store) for store in STORES]
    assert bodies[0] == bodies[1] == bodies[2]
    return counts


def main() -> int:
    """Run the drill; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anew", action="store_true", help="do not continue an interrupted run")
    options = parser.parse_args()
    progress = Progress("rotations", days=options.days, seed=options.seed, anew=options.anew)
    host, offsite = Host(), Offsite()
    began = time.monotonic()
    try:
        counts = play(host, offsite, options.days, ROTATION, options.seed, progress=progress)
    except AssertionError as error:
        print(f"FAILED: {error}")
        return 1
    finally:
        host.close()
        offsite.close()
    progress.remove()
    print(
        f"{counts['days']} days, {counts['runs']} runs: after each day, every store contained exactly the expected "
        f"objects; {counts['deleted']} objects aged out, {counts['objects']} remain; {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
