"""The program that writes backup manifests, run as a process against moto's S3 over HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from harness.stacks import ROOT, contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS
from model.signing import public_key
from tests.machines.manifests import (
    GROUP,
    HOUR,
    KEY,
    S3,
    Machine,
    Repository,
    manifests,
    opened,
    peak_of,
    place,
    tampered,
)

MUTABLE = ("backup.info", "backup.info.copy", "archive.info", "archive.info.copy")


def keys_of(manifest: dict[str, Any], kind: str) -> set[str]:
    return {one["key"] for one in manifest["objects"] if one["kind"] == kind}


def stored(s3: S3) -> set[str]:
    """Return the keys that manifests must list: every immutable object, and the copies of the mutable index files."""
    everything = {*s3.keys("hourly/"), *s3.keys(f"manifests/{GROUP}/")}
    mutable = {key for key in everything if key.startswith("hourly/") and key.endswith(MUTABLE)}
    return {key for key in everything - mutable if not key.endswith(".json")}


@pytest.mark.parametrize("files", [3, pytest.param(3_000, marks=pytest.mark.long)])
def test_a_manifest_lists_every_object_of_a_large_full_backup(
    machine: Machine, repository: Repository, s3: S3, files: int
):
    label = repository.backup(0, files=files, wal=1_100)  # a list has a thousand on a page
    process = machine.start(repository)
    peak = peak_of(process)
    assert process.returncode == 0, process.communicate()
    (manifest,) = manifests(s3).values()
    assert keys_of(manifest, "backup") | keys_of(manifest, "wal") | keys_of(manifest, "index") == stored(s3)
    assert len(manifest["objects"]) == files + 3 + 1_100 + 2
    assert (manifest["kind"], manifest["dependsOn"], manifest["previous"]) == ("full", [], None)
    assert manifest["wal"] == {"first": "0000000100000000000000FD", "last": "000000010000000500000048"}
    assert manifest["finishedAt"] > manifest["startedAt"]
    assert s3.requests[-2:] == [("PUT", place(label)), ("GET", place(label))]  # written last, and read back
    assert peak < 100 * 1024


@pytest.mark.long
def test_large_objects_are_hashed_as_streams(machine: Machine, repository: Repository, s3: S3):
    repository.backup(0, files=4, size=64 << 20)
    process = machine.start(repository)
    peak = peak_of(process)
    assert process.returncode == 0
    assert sum(one["size"] for one in manifests(s3).popitem()[1]["objects"]) > 4 * (64 << 20)
    assert 0 < peak < 120 * 1024  # four of these at once, each larger than half of that


def test_incremental_manifests_list_new_objects_and_dependencies(machine: Machine, repository: Repository, s3: S3):
    labels: list[str] = []
    for hour in range(4):
        labels.append(repository.backup(hour * HOUR))
        machine.done(repository)
        for minute in range(5, 60, 11):
            repository.archive(hour * HOUR + minute * 60)
    found = manifests(s3)
    assert list(found) == labels
    full, first, second, third = found.values()
    assert [full["kind"], first["kind"]] == ["full", "incremental"]
    assert first["dependsOn"] == [labels[0]]
    assert third["dependsOn"] == [labels[0], labels[2]]
    for before, after in pairwise(labels):
        envelope = s3.get(place(before))
        assert found[after]["previous"] == {"run": before, "sha256": hashlib.sha256(envelope).hexdigest()}
    listed = [one["key"] for manifest in found.values() for one in manifest["objects"]]
    newest = max(keys_of(third, "wal"))
    not_yet = {key for key in s3.keys(f"hourly/archive/{GROUP}/17-1/") if key > newest}
    assert sorted(listed) == sorted(stored(s3) - not_yet)  # each once
    assert len(not_yet) == 5
    assert len(keys_of(second, "wal")) == 7
    for label in labels:
        assert s3.get(f"manifests/{GROUP}/{label}/backup.info") == f"index up to {label}".encode()


def test_wal_with_a_slow_upload_is_listed(machine: Machine, repository: Repository, s3: S3):
    repository.backup(0)
    machine.done(repository)
    late = repository.archive(-10 * 60)  # dated before that run began, and listed after it ended
    repository.backup(HOUR)
    machine.done(repository)
    assert any(late in key for key in keys_of(list(manifests(s3).values())[1], "wal"))


def test_a_second_call_writes_nothing(machine: Machine, repository: Repository, s3: S3):
    label = repository.backup(0)
    machine.done(repository)
    before = s3.get(place(label))
    s3.requests.clear()
    assert machine.done(repository) == ""
    assert {method for method, _ in s3.requests} == {"GET"}
    assert s3.get(place(label)) == before


def test_missing_manifests_are_written_in_order_of_their_runs(machine: Machine, repository: Repository, s3: S3):
    labels = [repository.backup(hour * HOUR) for hour in (0, 1, 2)]
    machine.done(repository)
    found = manifests(s3)
    assert [found[label]["previous"] and found[label]["previous"]["run"] for label in labels] == [None, *labels[:2]]


def test_the_first_manifest_is_that_of_the_newest_full_backup(machine: Machine, repository: Repository, s3: S3):
    old = [repository.backup(hour * HOUR) for hour in (0, 1)]
    new = [repository.backup(hour * HOUR) for hour in (24, 25)]
    for key in s3.keys(f"hourly/backup/{GROUP}/{old[0]}"):  # aged out; the index still names it
        s3.delete(key)
    machine.done(repository)
    assert list(manifests(s3)) == new


def contents_of(s3: S3) -> dict[str, list[tuple[str, str, str]]]:
    """Return key, SHA-256 and kind of each object by run, without the times, which differ for copied index files."""
    return {
        run: [(one["key"], one["sha256"], one["kind"]) for one in manifest["objects"]]
        for run, manifest in manifests(s3).items()
    }


def delete_manifests(s3: S3) -> None:
    for key in s3.keys("manifests/"):
        s3.delete(key)


def killed(machine: Machine, repository: Repository, s3: S3, at: int) -> None:
    """Run manifest.py and kill it at its request with this number."""
    s3.requests.clear()
    process = machine.start(repository)

    def kill(_method: str, _path: str) -> None:
        if len(s3.requests) == at + 1:
            process.kill()
            process.wait()

    s3.fault = kill
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == -9
    s3.fault = lambda _method, _path: None


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.long)])
def test_it_continues_after_a_kill_at_any_request(machine: Machine, repository: Repository, s3: S3, everywhere: bool):
    for hour in (0, 1):
        repository.backup(hour * HOUR, files=5)
    s3.requests.clear()
    machine.done(repository)
    methods = [method for method, _ in s3.requests]
    whole = contents_of(s3)
    writes = [number for number, method in enumerate(methods) if method == "PUT"]
    assert len(writes) == 6  # two indexes and a manifest each
    others = [*(number + 1 for number in writes), *random.Random(11).sample(range(len(methods)), 3)]
    # Otherwise before the first manifest, and before the second run's first index: a run half done, and one done.
    for last in {*writes, *others} if everywhere else writes[2:4]:
        delete_manifests(s3)
        killed(machine, repository, s3, at=last)
        machine.done(repository)
        assert contents_of(s3) == whole, last


@pytest.mark.parametrize("kills", [2, 8])
@pytest.mark.long
def test_it_continues_after_a_kill_at_any_time(machine: Machine, repository: Repository, s3: S3, kills: int):
    chance = random.Random(13)
    for hour in (0, 1, 2):
        repository.backup(hour * HOUR, files=100)
    machine.done(repository)
    whole = contents_of(s3)
    delete_manifests(s3)
    for _ in range(kills):
        process = machine.start(repository)
        time.sleep(chance.uniform(0.2, 1.5))
        process.kill()
        process.communicate()
    machine.done(repository)
    assert contents_of(s3) == whole


def test_failed_requests_are_retried(machine: Machine, repository: Repository, s3: S3):
    repository.backup(0, files=20)
    machine.done(repository)
    whole = contents_of(s3)
    delete_manifests(s3)
    chance, failed = random.Random(17), []

    def fault(method: str, path: str) -> str | None:
        if failed[-2:] == [path, path] or chance.random() > 0.3:  # never three times in a row
            return None
        failed.append(path)
        return chance.choice(["503", "cut"]) if method == "GET" and path.startswith("hourly/") else "503"

    s3.fault = fault
    machine.done(repository)
    assert len(failed) > 10
    s3.fault = lambda _method, _path: None
    assert contents_of(s3) == whole


def test_the_manifest_of_a_faster_second_leader_is_kept(
    tmp_path: Path, machine: Machine, repository: Repository, s3: S3
):
    labels = [repository.backup(hour * HOUR) for hour in (0, 1)]
    theirs: list[bytes] = []

    def fault(method: str, path: str) -> None:
        if method == "PUT" and path == place(labels[0]):
            s3.fault = lambda _method, _path: None
            Machine(tmp_path / "other", s3).done(repository)
            s3.delete(place(labels[1]))
            theirs.append(s3.get(path))

    s3.fault = fault
    machine.done(repository)
    assert s3.get(place(labels[0])) == theirs[0]
    assert manifests(s3)[labels[1]]["previous"]["sha256"] == hashlib.sha256(theirs[0]).hexdigest()


@pytest.mark.parametrize(("leads", "backup", "steps"), [(1, 0, 0), (0, 1, 4), (0, 0, 5)])
def test_a_manifest_is_written_only_after_a_successful_backup(tmp_path: Path, leads: int, backup: int, steps: int):
    topology = topology_of("staging")
    script = contents(topology, member(topology, f"{GROUP}-0"))["/usr/local/sbin/backbuild-backup"]
    (tmp_path / "spool").mkdir()
    (tmp_path / "known").write_text(f"GROUP={GROUP} MEMBER=m ADDRESS=a DATA={tmp_path} DATABASE=backbuild\n")
    log = tmp_path / "log"
    log.touch()
    locked = f'flock -n {tmp_path}/spool/backup.lock true && exit 9; echo "$@" >> {log}'
    for name, body in {
        "curl": f"exit {leads}",
        "pgbackrest": f'{locked}; case "$*" in *" backup") exit {backup};; esac',
        "python3": locked,
        "psql": "echo 0",  # the database knows of no repository
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    run = subprocess.run(
        ["sh", "-s", "incr"],
        input=script.replace("/etc/default/backbuild", f"{tmp_path}/known"),
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        text=True,
        check=False,
    )
    assert run.returncode == backup
    assert (
        log.read_text().splitlines()
        == [
            f"repo-ls archive/{GROUP}",
            f"repo-ls backup/{GROUP}",
            f"--stanza={GROUP} stanza-create",
            f"--stanza={GROUP} --type=incr backup",
            f"/usr/local/lib/backbuild/manifest.py {GROUP} backbuild",
        ][:steps]
    )


def test_the_documented_code_verifies_a_manifest(machine: Machine, repository: Repository, s3: S3):
    label = repository.backup(0)
    machine.done(repository)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/backup-manifest.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    envelope = s3.get(place(label))
    assert names["verified"](envelope, [public_key("another"), public_key(KEY)]) == opened(envelope)
    for wrong, keys in (
        (envelope, [public_key("another")]),
        (tampered(envelope, group="worker-2"), [public_key(KEY)]),
    ):
        with pytest.raises((ValueError, InvalidSignature)):
            names["verified"](wrong, keys)


def test_manifests_list_each_restore_point_once(machine: Machine, repository: Repository, s3: S3):
    def point(minute: int) -> dict[str, Any]:
        return {"name": f"backbuild-20261124T02{minute:02}00Z", "segments": {GROUP: f"00000001{0:08X}{minute:08X}"}}

    full = repository.backup(0)
    machine.done(repository)
    machine.write("points", "".join(f"{json.dumps(point(minute))}\n" for minute in (0, 1)))
    first = repository.backup(HOUR)
    machine.done(repository)
    machine.write("points", "".join(f"{json.dumps(point(minute))}\n" for minute in (0, 1, 2)))
    second = repository.backup(2 * HOUR)
    machine.done(repository)
    listed = {run: manifest.get("points") for run, manifest in manifests(s3).items()}
    assert listed == {full: None, first: [point(0), point(1)], second: [point(2)]}


def test_unreadable_restore_points_are_reported(machine: Machine, repository: Repository):
    repository.backup(0)
    machine.write("bin/psql", "#!/bin/sh\nexit 2\n")
    assert "backbuild failed with exit status 2" in machine.error(repository)
