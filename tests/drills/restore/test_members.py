"""Steps on several members: slow, failing and rebooting ones."""

from __future__ import annotations

from typing import Any

import pytest

from drills.restore import members as module
from drills.restore.members import STARTS, Members
from drills.sites.site import SiteError
from tests.drills.restore.fakes import FakeSite

MEMBERS = ["coordinator-0", "worker-1-0"]
ALL: dict[str, dict[str, Any]] = {member: {} for member in MEMBERS}


@pytest.fixture
def site() -> FakeSite:
    return FakeSite()


@pytest.fixture
def members(site: FakeSite) -> Members:
    made = Members(site, "audit", lambda _step, _progress: None)
    made.begin({"copy": "replica"}, MEMBERS)
    return made


def starts(site: FakeSite, member: str, step: str = "fetch") -> int:
    return len([entry for entry in site.log if entry[:2] == (step, member)])


def test_a_step_runs_once_on_each_member(site: FakeSite, members: Members):
    site.machines["worker-1-0"].delay = 5
    first = members.step("fetch", ALL)
    assert first["worker-1-0"]["run"] == "worker-1-0-run"
    assert members.step("fetch", ALL) == first
    assert [starts(site, member) for member in MEMBERS] == [1, 1]


def test_a_member_that_reboots_begins_the_step_again(site: FakeSite, members: Members):
    site.rebooting["worker-1-0", "fetch"] = 4
    site.machines["coordinator-0"].delay = 2
    assert set(members.step("fetch", ALL)) == set(MEMBERS)
    assert [starts(site, member) for member in MEMBERS] == [1, 2]


def test_a_member_that_stays_away_is_named(site: FakeSite, members: Members, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "UNREACHABLE_SECONDS", -1)
    site.machines["worker-1-0"].down = 1000
    with pytest.raises(SiteError, match="worker-1-0: it does not answer"):
        members.step("fetch", ALL)


def test_failures_of_several_members_are_all_named(site: FakeSite, members: Members):
    site.failures = {(member, "fetch"): f"no space on {member}" for member in MEMBERS}
    with pytest.raises(SiteError) as failed:
        members.step("fetch", ALL)
    assert str(failed.value) == "coordinator-0: no space on coordinator-0; worker-1-0: no space on worker-1-0"


def test_a_failed_step_runs_again_when_the_command_is_repeated(site: FakeSite, members: Members):
    site.failures = {("worker-1-0", "fetch"): "no space"}
    with pytest.raises(SiteError):
        members.step("fetch", ALL)
    site.failures = {}
    assert set(members.step("fetch", ALL)) == set(MEMBERS)
    assert [starts(site, member) for member in MEMBERS] == [1, 2]


def test_a_step_that_ends_without_a_result_is_not_repeated_for_ever(site: FakeSite, members: Members):
    site.vanishing.add(("worker-1-0", "fetch"))
    with pytest.raises(SiteError, match="worker-1-0: fetch ended 3 times without a result; read `journalctl"):
        members.step("fetch", ALL)
    assert starts(site, "worker-1-0") == STARTS


def test_a_step_that_does_not_end_is_named(site: FakeSite, members: Members, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "STEP_SECONDS", -1)
    site.machines["worker-1-0"].delay = 1000
    with pytest.raises(SiteError, match="worker-1-0: fetch did not end within"):
        members.step("fetch", ALL)


def test_a_restore_that_was_removed_meanwhile_is_named(site: FakeSite, members: Members):
    site.run("worker-1-0", "/usr/local/sbin/backbuild-restore remove audit", 1)
    with pytest.raises(SiteError, match="worker-1-0: it has no restore audit any more; run the command again"):
        members.step("fetch", ALL)


@pytest.mark.usefixtures("members")
def test_all_members_that_have_another_restore_are_named(site: FakeSite):
    with pytest.raises(SiteError) as refused:
        Members(site, "other", lambda _step, _progress: None).begin({"copy": "offsite"}, MEMBERS)
    assert str(refused.value).count("has the restore audit") == 2


def test_an_error_of_the_program_is_not_hidden(members: Members):
    def broken(member: str) -> None:
        raise KeyError(member)

    with pytest.raises(KeyError):
        members.everywhere(broken, MEMBERS)
    assert members.everywhere(broken, []) == {}
