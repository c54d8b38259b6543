"""When the producer of backup manifests refuses, it says what is wrong and what to do, and signs nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import runpy
import time
from pathlib import Path

import pytest

from components.keys import public_key
from machines.files import TEMPLATES
from tests.machines.manifests import GROUP, HOUR, KEY, S3, Machine, Repository, manifests, opened, place, tampered

PROGRAM = TEMPLATES / "database/usr/local/lib/backbuild/manifest.py"


@pytest.mark.parametrize("fault", ["403", "503"])
def test_a_store_that_always_fails_is_reported(machine: Machine, repository: Repository, s3: S3, fault: str):
    repository.backup(0)
    s3.fault = lambda _method, _path: fault
    assert f"the store fails again and again: {fault}" in machine.refused(repository)


def test_a_store_that_is_away_is_reported(tmp_path: Path, repository: Repository, s3: S3):
    repository.backup(0)
    machine = Machine(tmp_path, s3)
    machine.write("pgbackrest.conf", (tmp_path / "pgbackrest.conf").read_text().replace(s3.address, "127.0.0.1:1"))
    assert "EndpointConnectionError" in machine.refused(repository)


@pytest.mark.parametrize("change", ["vanishes", "changes"])
def test_an_object_that_is_not_what_was_listed_any_more(machine: Machine, repository: Repository, s3: S3, change: str):
    label = repository.backup(0)
    key = f"hourly/backup/{GROUP}/{label}/bundle/2"

    def fault(_method: str, path: str) -> None:
        if path == key and change == "vanishes":
            s3.fault = lambda _method, _path: None
            s3.delete(key)
        elif path == key:
            s3.fault = lambda _method, _path: None
            s3.put(key, b"something else")

    s3.fault = fault
    assert f"{key} vanished or changed" in machine.refused(repository)
    assert manifests(s3) == {}


def test_a_run_of_too_many_objects(machine: Machine, repository: Repository, s3: S3):
    repository.backup(0, files=20)
    program = (machine.folder / "manifest.py").read_text()
    machine.write("manifest.py", program.replace("16 << 20", "2 << 10"))
    assert "has 27 objects, too many" in machine.refused(repository)
    assert manifests(s3) == {}


def test_a_run_whose_objects_are_gone_holds_up_none_that_can_do_without(
    machine: Machine, repository: Repository, s3: S3
):
    first = repository.backup(0)
    machine.done(repository)
    gone = repository.backup(HOUR)
    s3.delete(f"hourly/backup/{GROUP}/{gone}/backup.manifest")
    upon_it = repository.backup(2 * HOUR)
    said = machine.refused(repository)
    assert f"{gone}/backup.manifest vanished" in said
    assert f"{upon_it} needs {gone}, of which there is no manifest" in said
    full = repository.backup(24 * HOUR)
    machine.refused(repository)
    assert list(manifests(s3)) == [first, full]
    machine.done(repository)


def test_a_run_whose_wal_is_not_archived(machine: Machine, repository: Repository, s3: S3):
    repository.backup(0, wal=5)
    (key,) = (key for key in s3.keys("hourly/archive/") if "000000010000000100000000-" in key)
    s3.delete(key)
    assert "needs 000000010000000100000000, not archived" in machine.refused(repository)
    assert manifests(s3) == {}


FORGERIES = {
    "not JSON": lambda _: b"\x00",
    "not an envelope": lambda _: b"[]",
    "no signature": lambda envelope: json.dumps({**json.loads(envelope), "signatures": []}).encode(),
    "other words": lambda envelope: tampered(envelope, kind="incremental"),
    "another key's": lambda envelope: runpy.run_path(str(PROGRAM))["Keys"]("stranger").seal(opened(envelope)),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_previous_one_that_is_forged(machine: Machine, repository: Repository, s3: S3, forgery: str):
    label = repository.backup(0)
    machine.done(repository)
    s3.put(place(label), FORGERIES[forgery](s3.get(place(label))))
    repository.backup(HOUR)
    assert f"{place(label)} is not signed with our keys" in machine.refused(repository)
    assert len([key for key in s3.keys("manifests/") if key.endswith(".json")]) == 1


def test_a_previous_one_from_another_place(machine: Machine, repository: Repository, s3: S3):
    label = repository.backup(0)
    machine.done(repository)
    newer = repository.backup(HOUR)
    s3.put(place(newer), s3.get(place(label)))
    assert "signed for another place" in machine.refused(repository)


def test_a_missing_one_that_others_need_until_there_is_a_full_backup(machine: Machine, repository: Repository, s3: S3):
    first = repository.backup(0)
    repository.backup(HOUR)
    machine.done(repository)
    s3.delete(place(first))
    waiting = repository.backup(2 * HOUR)
    assert f"{waiting} needs {first}, of which there is no manifest" in machine.refused(repository)
    full = repository.backup(24 * HOUR)
    machine.refused(repository)
    assert full in manifests(s3)
    next_one = repository.backup(25 * HOUR)
    machine.done(repository)
    assert next_one in manifests(s3)


def test_a_clock_that_is_behind(machine: Machine, repository: Repository):
    ahead = int(time.time()) - int(time.time()) % HOUR + 2 * HOUR
    label = repository.backup(ahead - repository.first)
    machine.done(repository)
    repository.backup(ahead - repository.first + HOUR)
    assert f"by the clock here, {label} is yet to end" in machine.refused(repository)


def test_keys_are_rotated(tmp_path: Path, machine: Machine, repository: Repository, s3: S3):
    first = repository.backup(0)
    machine.done(repository)
    second = repository.backup(HOUR)
    assert f"{place(first)} is not signed with our keys" in Machine(tmp_path / "a", s3, "new").refused(repository)
    Machine(tmp_path / "b", s3, f"new\n{KEY}").done(repository)
    signers = [json.loads(s3.get(place(label)))["signatures"][0]["keyid"] for label in (first, second)]
    published = [base64.b64decode(public_key(password)) for password in (KEY, "new")]
    assert signers == [hashlib.sha256(key).hexdigest()[:16] for key in published]


def test_pgbackrest_that_fails_is_reported(machine: Machine, repository: Repository):
    machine.write("bin/pgbackrest", "#!/bin/sh\nexit 55\n")
    assert "pgbackrest info ended with 55" in machine.refused(repository)
