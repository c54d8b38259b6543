"""The program that writes backup manifests reports each error with a remedy, and signs nothing in that case."""

from __future__ import annotations

import base64
import hashlib
import json
import runpy
import time
from pathlib import Path

import pytest

from machines.files import TEMPLATES
from model.signing import public_key
from tests.lanes import first
from tests.machines.manifests import GROUP, HOUR, KEY, S3, Machine, Repository, manifests, opened, place, tampered

PROGRAM = TEMPLATES / "database/usr/local/lib/backbuild/manifest.py"


@pytest.mark.parametrize("fault", ["403", "503"])
def test_permanent_errors_of_the_bucket_are_reported(machine: Machine, repository: Repository, s3: S3, fault: str):
    repository.backup(0)
    s3.fault = lambda _method, _path: fault
    assert f"the primary bucket still fails after 5 attempts: {fault}" in machine.error(repository)


def test_an_unreachable_bucket_is_reported(tmp_path: Path, repository: Repository, s3: S3):
    repository.backup(0)
    machine = Machine(tmp_path, s3)
    machine.write("pgbackrest.conf", (tmp_path / "pgbackrest.conf").read_text().replace(s3.address, "127.0.0.1:1"))
    assert "EndpointConnectionError" in machine.error(repository)


@pytest.mark.parametrize("change", ["deleted", "overwritten"])
def test_an_object_that_changes_after_it_was_listed_is_an_error(
    machine: Machine, repository: Repository, s3: S3, change: str
):
    label = repository.backup(0)
    key = f"hourly/backup/{GROUP}/{label}/bundle/2"

    def fault(_method: str, path: str) -> None:
        if path == key and change == "deleted":
            s3.fault = lambda _method, _path: None
            s3.delete(key)
        elif path == key:
            s3.fault = lambda _method, _path: None
            s3.put(key, b"something else")

    s3.fault = fault
    assert f"{key} was deleted or changed" in machine.error(repository)
    assert manifests(s3) == {}


def test_a_manifest_that_is_too_large_is_an_error(machine: Machine, repository: Repository, s3: S3):
    repository.backup(0, files=20)
    program = (machine.folder / "manifest.py").read_text()
    machine.write("manifest.py", program.replace("16 << 20", "2 << 10"))
    assert "has 27 objects: its manifest exceeds 2048 bytes" in machine.error(repository)
    assert manifests(s3) == {}


def test_a_failed_run_stops_only_the_runs_that_depend_on_it(machine: Machine, repository: Repository, s3: S3):
    first = repository.backup(0)
    machine.done(repository)
    gone = repository.backup(HOUR)
    s3.delete(f"hourly/backup/{GROUP}/{gone}/backup.manifest")
    dependent = repository.backup(2 * HOUR)
    output = machine.error(repository)
    assert f"{gone}/backup.manifest was deleted" in output
    assert f"{dependent} depends on {gone}, which has no manifest" in output
    full = repository.backup(24 * HOUR)
    machine.error(repository)
    assert list(manifests(s3)) == [first, full]
    machine.done(repository)


def test_a_run_whose_wal_is_not_archived_is_an_error(machine: Machine, repository: Repository, s3: S3):
    repository.backup(0, wal=5)
    (key,) = (key for key in s3.keys("hourly/archive/") if "000000010000000100000000-" in key)
    s3.delete(key)
    assert "needs WAL segment 000000010000000100000000, which is not archived" in machine.error(repository)
    assert manifests(s3) == {}


FORGERIES = {
    "not JSON": lambda _: b"\x00",
    "not an envelope": lambda _: b"[]",
    "no signature": lambda envelope: json.dumps({**json.loads(envelope), "signatures": []}).encode(),
    "changed payload": lambda envelope: tampered(envelope, kind="incremental"),
    "an unknown key": lambda envelope: runpy.run_path(str(PROGRAM))["Keys"]("stranger").seal(opened(envelope)),
}


@pytest.mark.parametrize("forgery", first(2, FORGERIES))
def test_a_forged_previous_manifest_is_an_error(machine: Machine, repository: Repository, s3: S3, forgery: str):
    label = repository.backup(0)
    machine.done(repository)
    s3.put(place(label), FORGERIES[forgery](s3.get(place(label))))
    repository.backup(HOUR)
    assert f"{place(label)} is not signed with our keys" in machine.error(repository)
    assert len([key for key in s3.keys("manifests/") if key.endswith(".json")]) == 1


def test_a_manifest_under_another_runs_name_is_an_error(machine: Machine, repository: Repository, s3: S3):
    label = repository.backup(0)
    machine.done(repository)
    newer = repository.backup(HOUR)
    s3.put(place(newer), s3.get(place(label)))
    assert "signed for another group or run" in machine.error(repository)


def test_a_missing_manifest_blocks_dependent_runs_until_the_next_full_backup(
    machine: Machine, repository: Repository, s3: S3
):
    first = repository.backup(0)
    repository.backup(HOUR)
    machine.done(repository)
    s3.delete(place(first))
    waiting = repository.backup(2 * HOUR)
    assert f"{waiting} depends on {first}, which has no manifest" in machine.error(repository)
    full = repository.backup(24 * HOUR)
    machine.error(repository)
    assert full in manifests(s3)
    next_one = repository.backup(25 * HOUR)
    machine.done(repository)
    assert next_one in manifests(s3)


def test_a_clock_that_is_behind_is_an_error(machine: Machine, repository: Repository):
    ahead = int(time.time()) - int(time.time()) % HOUR + 2 * HOUR
    label = repository.backup(ahead - repository.first)
    machine.done(repository)
    repository.backup(ahead - repository.first + HOUR)
    assert f"run {label} ended in the future" in machine.error(repository)


def test_manifest_keys_can_be_rotated(tmp_path: Path, machine: Machine, repository: Repository, s3: S3):
    first = repository.backup(0)
    machine.done(repository)
    second = repository.backup(HOUR)
    assert f"{place(first)} is not signed with our keys" in Machine(tmp_path / "a", s3, "new").error(repository)
    Machine(tmp_path / "b", s3, f"new\n{KEY}").done(repository)
    signers = [json.loads(s3.get(place(label)))["signatures"][0]["keyid"] for label in (first, second)]
    published = [base64.b64decode(public_key(password)) for password in (KEY, "new")]
    assert signers == [hashlib.sha256(key).hexdigest()[:16] for key in published]


def test_a_failure_of_pgbackrest_info_is_reported(machine: Machine, repository: Repository):
    machine.write("bin/pgbackrest", "#!/bin/sh\nexit 55\n")
    assert " info failed with exit status 55" in machine.error(repository)
