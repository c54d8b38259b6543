"""Which run and which objects a restore takes from a copy, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest import Keys
from restore.catalogue import broken_link, labels_in, read
from restore.copies import RestoreError
from restore.selection import NEW_GROUP
from restore.wal import number_of, segment_at, timeline_of

from model.restore_points import time_of
from tests.machines.restore.world import GROUP, KEYS, World, segments_in


def test_the_newest_run_is_taken_with_the_runs_it_needs_and_all_wal():
    world = World()
    full = world.backup()
    world.point()
    increment = world.backup("incr")
    point, segment = world.point()
    world.wal()
    chosen = world.latest()
    assert chosen.run == increment
    assert {one.path.split("/")[2] for one in chosen.wanted if one.path.startswith("backup/")} == {
        full,
        increment,
        "backup.info",
    }
    assert len(segments_in(chosen.wanted)) == world.number - number_of(world.runs[-1]["wal"]["first"])
    assert chosen.points == {}  # no manifest lists the newest point yet
    assert segment in segments_in(chosen.scanned)
    assert [one.path.startswith("archive/") for one in chosen.wanted if one.sha256 is None] == [True, True]
    world.backup("incr")
    assert (world.at(point).run, world.at(point).points[point]) == (increment, segment)


def test_a_restore_to_a_point_needs_no_wal_after_it():
    world = World()
    world.backup()
    _, (point, segment), *_ = [world.point() for _ in range(5)]
    world.backup("incr")
    chosen = world.at(point)
    assert chosen.until == segment
    assert max(segments_in(chosen.wanted)) == segment
    assert chosen.scanned == ()


@pytest.mark.parametrize("kinds", [["full", "incr"], ["full", "full"], ["full", "incr", "full"]])
def test_all_manifests_that_are_written_late_are_enough_for_the_newest_run(kinds: list[str]):
    """After an outage one manifest lists the WAL of all runs up to then."""
    world = World()
    newest = [world.backup(kind, sign=False) for kind in kinds][-1]
    world.sign()
    chosen = world.latest()
    assert chosen.run == newest
    assert all(one.sha256 for one in chosen.wanted)


def test_points_that_a_longer_run_of_the_coordinator_lists_are_found():
    """The coordinator's backup began before this group's, ended after it, and lists the points made meanwhile."""
    world = World()
    coordinator = World("coordinator", time=world.time, bucket=world.bucket)
    coordinator.backup(sign=False)
    world.pass_time(60)
    world.backup()
    point, segment = world.point()
    coordinator.points, world.points = world.points, []
    coordinator.sign()
    world.backup("incr")
    coordinator.pass_time(3600)
    coordinator.backup()
    assert world.at(point).points == {point: segment}


def test_a_point_in_the_last_segment_of_a_lost_leader_is_looked_for_in_the_next_timeline():
    world = World()
    world.backup()
    kept, _ = world.point()
    lost, segment = world.point()
    world.drop(world.key_of(segment))  # only a part of it was archived
    world.fork(number_of(segment))
    after, later = world.point(), world.point()
    world.backup("incr")
    for chosen in (world.at(lost), world.before(time_of(lost) + timedelta(seconds=20))):
        assert lost not in chosen.points
        assert kept in chosen.points
        assert after[1] in segments_in(chosen.scanned)
    assert later[0] in world.at(later[0]).points


def test_points_of_an_abandoned_timeline_stay_in_reach():
    """A restore in place begins a new timeline at an earlier segment; its points have later names."""
    world = World()
    world.backup()
    restored = world.point()
    abandoned = [world.point() for _ in range(6)]
    world.backup("incr")
    unlisted, tail = world.point()
    world.points.pop()  # its row is lost in the restore
    world.fork(number_of(restored[1]) + 1)
    world.backup()
    present = [world.point() for _ in range(2)]
    world.backup("incr")
    for name, segment in abandoned[1:]:
        assert world.at(name).points[name] == segment
    late = world.before(time_of(unlisted) + timedelta(seconds=10))
    assert tail in segments_in(late.scanned)
    for name, segment in present:
        assert world.at(name).points[name] == segment
        assert segment in segments_in(world.at(name).wanted)


def test_a_gap_refuses_later_points_and_the_newest_data_only():
    world = World()
    world.backup()
    before, (_, lost), after = world.point(), world.point(), world.point()
    world.backup("incr", sign=False)
    key = world.key_of(lost)
    world.drop(key)
    world.sign()
    assert world.at(before[0]).points[before[0]] == before[1]
    with pytest.raises(RestoreError, match=f"gap: segment {lost} is missing.*to a point before the gap"):
        world.at(after[0])


def test_a_listed_segment_that_is_absent_is_named():
    world = World()
    world.backup()
    before, (_, lost), after = world.point(), world.point(), world.point()
    world.backup("incr")
    key = world.key_of(lost)
    world.drop(key)
    assert world.at(before[0]).points[before[0]] == before[1]
    with pytest.raises(RestoreError, match=f"replica lacks {key}; restore from another copy"):
        world.at(after[0])


def test_an_absent_segment_that_the_backup_needs_is_named():
    world = World()
    world.backup()
    last = world.runs[-1]["wal"]["last"]
    world.drop(world.key_of(last))
    with pytest.raises(RestoreError, match=last):
        world.latest()


@pytest.mark.parametrize("kind", ["full", "incr"])
def test_an_absent_manifest_breaks_the_chain(kind: str):
    world = World()
    world.backup()
    absent = world.backup(kind)
    after = world.backup("incr")
    world.drop(f"manifests/{GROUP}/{absent}.json")
    with pytest.raises(
        RestoreError, match=rf"(lacks manifests/{GROUP}/{absent}.json|{after} follows that of {absent}, which)"
    ):
        world.latest()


@pytest.mark.parametrize("back", [0, 1])
def test_a_full_backup_may_be_made_while_a_lost_primary_is_refilled(back: int):
    world = World()
    first, second = world.backup(), world.backup("incr")
    before = world.time + timedelta(minutes=2)
    names = [f"manifests/{GROUP}/{label}.json" for label in (first, second)]
    lost = {name: world.bucket.content.pop(name) for name in names}
    world.bucket.content |= {name: lost[name] for name in names[:back]}  # these are there again in time
    rebuilt = World(time=world.time + timedelta(minutes=5), bucket=world.bucket, number=world.number)
    third = rebuilt.backup()
    world.bucket.content |= lost
    fourth = rebuilt.backup("incr")
    runs = list(read(world.bucket, GROUP, labels_in(world.bucket, GROUP), KEYS))
    assert [run.label for run in runs] == [first, second, third, fourth]
    assert runs[2].previous == (None if back == 0 else (first, runs[0].sha256))
    assert broken_link(runs) is None
    assert rebuilt.latest().run == fourth
    assert rebuilt.before(before).run == second, "also the time before the loss can be restored"
    # An increment must follow the run before it.
    assert broken_link([runs[0], replace(runs[3], previous=None)]) is not None
    assert broken_link([*runs[:3], replace(runs[3], previous=(first, runs[0].sha256))]) is not None


def test_an_absent_newest_manifest_does_no_harm():
    world = World()
    world.backup()
    world.backup("incr")
    newest = world.backup("incr")
    world.drop(f"manifests/{GROUP}/{newest}.json")
    chosen = world.latest()
    assert chosen.run != newest
    assert max(segments_in(chosen.wanted)) == segment_at(1, world.number - 1)


def test_an_older_manifest_in_the_place_of_a_newer_one_is_refused():
    world = World()
    older, newer = world.backup(), world.backup("incr")
    key = f"manifests/{GROUP}/{newer}.json"
    world.put(key, world.bucket.read(f"manifests/{GROUP}/{older}.json"))
    with pytest.raises(RestoreError, match=f"{key} in replica is signed for another group or run"):
        world.latest()


def test_a_manifest_of_another_signer_is_refused():
    world = World()
    label = world.backup(sign=False)
    world.sign(Keys("stranger"))
    with pytest.raises(RestoreError, match=f"manifests/{GROUP}/{label}.json in replica is not signed with our keys"):
        world.latest()


def test_a_manifest_that_was_written_anew_breaks_the_chain():
    world = World()
    first = world.backup()
    second = world.backup("incr")
    world.drop(f"manifests/{GROUP}/{first}.json")
    again = World(time=world.time, runs=world.runs[:1], bucket=world.bucket)
    newer = world.bucket.content.pop(f"manifests/{GROUP}/{second}.json")
    again.sign()
    world.bucket.content[f"manifests/{GROUP}/{second}.json"] = newer
    with pytest.raises(RestoreError, match=f"{second} names another SHA-256 than the manifest of {first} has"):
        world.latest()


def test_a_group_that_was_created_anew_is_not_the_newest_data():
    now = datetime.now(UTC)
    world = World(time=now - timedelta(hours=8))
    old = world.backup()
    point, _ = world.point()
    world.backup("incr")
    world.pass_time(3600)
    world.history, world.number, world.timeline = 2, 1, 1
    new = world.backup()
    with pytest.raises(
        RestoreError, match=f"created anew: run {new} began history 17-2, and run .* ended history 17-1"
    ):
        world.latest()
    assert world.at(point).run == old
    later, _ = world.point()
    world.backup("incr")
    assert world.at(later).run == new
    assert all(
        "/17-2/" in one.path for one in world.at(later).wanted if one.path.startswith("archive/w") and "17" in one.path
    )


def test_a_group_that_was_created_anew_long_ago_has_the_newest_data():
    world = World(time=datetime.now(UTC) - NEW_GROUP - timedelta(hours=2))
    world.backup()
    world.history, world.number = 2, 1
    new = world.backup()
    assert world.latest().run == new


def test_a_copy_without_backups_is_refused():
    with pytest.raises(RestoreError, match=f"replica has no backup of {GROUP}; restore from another copy"):
        World().latest()


def promoted() -> tuple[World, str, str]:
    """Return a world in which only the daily folder of the older of two full backups is left."""
    world = World()
    label = world.backup()
    folder = world.promote(label)
    world.pass_time(86400)
    world.backup()
    world.drop("hourly/")
    return world, label, folder


def test_a_promoted_backup_is_restored_alone():
    world, label, folder = promoted()
    chosen = world.before(world.time - timedelta(hours=12))
    assert (chosen.run, chosen.place) == (label, "daily")
    assert {folder + one.path for one in chosen.wanted} == {one.key for one in chosen.wanted}
    assert {one.key for one in chosen.wanted} == {key for key in world.bucket.content if key.startswith(folder)}
    assert all(one.sha256 for one in chosen.wanted)
    assert [one.path for one in chosen.scanned] == [max(one.path for one in chosen.wanted if "/17-1/" in one.path)]


def test_a_promoted_backup_ignores_objects_that_pgbackrest_did_not_store():
    world, _, folder = promoted()
    for junk in ("../../../../../etc/passwd", "junk", f"archive/{GROUP}/17-1/junk", "backup/x/backup.info"):
        world.put(folder + junk, b"junk")
    assert not any("junk" in one.key or ".." in one.key for one in world.before(world.time).wanted)


@pytest.mark.parametrize("kind", ["bundle/1", "backup.info", "archive.info", ".zst"])
def test_a_promoted_backup_without_an_object_is_refused(kind: str):
    world, _, folder = promoted()
    key = next(key for key in sorted(world.bucket.content) if key.startswith(folder) and key.endswith(kind))
    world.drop(key)
    name = key.rpartition("/")[2][:24] if kind == ".zst" else key
    with pytest.raises(RestoreError, match=name):
        world.before(world.time)


def test_before_the_oldest_backup_there_is_nothing():
    world, _, _ = promoted()
    with pytest.raises(RestoreError, match=r"nothing of worker-1 from before that time: its oldest backup is of 2026-"):
        world.before(world.time - timedelta(days=9))


def test_a_backup_without_a_manifest_is_named():
    world = World()
    label = world.backup()
    world.drop(f"manifests/{GROUP}/{label}.json")
    world.put(f"hourly/backup/{GROUP}/backup.history/2026/x.manifest.zst", b"")
    with pytest.raises(RestoreError, match=f"it has no backup, and it lacks manifests/{GROUP}/{label}.json; restore"):
        world.before(world.time)


@given(st.lists(st.sampled_from(["full", "incr"]), min_size=1, max_size=7), st.data())
def test_every_change_of_a_chain_is_found(kinds: list[str], data: st.DataObject):
    world = World()
    for kind in ("full", *kinds):
        world.backup(kind)
    labels = labels_in(world.bucket, GROUP)
    runs = list(read(world.bucket, GROUP, labels, KEYS))
    assert broken_link(runs) is None
    assert [run.label for run in runs] == [run["run"] for run in world.runs]
    lost = data.draw(st.integers(0, len(runs) - 1))
    rest = runs[:lost] + runs[lost + 1 :]
    assert (broken_link(rest) is None) == (lost in {0, len(runs) - 1})
    moved = data.draw(st.permutations(runs))
    assert (broken_link(moved) is None) == (moved == runs)


ACTIONS = st.lists(
    st.sampled_from(["point", "wal", "incr", "full", "failover", "restore"]) | st.just("point"), max_size=25
)


@settings(max_examples=150)
@given(ACTIONS, st.data())
def test_every_point_that_was_ever_made_can_be_restored(actions: list[str], data: st.DataObject):
    """Whatever happened: the WAL from the backup to the point is fetched, and the point is listed or scanned."""
    world = World()
    made: dict[str, list[str]] = {}
    """The way of each point: all segments from the beginning."""
    way: list[str] = []

    def went(count: int) -> None:
        way.extend(segment_at(world.timeline, number) for number in range(world.number - count, world.number))

    world.backup()
    went(2)
    for action in actions:
        world.pass_time()
        if action == "point":
            name, _ = world.point()
            went(1)
            made[name] = [*way]
        elif action == "wal":
            world.wal()
            went(1)
        elif action == "failover":
            world.fork(world.number)
        elif action == "restore" and made:
            name = data.draw(st.sampled_from(sorted(made)))
            way[:] = made[name]
            world.points = [one for one in world.points if one["name"] <= name]
            world.fork(number_of(way[-1]) + 1)
            world.backup()  # a restore in place ends with a full backup
            went(2)
        elif action in {"full", "incr"}:
            world.backup(action)
            went(2)
    for name, wanted in made.items():
        for chosen in (world.at(name), world.before(time_of(name) + timedelta(seconds=10))):
            run = next(one for one in world.runs if one["run"] == chosen.run)
            assert datetime.fromisoformat(run["finishedAt"]) < time_of(name)
            fetched = segments_in(chosen.wanted)
            needed = wanted[wanted.index(run["wal"]["first"]) :]
            assert set(needed) <= set(fetched)
            assert chosen.points.get(name) == needed[-1] or needed[-1] in segments_in(chosen.scanned)
            assert all(earlier <= later for earlier, later in pairwise(map(timeline_of, needed)))
    newest = world.latest()
    assert newest.run == world.runs[-1]["run"]
    assert newest.newest_timeline == world.timeline
