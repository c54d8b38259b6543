"""Names of WAL files, and the WAL that a restore needs."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from restore.archive import Archive, limit_of
from restore.catalogue import Listed
from restore.copies import RestoreError
from restore.wal import leads_from, number_of, segment_at, segment_of, sha1_of, timeline_of

from tests.machines.restore.world import GROUP

FOLDER = f"hourly/archive/{GROUP}/17-1/"
TIMELINES = st.integers(1, 0xFFFFFFFF)
NUMBERS = st.integers(0, 0xFFFFFFFFFE)


def key_of(segment: str, content: bytes = b"", folder: str = FOLDER) -> str:
    return f"{folder}{segment[:16]}/{segment}-{hashlib.sha1(content).hexdigest()}.zst"


def stored(*keys: str) -> list[dict[str, Any]]:
    return [{"Key": key, "Size": 5} for key in sorted(keys)]


def archive_of(*keys: str, listed: tuple[str, ...] = (), size: int = 5) -> Archive:
    return Archive("replica", "hourly/", FOLDER, stored(*keys), {key: Listed(size, "ab" * 32) for key in listed})


@given(TIMELINES, NUMBERS)
def test_a_segments_name_has_its_timeline_and_its_number(timeline: int, number: int):
    segment = segment_at(timeline, number)
    assert (timeline_of(segment), number_of(segment)) == (timeline, number)
    assert segment_of(f"{segment}-{'a' * 40}.zst") == segment
    assert sha1_of(f"{segment}-{'a' * 40}.zst") == "a" * 40


@given(TIMELINES, NUMBERS)
def test_numbers_order_the_segments_of_a_timeline(timeline: int, number: int):
    segment = segment_at(timeline, number)
    assert segment < segment_at(timeline, number + 1)
    assert number_of(segment_at(timeline, number + 1)) == number_of(segment) + 1


@pytest.mark.parametrize(
    "name",
    [
        "00000002.history",
        "000000010000000000000003.00000028.backup",
        f"000000010000000000000003.partial-{'a' * 40}.zst",
        f"000000010000000000000003-{'a' * 39}",
        f"000000010000000000000003-{'a' * 40}.zst.partial",
        f"000000010000000000000103-{'a' * 40}.zst",  # there are 256 segments in a WAL log number
        "archive.info",
        "",
    ],
)
def test_other_files_of_the_archive_are_no_segments(name: str):
    assert segment_of(name) is None


@given(st.integers(1, 600), st.sets(st.integers(0, 12)), st.integers(0, 12))
def test_wal_is_complete_from_the_first_segment_or_refused(start: int, holes: set[int], skipped: int):
    present = [number for number in range(start, start + 12) if number - start not in holes]
    first = segment_at(1, start + skipped)
    archive = archive_of(*(key_of(segment_at(1, number)) for number in present))
    wanted = [number for number in present if number >= start + skipped]
    if wanted == list(range(start + skipped, start + skipped + len(wanted))):
        assert [number_of(segment) for segment in archive.wal(first)] == wanted
    else:
        missing = min(number for number in range(start + skipped, start + 12) if number not in present)
        with pytest.raises(RestoreError, match=f"segment {segment_at(1, missing)} is missing"):
            archive.wal(first)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.data())
def test_each_timeline_is_complete_or_refused(lengths: list[int], data: st.DataObject):
    """Each timeline begins at or before the end of the one before it."""
    segments: list[str] = []
    begin = 10
    for timeline, length in enumerate(lengths, 1):
        segments += [segment_at(timeline, number) for number in range(begin, begin + length)]
        begin = data.draw(st.integers(begin, begin + length))
    files = [f"{FOLDER}{timeline:08X}.history" for timeline in range(2, len(lengths) + 1)]
    first = segments[0]
    complete = archive_of(*map(key_of, segments), *files)
    assert set(complete.wal(first)) == {segment for segment in segments if number_of(segment) >= 10}
    assert complete.newest_timeline() == len(lengths)

    lost = data.draw(st.sampled_from(segments))
    without = archive_of(*(key_of(segment) for segment in segments if segment != lost), *files)
    inner = {segment for segment in segments if timeline_of(segment) == timeline_of(lost)}
    if min(inner) < lost < max(inner):
        with pytest.raises(RestoreError, match=f"segment {lost} is missing"):
            without.wal(first)


def test_wal_of_another_timeline_without_its_file_is_refused():
    archive = archive_of(key_of(segment_at(1, 1)), key_of(segment_at(2, 2)))
    with pytest.raises(RestoreError, match=f"replica lacks {FOLDER}00000002.history, and {key_of(segment_at(2, 2))}"):
        archive.wal(segment_at(1, 1))


def test_the_file_of_the_backups_own_timeline_may_have_expired():
    archive = archive_of(key_of(segment_at(7, 1)), key_of(segment_at(7, 2)))
    assert list(archive.wal(segment_at(7, 1))) == [segment_at(7, 1), segment_at(7, 2)]


def test_a_listed_file_counts_among_several_of_one_segment():
    segment = segment_at(1, 1)
    for content in (b"1", b"2", b"3"):
        listed, other = key_of(segment, b"listed"), key_of(segment, content)
        assert archive_of(listed, other, listed=(listed,)).wal(segment)[segment].key == listed


def test_an_unlisted_file_does_not_replace_a_listed_one():
    segment = segment_at(1, 1)
    listed, other = key_of(segment, b"listed"), key_of(segment, b"other")
    with pytest.raises(RestoreError, match=f"replica lacks {listed}; restore from another copy"):
        archive_of(other, listed=(listed,)).wal(segment)


def test_a_listed_file_with_another_size_is_refused():
    segment = segment_at(1, 1)
    with pytest.raises(RestoreError, match=f"{key_of(segment)} in replica has another size"):
        archive_of(key_of(segment), listed=(key_of(segment),), size=6).wal(segment)


@pytest.mark.parametrize(
    "path",
    [
        "../../../../../../etc/{}",
        "0000000100000000/../{}",
        "../17-2/0000000100000000/{}",
        "0000000200000000/{}",
        "{}",
        "0000000100000000//{}",
    ],
)
def test_objects_at_other_places_are_ignored(path: str):
    segment = segment_at(1, 1)
    name = key_of(segment).rpartition("/")[2]
    assert list(archive_of(key_of(segment), FOLDER + path.format(name)).wal(segment).values()) == [
        *archive_of(key_of(segment)).wal(segment).values()
    ]
    assert archive_of(FOLDER + path.format(name)).wal(segment) == {}


def test_a_far_segment_is_named_as_the_reason_for_a_gap():
    far = key_of(segment_at(1, 0xFFFFFFFFFF))
    with pytest.raises(RestoreError, match=f"{segment_at(1, 2)} is missing, and {far} exists"):
        archive_of(key_of(segment_at(1, 1)), far).wal(segment_at(1, 1))


NAMES = st.integers(0, 30).map(lambda minute: f"backbuild-20260105T00{minute:02}00Z")


SEGMENTS = st.builds(segment_at, st.integers(1, 4), NUMBERS)


@given(st.dictionaries(NAMES, st.builds(segment_at, st.integers(1, 4), NUMBERS)), NAMES, SEGMENTS)
def test_a_limit_keeps_the_points_around_a_moment(points: dict[str, str], upto: str, last: str):
    limit = limit_of(points, upto, last)
    later = [name for name in sorted(points) if name >= upto]
    assert (limit is None) == (not later)
    if limit and later:
        assert limit.allows(points[later[0]])
        assert limit.allows(last)
        earlier = [name for name in sorted(points) if name < upto]
        if earlier and upto not in points:
            assert limit.allows(points[earlier[-1]])


def test_without_a_moment_there_is_no_limit():
    assert limit_of({"backbuild-20260105T000000Z": segment_at(1, 1)}, None, segment_at(1, 1)) is None


@pytest.mark.parametrize(
    ("segment", "leads"),
    [
        ("0000000100000000000000FE", True),
        ("0000000100000000000000FF", False),  # the timeline left within it
        ("000000010000000100000000", False),
        ("00000002000000010000000F", True),
        ("000000020000000100000010", False),
        ("000000030000000000000001", False),
    ],
)
def test_the_file_of_a_timeline_tells_which_runs_are_on_it(segment: str, leads: bool):
    file = "1\t0/FF000060\tbefore 2026\n\n2\t1/10000000\tno recovery target specified\n"
    assert leads_from(segment, file) is leads
