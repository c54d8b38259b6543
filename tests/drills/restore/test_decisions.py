"""Targets, common restore points, ends of prepared transactions and reference tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.errors import InputError
from drills.restore.decisions import LATE, OutsideWindowError, common_point, ends_of, unequal_references
from drills.restore.target import MARGIN, POINT, Target, target_of, time_of

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
POINTS = st.integers(0, 100).map(
    lambda half: f"{datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=30 * half):{POINT}}"
)
LATEST = target_of("latest")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "newest",
        "Latest",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "02:30",
        "1764500000",
        "backbuild-20261124T0230Z",
        "backbuild-20261324T023000Z",
        "backbuild-20261124T023000Z ",
        "backbuild-99999999T999999Z",
    ],
)
def test_other_texts_are_refused_with_what_is_allowed(text: str):
    with pytest.raises(InputError, match=r"is not `latest`, a time in ISO 8601 such as .*, or a restore point's name"):
        target_of(text)


@pytest.mark.parametrize("text", ["2026-11-24", "2026-11-24T02:30:00", "20261124T0230"])
def test_a_time_needs_a_time_zone(text: str):
    with pytest.raises(InputError, match=f"has no time zone; write {text}Z for UTC"):
        target_of(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9999-12-31T23:59:59-14:00", "is in the future; use `latest`"),
        ("9998-01-01T00:00:00Z", "is in the future; use `latest`"),
        ("0001-01-01T00:00:00+14:00", "is before the year 2000; write the year with four digits"),
        ("0026-11-24T02:30:00Z", "is before the year 2000"),
    ],
)
def test_far_times_are_refused(text: str, reason: str):
    with pytest.raises(InputError, match=reason):
        target_of(text)


def test_a_time_in_the_future_is_refused():
    soon = datetime.now(timezone(timedelta(hours=-9))) + timedelta(minutes=1)
    with pytest.raises(InputError, match="is in the future"):
        target_of(soon.isoformat())


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_a_time_is_the_same_in_every_time_zone(moment: datetime, offset: int):
    text = moment.astimezone(timezone(timedelta(minutes=offset))).isoformat()
    assert target_of(text) == Target(text, moment - MARGIN, f"{moment:{POINT}}", exact=False)


@given(MOMENTS)
def test_a_points_name_is_exact(moment: datetime):
    name = f"{moment:{POINT}}"
    assert time_of(name) == moment
    assert target_of(name) == Target(name, moment, name, exact=True)


@given(st.dictionaries(st.sampled_from(["coordinator", "worker-1", "worker-2"]), st.sets(POINTS), min_size=1))
def test_the_newest_point_that_all_groups_have_is_chosen(points: dict[str, set[str]]):
    common = set.intersection(*points.values())
    if common:
        assert common_point(LATEST, points, []) == max(common)
    else:
        with pytest.raises(OutsideWindowError, match="no common restore point for latest"):
            common_point(LATEST, points, [])


@given(st.dictionaries(st.sampled_from(["coordinator", "worker-1"]), st.sets(POINTS, min_size=1), min_size=1), POINTS)
def test_a_chosen_point_is_common_and_not_later_than_asked(points: dict[str, set[str]], upto: str):
    target = Target(upto, time_of(upto) - MARGIN, upto, exact=False)
    # As machines answer: without the points after the time.
    allowed = {group: {name for name in names if name <= upto} for group, names in points.items()}
    try:
        chosen = common_point(target, allowed, [])
    except OutsideWindowError:
        common = set.intersection(*allowed.values())
        assert not common or time_of(upto) - time_of(max(common)) > LATE
    else:
        assert chosen is not None
        assert chosen == max(set.intersection(*allowed.values()))
        assert timedelta(0) <= time_of(upto) - time_of(chosen) <= LATE


@given(st.dictionaries(st.sampled_from(["coordinator", "worker-1"]), st.sets(POINTS), min_size=1), POINTS)
def test_an_exact_point_is_restored_or_refused(points: dict[str, set[str]], name: str):
    target = target_of(name)
    if all(name in found for found in points.values()):
        assert common_point(target, points, []) == name
    else:
        with pytest.raises(OutsideWindowError) as refused:
            common_point(target, points, [])
        common = set.intersection(*points.values())
        for group in [group for group, found in points.items() if name not in found]:
            assert not common or group in str(refused.value)


def test_promoted_backups_without_a_common_point_are_restored_each_by_itself_only_if_that_is_accepted():
    points: dict[str, list[str]] = {"coordinator": [], "worker-1": []}
    old = Target("a time", datetime(2026, 1, 1, tzinfo=UTC), "backbuild-20260101T000000Z", exact=False)
    with pytest.raises(OutsideWindowError, match=r"newest backups before a time have no common .* with `--apart`"):
        common_point(old, points, ["coordinator", "worker-1"])
    assert common_point(old, points, ["coordinator", "worker-1"], apart=True) is None
    assert common_point(old, {"coordinator": []}, ["coordinator"]) is None  # a single group agrees with itself
    with pytest.raises(OutsideWindowError, match="none in the WAL of coordinator, worker-1"):
        common_point(old, points, ["worker-1"], apart=True)
    with pytest.raises(OutsideWindowError):
        common_point(target_of("backbuild-20260101T000000Z"), points, ["coordinator", "worker-1"], apart=True)


def test_a_time_without_points_before_it_names_the_nearest_one():
    target = target_of("2026-01-05T00:30:00Z")
    name = "backbuild-20260105T001000Z"
    with pytest.raises(OutsideWindowError, match=f"the newest restore point before 2026-01-05T00:30:00Z is {name}"):
        common_point(target, {"coordinator": [name], "worker-1": [name]}, [])


FOREIGN = ["other", "citus_1", "citus_a_1_1_1"]
GIDS = st.builds("citus_{}_{}_{}_{}".format, *[st.integers(0, 3)] * 4) | st.sampled_from(FOREIGN)


@given(st.lists(GIDS, unique=True), st.dictionaries(st.sampled_from("0123"), st.sets(GIDS)))
def test_every_prepared_transaction_has_one_end(prepared: list[str], committed: dict[str, set[str]]):
    ends = ends_of(prepared, committed)
    assert sorted([*ends.commit, *ends.rollback, *ends.foreign]) == sorted(prepared)
    for gid in ends.commit:
        assert gid in committed[gid.split("_")[1]]
    for gid in ends.rollback:
        assert gid not in committed.get(gid.split("_")[1], ())
    assert set(ends.foreign) <= {*FOREIGN}


COUNTS = st.dictionaries(st.sampled_from(["countries", "rates"]), st.integers(0, 3))


@given(
    st.dictionaries(
        st.sampled_from(["coordinator", "worker-1", "worker-2"]), st.dictionaries(st.sampled_from(["a", "b"]), COUNTS)
    )
)
def test_reference_tables_with_other_counts_are_named(rows: dict[str, dict[str, dict[str, int]]]):
    found = unequal_references(rows)
    for database in ("a", "b"):
        for table in ("countries", "rates"):
            counts = {tables[database][table] for tables in rows.values() if table in tables.get(database, {})}
            named = [sentence for sentence in found if f"reference table {table} in {database}:" in sentence]
            assert len(named) == (len(counts) > 1)


def test_a_sentence_has_the_count_of_each_group():
    rows = {"coordinator": {"a": {"rates": 7}}, "worker-1": {"a": {"rates": 6}}, "worker-2": {"a": {}}}
    assert unequal_references(rows) == ["reference table rates in a: coordinator has 7 rows, worker-1 has 6 rows"]
