"""Tests of promoted backups: those of all groups in one period get one restore point, and the WAL up to it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from harness.backup_manifests import sealed
from harness.backup_world import STORES, TOKEN, Machine, Run, World
from harness.offsite import Offsite
from harness.workerd import Host

GROUPS = ["coordinator", "worker-1"]
SHORT = {
    "pointInTimeDays": 1,
    "minimumFulls": 1,
    "keepDays": {"hourly": 1, "daily": 35, "monthly": 403, "yearly": 2562},
}
DAYS = 5


class Cluster:
    """Groups whose machines make a restore point every hour in all groups at once, and each a backup."""

    def __init__(self, host: Host, offsite: Offsite, groups: list[str], *, citus: bool = True) -> None:
        self.world = World(host, offsite, whole=True, GROUPS=groups)
        self.machines = {group: Machine(group) for group in groups}
        self.citus = citus
        for machine in self.machines.values():
            machine.points = False

    def start(self, group: str, kind: str, at: datetime, points: list[datetime] | None = None) -> Run:
        """Make a run and its manifest with restore points, all in the next segment. Write and deliver nothing."""
        run = self.machines[group].backup(at, kind, files=1)
        if group == "coordinator" or not self.citus:
            names = list(self.machines) if self.citus else [group]
            segments = {name: self.next_segment(name) for name in names}
            made = [{"name": f"backbuild-{one:%Y%m%dT%H%M%SZ}", "segments": segments} for one in points or []]
            run.manifest["points"] = made
            run.envelope = sealed(run.manifest)
        return run

    def next_segment(self, group: str) -> str:
        machine = self.machines[group]
        return machine.segment(machine._segment + 1)

    def deliver(self, *runs: Run) -> None:
        for run in runs:
            self.world.time = max(self.world.time, run.finished)
            self.world.deliver(self.world.write(run.objects) + self.world.write({run.key: run.envelope}))
        self.verify()

    def verify(self) -> None:
        self.world.pass_by(minutes=4)
        self.world.cron("verify")

    def wal(self, name: str, group: str, run: Run, store: str = "offsite") -> list[str]:
        """Return the names of WAL files in a promoted backup."""
        prefix = f"{name}/{group}/{run.label}/archive/{group}/17-"
        keys = [key for key in self.world.keys(store) if key.startswith(prefix)]
        return sorted(key.rpartition("/")[2].partition("-")[0] for key in keys)

    def points(self) -> dict[tuple[str, str, str], str | None]:
        """Return the point of each promoted backup in the report, by class, group and run."""
        answer = self.world.host.ask(
            "fetch",
            path="/report.json",
            method="GET",
            headers={"authorization": f"Bearer {TOKEN}"},
            worker="report",
            instruction={"clock": self.world.time.isoformat()},
        )
        groups: list[dict[str, Any]] = json.loads(answer["body"])["groups"]
        return {
            (run["class"], group["group"], run["run"]): run["point"]
            for group in groups
            for run in group["runs"]
            if run["class"] != "hourly"
        }

    def incomplete(self) -> set[str]:
        return {one["key"] for one in self.world.findings("closed_at IS NULL AND kind = 'incomplete'")}


@pytest.fixture
def cluster(host: Host, offsite: Offsite) -> Cluster:
    return Cluster(host, offsite, GROUPS)


def minutes(begin: datetime, *offsets: float) -> list[datetime]:
    return [begin + timedelta(minutes=offset) for offset in offsets]


def test_backups_of_all_groups_get_the_first_common_point_after_the_last_of_them(cluster: Cluster) -> None:
    begin = cluster.world.time
    # The coordinator's manifest lists a point before the end of worker-1's backup, and one after it.
    first = cluster.start("coordinator", "full", begin)
    second = cluster.start("worker-1", "full", begin + timedelta(minutes=5))
    cluster.deliver(first, second)
    assert set(cluster.points().values()) == {None}
    assert cluster.wal("daily", "worker-1", second) == [second.manifest["wal"][end] for end in ("first", "last")]
    hour = begin + timedelta(hours=1)
    later = cluster.start("coordinator", "incremental", hour, minutes(begin, 3, 5.5, 6.5, 7))
    cluster.deliver(later)
    # The point is known, but the WAL of its own segment is not listed yet.
    assert set(cluster.points().values()) == {None}
    cluster.deliver(cluster.start("worker-1", "incremental", hour + timedelta(minutes=1)))
    cluster.deliver(cluster.start("coordinator", "incremental", hour + timedelta(hours=1)))
    name = f"backbuild-{minutes(begin, 6.5)[0]:%Y%m%dT%H%M%SZ}"
    assert cluster.points() == {
        (class_, group, run.label): name
        for class_ in ("daily", "monthly", "yearly")
        for group, run in (("coordinator", first), ("worker-1", second))
    }
    point = {one["name"]: one["segments"] for one in later.manifest["points"]}[name]
    for group, run in (("coordinator", first), ("worker-1", second)):
        cluster.verify()
        for store in STORES:
            names = cluster.wal("monthly", group, run, store)
            assert (names[0], names[-1]) == (run.manifest["wal"]["first"], point[group])
            assert len(names) == int(point[group], 16) - int(names[0], 16) + 1
    assert cluster.world.findings() == []


def test_without_citus_a_point_is_common_when_every_group_lists_it(host: Host, offsite: Offsite) -> None:
    cluster = Cluster(host, offsite, GROUPS, citus=False)
    begin = cluster.world.time
    fulls = [cluster.start(group, "full", begin) for group in GROUPS]
    cluster.deliver(*fulls)
    hour = begin + timedelta(hours=1)
    cluster.deliver(cluster.start("coordinator", "incremental", hour, minutes(begin, 2, 3)))
    assert set(cluster.points().values()) == {None}
    cluster.deliver(cluster.start("worker-1", "incremental", hour, minutes(begin, 3, 4)))
    for group in GROUPS:
        cluster.deliver(cluster.start(group, "incremental", hour + timedelta(hours=1)))
    assert set(cluster.points().values()) == {f"backbuild-{minutes(begin, 3)[0]:%Y%m%dT%H%M%SZ}"}


def test_wal_of_a_new_timeline_is_added_with_its_history_file(cluster: Cluster) -> None:
    begin = cluster.world.time
    fulls = [cluster.start(group, "full", begin) for group in GROUPS]
    cluster.deliver(*fulls)
    machine = cluster.machines["worker-1"]
    machine.archive(begin + timedelta(minutes=10))
    machine.promote(begin + timedelta(minutes=11))
    hour = begin + timedelta(hours=1)
    cluster.deliver(cluster.start("coordinator", "incremental", hour, minutes(begin, 30)))
    # The manifest lists WAL of the new timeline, but not its history file.
    late = machine._wal.pop()
    cluster.deliver(cluster.start("worker-1", "incremental", hour))
    cluster.deliver(cluster.start("coordinator", "incremental", hour + timedelta(hours=1)))
    assert {grp for (_, grp, _), point in cluster.points().items() if point is None} == {"worker-1"}
    machine._wal.append(late)
    cluster.deliver(cluster.start("worker-1", "incremental", hour + timedelta(hours=1)))
    assert None not in cluster.points().values()
    cluster.verify()
    names = cluster.wal("daily", "worker-1", fulls[1])
    old = [f"0000000100000000{number:08X}" for number in (1, 2, 3)]
    assert names == [*old, "00000002.history", machine.segment(4)]


def test_point_after_a_restore_to_the_time_before_the_backup_is_not_usable(cluster: Cluster) -> None:
    """The group goes on in a timeline that does not contain the backup, although its segments reach further."""
    begin = cluster.world.time
    fulls = [cluster.start(group, "full", begin) for group in GROUPS]
    cluster.deliver(*fulls)
    machine = cluster.machines["worker-1"]
    machine._segment = 0  # restored to before the backup
    machine.promote(begin + timedelta(minutes=10))
    for minute in (11, 12, 13, 14):
        machine.archive(begin + timedelta(minutes=minute))
    hour = begin + timedelta(hours=1)
    for hours in (0, 1):
        at = hour + timedelta(hours=hours)
        cluster.deliver(cluster.start("coordinator", "incremental", at, [at - timedelta(minutes=30)]))
        cluster.deliver(cluster.start("worker-1", "incremental", at + timedelta(minutes=1)))
    cluster.world.time = begin + timedelta(days=3)
    cluster.verify()
    assert {grp for (_, grp, _), point in cluster.points().items() if point is None} == {"worker-1"}
    assert f"daily/worker-1/{fulls[1].label}/" in cluster.incomplete()


@pytest.mark.long
def test_missing_full_of_a_group_is_a_finding_and_blocks_the_others_for_a_day(cluster: Cluster) -> None:
    begin = cluster.world.time
    cluster.deliver(*[cluster.start(group, "full", begin) for group in GROUPS])
    cluster.deliver(*[cluster.start(g, "incremental", begin + timedelta(hours=1), minutes(begin, 9)) for g in GROUPS])
    # On the next day, worker-1 makes no full backup.
    day = begin + timedelta(days=1)
    lonely = cluster.start("coordinator", "full", day)
    cluster.deliver(lonely)
    for hours in (1, 2):
        cluster.deliver(
            *[
                cluster.start(group, "incremental", day + timedelta(hours=hours), minutes(day, hours * 30))
                for group in GROUPS
            ]
        )
    assert cluster.points()["daily", "coordinator", lonely.label] is None
    assert cluster.incomplete() == set()
    cluster.world.time = day + timedelta(days=1, hours=1)
    cluster.verify()
    assert cluster.points()["daily", "coordinator", lonely.label] == f"backbuild-{minutes(day, 30)[0]:%Y%m%dT%H%M%SZ}"
    assert cluster.incomplete() == {"daily/worker-1/"}
    # The finding ends with the group's next backup that has a point.
    cluster.deliver(*[cluster.start(group, "full", day + timedelta(days=1, hours=2)) for group in GROUPS])
    for hours in (3, 4):
        at = day + timedelta(days=1, hours=hours)
        cluster.deliver(*[cluster.start(group, "incremental", at, [at - timedelta(minutes=30)]) for group in GROUPS])
    assert cluster.incomplete() == set()


def test_point_that_does_not_come_is_a_finding_until_the_next_one(cluster: Cluster) -> None:
    begin = cluster.world.time
    fulls = [cluster.start(group, "full", begin) for group in GROUPS]
    cluster.deliver(*fulls)
    keys = {f"{name}/{run.manifest['group']}/{run.label}/" for name in ("daily", "monthly", "yearly") for run in fulls}
    cluster.world.time = begin + timedelta(hours=25)
    cluster.verify()
    assert cluster.incomplete() == keys
    cluster.world.time = begin + timedelta(hours=50)
    cluster.verify()
    # It is no longer awaited: a point that was made later does not count.
    day = begin + timedelta(hours=51)
    cluster.deliver(*[cluster.start(group, "incremental", day, minutes(begin, 60)) for group in GROUPS])
    assert set(cluster.points().values()) == {None}
    assert cluster.incomplete() == keys
    cluster.deliver(*[cluster.start(group, "full", day + timedelta(hours=1)) for group in GROUPS])
    for hours in (2, 3):
        at = day + timedelta(hours=hours)
        cluster.deliver(*[cluster.start(group, "incremental", at, [at - timedelta(minutes=30)]) for group in GROUPS])
    assert cluster.incomplete() == set()


def test_removed_group_blocks_no_point_and_gets_no_finding(cluster: Cluster) -> None:
    begin = cluster.world.time
    cluster.deliver(*[cluster.start(group, "full", begin) for group in GROUPS])
    cluster.world.rebind(GROUPS=["coordinator"])
    del cluster.machines["worker-1"]
    for hours in (1, 2):
        at = begin + timedelta(hours=hours)
        cluster.deliver(cluster.start("coordinator", "incremental", at, [at - timedelta(minutes=30)]))
    points = cluster.points()
    assert {grp: point is None for (_, grp, _), point in points.items()} == {"coordinator": False, "worker-1": True}
    cluster.world.time = begin + timedelta(hours=60)
    cluster.verify()
    assert cluster.incomplete() == set()
    assert cluster.world.sql("SELECT * FROM promotions WHERE settled_at IS NULL") == []


def test_new_group_neither_blocks_a_point_nor_gets_a_finding(cluster: Cluster) -> None:
    """Its first full backup of the period ends after the point of the others."""
    begin = cluster.world.time
    cluster.deliver(cluster.start("coordinator", "full", begin))
    for hours in (1, 2):
        at = begin + timedelta(hours=hours)
        cluster.deliver(cluster.start("coordinator", "incremental", at, [at - timedelta(minutes=30)]))
    assert None not in cluster.points().values()
    cluster.deliver(cluster.start("worker-1", "full", begin + timedelta(hours=5)))
    points = cluster.points()
    assert {grp: point is None for (_, grp, _), point in points.items()} == {"coordinator": False, "worker-1": True}
    assert cluster.incomplete() == set()


def test_age_out_keeps_wal_that_a_waiting_promotion_needs(host: Host, offsite: Offsite) -> None:
    cluster = Cluster(host, offsite, ["coordinator"])
    cluster.world.rebind(ROTATION=SHORT)
    begin = cluster.world.time
    full = cluster.start("coordinator", "full", begin)
    cluster.deliver(full)
    # WAL up to the point is listed by an increment; the point itself only by a run a day and a half later.
    cluster.deliver(cluster.start("coordinator", "incremental", begin + timedelta(hours=1)))
    needed = [key for key in cluster.world.keys("primary") if "/17-1/" in key and key.startswith("hourly/")]
    world = cluster.world
    for hours in range(2, 40, 2):
        world.time = begin + timedelta(hours=hours)
        world.cron("verify")
        world.cron("age-out")
    assert set(needed) <= set(world.keys("primary"))
    second = cluster.start("coordinator", "full", begin + timedelta(hours=40))
    second.manifest["points"] = [
        {
            "name": f"backbuild-{minutes(begin, 30)[0]:%Y%m%dT%H%M%SZ}",
            "segments": {"coordinator": cluster.machines["coordinator"].segment(4)},
        }
    ]
    second.envelope = sealed(second.manifest)
    cluster.deliver(second)
    assert cluster.points()["daily", "coordinator", full.label] is not None
    assert len(cluster.wal("daily", "coordinator", full)) == 4


@pytest.mark.long
@pytest.mark.parametrize("citus", [True, False])
def test_rebuilt_catalogue_chooses_the_same_points(host: Host, offsite: Offsite, *, citus: bool) -> None:
    """The manifests of long ago are gone, except those that list objects or points of promoted backups."""
    cluster = Cluster(host, offsite, GROUPS, citus=citus)
    world, begin = cluster.world, cluster.world.time
    world.rebind(ROTATION=SHORT)
    for day in range(DAYS):
        start = begin + timedelta(days=day)
        cluster.deliver(*[cluster.start(group, "full", start) for group in GROUPS])
        for hours in (1, 2, 3):
            points = minutes(start, hours * 60 - 50, hours * 60 - 40)
            at = start + timedelta(hours=hours)
            cluster.deliver(*[cluster.start(group, "incremental", at, points) for group in GROUPS])
        world.time = start + timedelta(hours=20)
        world.cron("verify")
        world.cron("age-out")
    before, stored = cluster.points(), [set(world.keys(store)) for store in STORES]
    assert None not in before.values()
    assert len(before) == 2 * (DAYS + 2)
    assert len([key for key in stored[0] if key.startswith("manifests/") and key.endswith(".json")]) < DAYS * 8
    world.forget()
    cluster.verify()
    world.settle(2)
    assert cluster.points() == before
    assert [set(world.keys(store)) for store in STORES] == stored
    assert cluster.incomplete() == set()
