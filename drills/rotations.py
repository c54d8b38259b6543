"""Backups of many days: after each day, every store must hold exactly the objects that the rotation says.

`python -m drills.rotations --days 400` plays production's rotation; the tests play a shorter one.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from datetime import datetime, timedelta
from typing import Any

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
    """What R2 refuses to delete, as docs/retention.md has it."""
    keep = rotation["keepDays"]
    return [
        {"prefix": f"hourly/archive/{GROUP}/17-", "days": keep["hourly"]},
        {"prefix": "manifests/", "days": keep["hourly"]},
        *({"prefix": f"{name}/", "days": keep[name]} for name in PERIODS),
    ]


def segment(key: str) -> str:
    """Return the name of the WAL segment that an object holds."""
    return key.rpartition("/")[2][:24]


def is_within(key: str, run: Run) -> bool:
    """Whether a run needs this WAL segment to be consistent."""
    return run.manifest["wal"]["first"] <= segment(key) <= run.manifest["wal"]["last"]


class Expected:
    """What docs/retention.md says is there, worked out anew from all that was ever made."""

    def __init__(self, rotation: dict[str, Any]) -> None:
        self.rotation = rotation
        self._gone: dict[str, datetime] = {}  # manifests whose content has gone, and when

    def keys(self, runs: list[Run], now: datetime) -> set[str]:
        """After age-out has run at `now`."""
        there: dict[str, set[str]] = {run.label: set() for run in runs}  # by the manifest that lists it
        self._in_hourly(runs, now, there)
        for name, digits in PERIODS.items():
            keep, seen = timedelta(days=self.rotation["keepDays"][name]), set[str]()
            for run in runs:
                period = run.label[:digits]
                if run.manifest["kind"] == "full" and period not in seen:
                    seen.add(period)
                    if run.finished > now - keep:
                        self._promoted(run, runs, name, there)
        for run in runs:
            if there[run.label]:
                self._gone.pop(run.label, None)
            else:
                self._gone.setdefault(run.label, now)
            if now - self._gone.get(run.label, now) < timedelta(days=1):
                indexes = [one["key"] for one in run.manifest["objects"] if one["kind"] == "index"]
                there[run.label] |= {run.key, *indexes}
        return set[str]().union(*there.values())

    def _in_hourly(self, runs: list[Run], now: datetime, there: dict[str, set[str]]) -> None:
        keep = timedelta(days=self.rotation["keepDays"]["hourly"])
        # Planned a day ahead: what only a newer backup makes superfluous waits for a day after that one.
        yesterday = [run for run in runs if run.finished <= now - timedelta(days=1)]
        hourly = self._hourly(runs, now, keep) + self._hourly(yesterday, now, keep)
        anchors = [run for run in runs if run.finished <= now - timedelta(days=self.rotation["pointInTimeDays"])]
        first = anchors[-1].manifest["wal"]["first"] if anchors else ""
        for run in runs:
            for one in run.manifest["objects"]:
                key = one["key"]
                young = datetime.fromisoformat(one["storedAt"]) > now - keep
                needed = young or segment(key) >= first or any(is_within(key, kept) for kept in hourly)
                if (one["kind"] == "backup" and run in hourly) or (one["kind"] == "wal" and needed):
                    there[run.label].add(key)

    def _hourly(self, runs: list[Run], now: datetime, keep: timedelta) -> list[Run]:
        fulls = [run for run in runs if run.manifest["kind"] == "full"]
        window = timedelta(days=self.rotation["pointInTimeDays"])
        kept = [run for run in runs if run.finished > now - keep]
        kept += fulls[-self.rotation["minimumFulls"] :]
        kept += [run for run in runs if run.finished <= now - window][-1:]
        labels = {label for run in kept for label in [run.label, *run.manifest["dependsOn"]]}
        return [run for run in runs if run.label in labels]

    def _promoted(self, run: Run, runs: list[Run], name: str, there: dict[str, set[str]]) -> None:
        base = f"{name}/{GROUP}/{run.label}/"
        for other in runs:
            for one in other.manifest["objects"]:
                key, own = one["key"], other is run
                if (one["kind"] == "backup" and own) or (one["kind"] == "wal" and is_within(key, run)):
                    there[other.label].add(base + key.removeprefix("hourly/"))
                elif one["kind"] == "index" and own:
                    folder = "archive" if key.endswith("archive.info") else "backup"
                    there[other.label].add(f"{base}{folder}/{GROUP}/{key.rpartition('/')[2]}")


def play(
    host: Host, offsite: Offsite, days: int, rotation: dict[str, Any], seed: int, a_day: int = 4
) -> dict[str, int]:
    """Play so many days; raises AssertionError naming what is there and should not be, or the other way round."""
    world = World(host, offsite, ROTATION=rotation)
    world.instruction = {"locks": locks_of(rotation)}
    machine, chance = Machine(seed=seed), random.Random(seed)
    expected = Expected(rotation)
    begin = world.time
    counts = {"days": 0, "runs": 0, "objects": 0, "deleted": 0}
    for day in range(days):
        for number in range(a_day):
            world.time = begin + timedelta(days=day, hours=number * 20 / a_day)
            # Once in a while the day's full backup does not come, nor any backup for some days.
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
                f"day {day}, {store}: {len(found - wanted)} too many, such as {sorted(found - wanted)[:3]}; "
                f"{len(wanted - found)} missing, such as {sorted(wanted - found)[:3]}"
            )
        counts["days"], counts["objects"] = day + 1, len(wanted)
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
    options = parser.parse_args()
    host, offsite = Host(), Offsite()
    began = time.monotonic()
    try:
        counts = play(host, offsite, options.days, ROTATION, options.seed)
    except AssertionError as error:
        print(f"FAILED: {error}")
        return 1
    finally:
        host.close()
        offsite.close()
    print(
        f"{counts['days']} days, {counts['runs']} runs: each day exactly what the rotation says, in each store; "
        f"{counts['deleted']} objects aged out, {counts['objects']} are left; {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
