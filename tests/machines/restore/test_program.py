"""The commands of `backbuild-restore`: one restore at a time, space, keys, the list and the rehearsal."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest

from harness import stacks
from harness.backup_world import GROUP
from harness.stacks import contents, topology_of
from tests.machines.manifests import S3
from tests.machines.restore.backups import Backups
from tests.machines.restore.machine import COPY, MEMBER, Machine, plan_of

MEMBERS = """
{{"members": [
    {{"name": "{group}-0", "role": "leader", "state": "running"}},
    {{"name": "{group}-1", "role": "sync_standby", "state": "streaming"}},
    {{"name": "{group}-2", "role": "replica", "state": "{state}"}}]}}
"""


def test_two_restores_at_once_are_refused_and_the_other_one_is_named(member: Machine):
    member.done("begin", "audit", plan_of(), root=True)
    for name in ("other", "in-place"):
        message = member.refused("begin", name, plan_of("2026-11-24T02:30:00Z"), root=True)
        assert message == (
            f"{MEMBER} has the restore audit (from {COPY} to latest); continue it with the same arguments, or remove "
            "it: `python -m drills restore --remove audit`"
        )
    assert "has the restore audit" in member.refused("begin", "audit", plan_of("another time"), root=True)
    member.done("begin", "audit", plan_of(), root=True)  # it continues
    shown = json.loads(member.done("status", root=True))
    assert (shown["name"], shown["plan"], shown["running"], shown["failed"]) == (
        "audit",
        json.loads(plan_of()),
        False,
        None,
    )
    member.done("remove", "audit", root=True)
    assert member.done("status", root=True) == "{}\n"
    member.done("begin", "other", plan_of(), root=True)


def test_a_step_does_not_begin_while_another_one_runs(member: Machine):
    member.begin("audit")
    member.stub("systemctl", "exit 0")
    for words in (("start", "audit", "fetch"), ("remove", "audit")):
        assert "a step of a restore" in member.refused(*words, root=True)
        assert MEMBER in member.refused(*words, root=True)


def test_a_step_begins_in_a_unit_of_its_own_with_the_account_that_it_needs(member: Machine):
    member.begin("audit")
    member.stub("systemd-run", 'echo "$@" >"$0.log"')
    for step, user in (("fetch", "postgres"), ("recover", "postgres"), ("shut", "root"), ("open", "root")):
        member.done("start", "audit", step, '{"a": 1}', root=True)
        words = (member.folder / "bin/systemd-run.log").read_text()
        assert f"--unit=backbuild-restore --uid={user} " in words
        assert words.endswith(f'backbuild-restore run audit {step} {{"a": 1}}\n')


@pytest.mark.usefixtures("before")
def test_a_volume_without_space_is_refused_before_anything_is_fetched(member: Machine, s3: S3):
    program = member.library / "restore/repository.py"
    assert "1 << 30" in program.read_text()
    program.write_text(program.read_text().replace("1 << 30", "1 << 60"))
    member.begin("audit")
    s3.requests.clear()
    message = member.refused("run", "audit", "fetch")
    assert message.startswith(f"{MEMBER} needs 1,152,9")
    assert "free bytes on its data volume and has" in message
    assert message.endswith("raise volumeGib")
    assert not [path for _, path in s3.requests if path.startswith("hourly/backup/") and "bundle" in path]


@pytest.mark.long
@pytest.mark.usefixtures("before")
def test_data_that_have_no_space_are_refused_before_they_are_changed(member: Machine):
    member.begin("in-place")
    fetched = member.step("in-place", "fetch")
    member.done("run", "in-place", "shut", root=True)
    program = member.library / "restore/repository.py"
    program.write_text(program.read_text().replace("1 << 30", "1 << 60"))
    given = {"point": max(fetched["points"]), "segment": max(fetched["points"].values())}
    assert "raise volumeGib" in member.refused("run", "in-place", "recover", json.dumps(given))
    member.done("remove", "in-place", root=True)  # nothing is half restored
    assert "start patroni.service" in (member.folder / "bin/systemctl.log").read_text()


@pytest.mark.usefixtures("before")
def test_a_group_that_is_not_shut_is_not_restored_in_place(member: Machine):
    member.begin("in-place")
    fetched = member.step("in-place", "fetch")
    given = {"point": max(fetched["points"]), "segment": max(fetched["points"].values())}
    assert f"{MEMBER} is not shut" in member.refused("run", "in-place", "recover", json.dumps(given))
    assert not member.postgres.exists()


def test_keys_that_the_machine_may_not_read_are_an_error_with_the_remedy(member: Machine):
    member.begin("audit")
    member.forbid()
    for words in (("run", "audit", "fetch"), ("list", COPY)):
        message = member.refused(*words)
        assert message.startswith("AccessDeniedException")
        assert message.endswith("begin one with `python -m drills restore`")


def test_an_unknown_copy_is_an_error_with_the_known_ones(member: Machine):
    member.allow({"primary": {}, "offsite": {}})
    assert member.refused("list", "vault") == "there is no copy vault; copies with read-only keys: primary, offsite"


@pytest.mark.usefixtures("before")
def test_keys_that_the_store_refuses_are_an_error_with_copy_and_key(member: Machine, s3: S3):
    member.begin("audit")
    s3.fault = lambda _method, _path: "403"
    message = member.refused("run", "audit", "fetch")
    assert message == f"manifests/{GROUP}/ in {COPY} cannot be listed: 403 (status 403); restore from another copy"
    s3.fault = lambda _method, path: "403" if "bundle" in path else None
    message = member.refused("run", "audit", "fetch")
    assert f"in {COPY} cannot be read: 403 (status 403); restore from another copy" in message


@pytest.mark.usefixtures("before")
def test_another_cipher_key_is_an_error(member: Machine):
    member.begin("audit")
    member.write("secrets/backup-cipher", "another")
    message = member.refused("run", "audit", "fetch")
    assert message.endswith("check that the secret backup-cipher is the one of that time, or restore from another copy")


def test_the_list_has_the_window_of_each_copy_and_the_problem_of_one(member: Machine, before: Backups):
    member.allow({COPY: {}, "offsite": {"endpoint": "127.0.0.1:1"}})
    listed = {one["copy"]: one for one in json.loads(member.done("list", COPY, "offsite"))}
    found = listed[COPY]
    assert (found["group"], found["problem"]) == (GROUP, None)
    assert [run["run"] for run in found["runs"]] == before.runs
    assert [run["classes"] for run in found["runs"]] == [["hourly"], ["hourly"]]
    assert found["newestListedPoint"] == before.points[1]
    assert found["from"] == found["runs"][0]["finishedAt"]
    assert found["walUntil"] >= found["runs"][1]["finishedAt"]
    problem = f"manifests/{GROUP}/ in offsite cannot be listed: EndpointConnectionError; restore from another copy"
    assert listed["offsite"] == {"copy": "offsite", "group": GROUP, "problem": problem, "runs": []}


def test_the_list_asks_for_each_page_of_objects_once(member: Machine, before: Backups, s3: S3):
    folder = f"hourly/archive/{GROUP}/15-1"
    for number in range(2000):
        segment = f"000000010000{number // 256 + 1:04X}000000{number % 256:02X}"
        s3.put(f"{folder}/{segment[:16]}/{segment}-{'a' * 40}.zst", b"")
    s3.requests.clear()
    member.done("list", COPY)
    lists = [path for method, path in s3.requests if method == "GET" and not path.startswith("manifests")]
    assert len(lists) <= 3 + 6  # three pages of WAL; the manifests, the backups and each class
    assert len(before.runs) == 2


@pytest.mark.usefixtures("before")
def test_the_rehearsal_restores_from_one_copy_and_keeps_its_result(member: Machine):
    member.allow({COPY: {}, "primary": {}})
    member.environment["MEMBER"] = f"{GROUP}-1"
    cluster = MEMBERS.format(group=GROUP, state="stopped")
    member.stub("curl", f"case \"$*\" in *127.0.0.1:8008/cluster) cat <<'END'\n{cluster}\nEND\n;; esac")
    leftover = member.of("rehearsal")
    leftover.mkdir(parents=True)
    (leftover / "plan.json").write_text(plan_of("another month"))
    for path in (leftover.parent, leftover, leftover / "plan.json"):
        shutil.chown(path, "postgres", "postgres")

    result = json.loads(member.done("rehearse"))
    assert result["copy"] in {COPY, "primary"}
    assert result["relations"] > 100
    assert result["point"].startswith("backbuild-")
    assert not leftover.exists()
    kept = json.loads((leftover.parent / "rehearsals.json").read_text())
    assert kept == {result["copy"]: {name: value for name, value in result.items() if name != "copy"}}
    (listed,) = json.loads(member.done("list", result["copy"]))
    assert listed["rehearsed"]["run"] == result["run"]
    assert 0 <= age(member) < 3600
    aged = {**kept[result["copy"]], "at": "2020-01-01T00:00:00Z"}
    (leftover.parent / "rehearsals.json").write_text(json.dumps({**kept, "another": aged}))
    assert 0 <= age(member) < 3600, "a rehearsal from one copy counts, because each month takes another one"
    (leftover.parent / "rehearsals.json").write_text(json.dumps({"another": aged}))
    assert age(member) > 86_400


def test_a_member_without_a_rehearsal_counts_from_its_volume(member: Machine):
    born = int(subprocess.run(["stat", "--format=%W", member.data], capture_output=True, check=True).stdout)
    assert born > 0
    assert 0 <= age(member) <= time.time() - born + 1


def test_a_rehearsal_in_the_future_does_not_count(member: Machine):
    past, future = ({"at": f"{year}-01-01T00:00:00Z"} for year in (2020, 2999))
    folder = member.data / "restored"
    folder.mkdir()
    (folder / "rehearsals.json").write_text(json.dumps({"primary": past, "replica": future}))
    assert age(member) > 86_400
    (folder / "rehearsals.json").write_text(json.dumps({"replica": future}))
    assert 0 <= age(member) < 86_400, "it counts from its volume"


def age(member: Machine) -> int:
    """Return what the machine publishes as the age of its last rehearsal, in seconds."""
    topology = topology_of("staging")
    script = contents(topology, stacks.member(topology, "worker-1-0"))["/usr/local/lib/backbuild/restore-age"]
    own = member.write("default", f"DATA={member.data}\n")
    assert "/etc/default/backbuild" in script
    script = script.replace("/etc/default/backbuild", str(own))
    return int(subprocess.run(["sh", "-s"], input=script, text=True, capture_output=True, check=True).stdout)


def test_only_the_last_streaming_standby_rehearses(member: Machine):
    for state, chosen in (("streaming", f"{GROUP}-2"), ("stopped", f"{GROUP}-1")):
        member.stub("curl", f"cat <<'END'\n{MEMBERS.format(group=GROUP, state=state)}\nEND")
        result = json.loads(member.done("rehearse"))
        assert result == {"skipped": f"{chosen} rehearses for {GROUP}, not {MEMBER}"}


@pytest.mark.long
@pytest.mark.usefixtures("before")
def test_a_rehearsal_that_fails_leaves_no_files_and_no_result(member: Machine, s3: S3):
    member.stub("curl", f"cat <<'END'\n{MEMBERS.format(group='other', state='stopped')}\nEND")
    member.environment["MEMBER"] = "other-1"
    s3.delete(next(key for key in s3.keys("hourly/backup/") if "bundle" in key))
    assert "restore from another copy" in member.refused("rehearse")
    assert not member.of("rehearsal").exists()
    assert not (member.data / "restored/rehearsals.json").exists()
    assert not member.postgres.exists()
