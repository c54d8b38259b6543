"""The order of a restore's steps, and what stops it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.errors import InputError
from drills.restore.course import CheckError, Course, Request, remove
from drills.restore.decisions import OutsideWindowError
from drills.restore.target import target_of
from drills.sites.site import SiteError
from tests.drills.restore.fakes import GROUPS, POINT, TOPOLOGY, FakeSite, results_of

QUERY = "SELECT true"
IN_PLACE = Request("replica", target_of("latest"), None, [QUERY])
BESIDE = Request("replica", target_of(POINT), "audit", [QUERY])
BEFORE_CHANGES = {"begin", "allow", "fetch", "forbid", "ask"}


def course(site: FakeSite, request: Request = IN_PLACE) -> Course:
    return Course(TOPOLOGY, site, request, lambda _step, _progress: None)


def whole(site: FakeSite) -> None:
    """Restore in place from the beginning to the end."""
    restore = course(site)
    restore.restore(restore.prepare())


def arguments(site: FakeSite, step: str) -> dict[str, Any]:
    return {entry[1]: json.loads(entry[2]) for entry in site.log if entry[0] == step}


def test_in_place_nothing_is_shut_before_the_outlook_and_the_doors_open_last():
    site = FakeSite()
    restore = course(site)
    outlook = restore.prepare()
    assert outlook.point == POINT
    assert set(site.done) <= BEFORE_CHANGES
    assert not site.reading
    result = restore.restore(outlook)
    assert [word for word in site.done if word != "ask"] == [
        *("begin", "allow", "fetch", "forbid", "doors shut", "shut", "snapshot", "recover", "settle", "check"),
        *("open", "join", "finish", "doors open", "remove"),
    ]
    assert list(arguments(site, "open")) == ["coordinator-0", "worker-1-0"]
    assert arguments(site, "join") == {
        "coordinator-1": {"system": "coordinator-system"},
        "worker-1-1": {"system": "worker-1-system"},
    }
    assert set(arguments(site, "shut")) == set(arguments(site, "finish")) == set(GROUPS)
    assert result["point"] == POINT
    assert len(result["snapshots"]) == len(GROUPS)


def test_beside_the_groups_are_not_touched():
    site = FakeSite()
    restore = course(site, BESIDE)
    result = restore.restore(restore.prepare())
    assert [word for word in site.done if word != "ask"] == [
        *("begin", "allow", "fetch", "forbid", "recover", "settle", "check", "serve"),
    ]
    assert set(arguments(site, "recover")) == {"coordinator-1", "worker-1-1"}  # the standbys
    assert arguments(site, "settle")["worker-1-1"]["nodes"]["0"][1] == 5434
    assert set(result["beside"]) == {"coordinator-1", "worker-1-1"}


def test_beside_continues_where_it_began_although_the_leader_has_changed():
    site = FakeSite()
    course(site, BESIDE).prepare()
    site.leaders = {"coordinator-1", "worker-1-1"}
    restore = course(site, BESIDE)
    restore.restore(restore.prepare())
    assert set(arguments(site, "recover")) == {"coordinator-1", "worker-1-1"}
    assert len([entry for entry in site.log if entry[0] == "fetch"]) == 2


@pytest.mark.parametrize("request_", [IN_PLACE, BESIDE], ids=["in place", "beside"])
def test_machines_may_not_read_copies_after_a_failed_fetch(request_: Request):
    site = FakeSite()
    site.failures = {(member, "fetch"): "replica is damaged" for member in GROUPS}
    with pytest.raises(SiteError, match="replica is damaged"):
        course(site, request_).prepare()
    assert not site.reading
    assert set(site.done) <= BEFORE_CHANGES


def test_without_a_common_point_nothing_is_changed():
    def results(member: str, step: str, given: Any) -> Any:
        found = results_of(member, step, given)
        return {**found, "points": {}} if (member, step) == ("worker-1-0", "fetch") else found

    site = FakeSite(results)
    with pytest.raises(OutsideWindowError, match="none in the WAL of worker-1"):
        course(site).prepare()
    assert set(site.done) <= BEFORE_CHANGES


def test_prepared_transactions_end_as_their_initiator_has_recorded():
    gids = ["citus_0_1_1_1", "citus_0_1_2_1", "other"]

    def results(member: str, step: str, given: Any) -> Any:
        found = results_of(member, step, given)
        if (member, step) == ("worker-1-0", "recover"):
            found["prepared"] = [{"gid": gid, "database": "backbuild"} for gid in gids]
        if (member, step) == ("coordinator-0", "committed"):
            assert given == {"gids": sorted(gids)}
            found["committed"] = ["citus_0_1_1_1"]
        return found

    site = FakeSite(results)
    restore = course(site)
    result = restore.restore(restore.prepare())
    settled = arguments(site, "settle")
    assert (settled["worker-1-0"]["commit"], settled["worker-1-0"]["rollback"]) == (
        ["citus_0_1_1_1"],
        ["citus_0_1_2_1"],
    )
    assert (settled["coordinator-0"]["commit"], settled["coordinator-0"]["rollback"]) == ([], [])
    assert result["groups"]["worker-1"]["transactions"]["foreign"] == ["other"]


def test_unequal_reference_tables_keep_the_groups_shut():
    def results(member: str, step: str, given: Any) -> Any:
        found = results_of(member, step, given)
        if (member, step) == ("worker-1-0", "check"):
            found["references"] = {"backbuild": {"countries": 6}}
        return found

    site = FakeSite(results)
    restore = course(site)
    with pytest.raises(CheckError, match="countries in backbuild: coordinator has 7 rows, worker-1 has 6 rows"):
        restore.restore(restore.prepare())
    assert "open" not in site.done


@pytest.mark.parametrize(("rows", "shown"), [("f\n", "f,"), ("", "no row,"), ("t\nf\n", "t f,")])
@pytest.mark.parametrize(
    ("request_", "end"), [(IN_PLACE, "the doors stay shut"), (BESIDE, "the restored cluster stays")]
)
def test_an_invariant_that_does_not_hold_is_an_error(request_: Request, end: str, rows: str, shown: str):
    site = FakeSite()
    site.answers["psql"] = rows
    restore = course(site, request_)
    with pytest.raises(CheckError) as failed:
        restore.restore(restore.prepare())
    assert f"`{QUERY}` returned {shown}" in str(failed.value)
    assert str(failed.value).endswith(end)
    assert "doors open" not in site.done


@pytest.mark.parametrize("step", ["fetch", "shut", "recover", "settle", "check", "open", "join", "finish"])
def test_an_interrupted_restore_in_place_continues_without_repeating_what_is_done(step: str):
    site = FakeSite()
    site.failures = {(member, step): "power loss" for member in GROUPS}
    with pytest.raises(SiteError, match="power loss"):
        whole(site)
    assert "doors open" not in site.done
    site.failures = {}
    whole(site)
    for name in ("fetch", "recover", "settle", "check", "open", "join", "finish"):
        done = [entry[1] for entry in site.log if entry[0] == name]
        assert len(done) == len(set(done)) or name == step
    assert site.done[-2:] == ["doors open", "remove"]


def test_a_removed_restore_ends_on_all_members_that_have_it():
    site = FakeSite()
    course(site, BESIDE).prepare()
    assert remove(TOPOLOGY, site, "audit", lambda _step, _progress: None) == ["coordinator-1", "worker-1-1"]
    assert "doors open" not in site.done
    with pytest.raises(InputError, match="no member of staging has a restore audit"):
        remove(TOPOLOGY, site, "audit", lambda _step, _progress: None)
    course(site).prepare()
    remove(TOPOLOGY, site, "in-place", lambda _step, _progress: None)
    assert site.done[-1] == "doors open"
