"""Tests of objects that are too large for one PUT: copied by multipart uploads, with real bytes and lowered limits."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from harness.backup_manifests import sealed
from harness.backup_world import GROUP, STORES, Machine, Run, World
from harness.offsite import Offsite
from harness.workerd import Host

PART = 5 * 1024**2  # the smallest that R2 and S3 accept
SIZES = {"put": PART, "part": PART}
BODY = random.Random(3).randbytes(2 * PART + 1_000_003)  # three parts
BASE = f"hourly/backup/{GROUP}/20270101-013000F"


@pytest.fixture
def world(host: Host, offsite: Offsite) -> World:
    return World(host, offsite, SIZES=SIZES)


def written(world: World, body: bytes = BODY, sha256: str | None = None) -> tuple[Run, str]:
    """Write a run with a large object, and deliver nothing. Return the run and the object's key."""
    run = Machine().backup(world.time, "full", files=1)
    key = f"hourly/backup/{GROUP}/{run.label}/large"
    run.objects[key] = body
    listed = {**run.manifest["objects"][0], "key": key, "kind": "backup", "size": len(body)}
    run.manifest["objects"].append({**listed, "sha256": sha256 or hashlib.sha256(body).hexdigest()})
    run.manifest["objects"].sort(key=lambda one: one["key"])
    run.envelope = sealed(run.manifest)
    world.time = run.finished
    world.write(run.objects)
    world.write({run.key: run.envelope})
    world.cron("verify")  # reads the manifest
    return run, key


def uploads(offsite: Offsite) -> list[Any]:
    return list(offsite._bucket.multiparts)


def parts_sent(offsite: Offsite) -> int:
    return len([one for one in offsite.requests if one.method == "PUT" and "partNumber=" in one.path])


@pytest.mark.long
def test_listed_object_is_copied_in_parts_with_digest_and_lock(world: World, host: Host, offsite: Offsite) -> None:
    _, key = written(world)
    offsite.requests.clear()
    assert world.deliver([key]) == []
    assert [world.read(store, key) == BODY for store in ("replica", "offsite")] == [True, True]
    digest = hashlib.sha256(BODY).hexdigest()
    assert offsite.get(key)[1] == digest
    replica = host.get("COPY_REPLICA", key)
    assert replica is not None
    assert replica["customMetadata"]["sha256"] == digest
    assert parts_sent(offsite) == 3
    assert key in {name.lstrip("/") for name in offsite.locks}
    for one in offsite.requests:
        if "partNumber=" in one.path:
            assert one.headers["x-amz-checksum-sha256"]
    # Another event finds the copies by their metadata.
    offsite.requests.clear()
    assert world.deliver([key]) == []
    assert [one.method for one in offsite.requests] == ["HEAD"]
    assert world.sql("SELECT * FROM uploads") == world.sql("SELECT * FROM upload_parts") == []


def test_unlisted_object_gets_its_digest_while_it_is_copied(world: World, offsite: Offsite) -> None:
    key = f"{BASE}/unlisted"
    assert world.deliver(world.write({key: BODY})) == []
    assert [world.read(store, key) == BODY for store in ("replica", "offsite")] == [True, True]
    assert offsite.get(key)[1] == hashlib.sha256(BODY).hexdigest()
    offsite.requests.clear()
    assert world.deliver([key]) == []
    assert [one.method for one in offsite.requests] == ["HEAD"]


def test_other_bytes_than_listed_are_never_stored(world: World, offsite: Offsite) -> None:
    _, key = written(world)
    world.write({key: BODY[:-1] + bytes([BODY[-1] ^ 1])})
    assert world.deliver([key]) == []
    assert [world.read(store, key) for store in ("replica", "offsite")] == [None, None]
    assert uploads(offsite) == []
    (finding,) = world.findings("closed_at IS NULL AND kind = 'damaged'")
    assert (finding["store"], finding["key"]) == ("primary", key)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.long
def test_interruption_at_any_step_resumes_with_the_missing_parts(
    world: World, offsite: Offsite, *, after: bool
) -> None:
    _, key = written(world)
    for step in range(1, 40):
        offsite.requests.clear()
        left = world.deliver([key], fall={"at": step, "after": after})
        if left == []:
            break
        for store in ("replica", "offsite"):
            assert world.read(store, key) in (None, BODY)
    assert world.deliver([key]) == []
    assert [world.read(store, key) == BODY for store in ("replica", "offsite")] == [True, True]
    assert world.sql("SELECT * FROM uploads") == world.sql("SELECT * FROM upload_parts") == []


@pytest.mark.long
def test_parts_that_were_sent_before_an_interruption_are_not_sent_again(world: World, offsite: Offsite) -> None:
    _, key = written(world)
    offsite.failing = lambda: "partNumber=2" in offsite.requests[-1].path
    assert world.deliver([key]) == [key]
    # The other copy is complete: one failing store does not affect it.
    assert [world.read(store, key) == BODY for store in ("replica", "offsite")] == [True, False]
    offsite.failing = lambda: False
    offsite.requests.clear()
    assert world.deliver([key]) == []
    assert world.read("offsite", key) == BODY
    assert parts_sent(offsite) == 2


@pytest.mark.long
def test_upload_that_the_store_deleted_is_begun_anew(world: World, offsite: Offsite) -> None:
    _, key = written(world)
    offsite.failing = lambda: "partNumber=3" in offsite.requests[-1].path
    assert world.deliver([key]) == [key]
    offsite.failing = lambda: False
    offsite._bucket.multiparts.clear()
    assert world.deliver([key]) == [key]
    assert world.deliver([key]) == []
    assert world.read("offsite", key) == BODY


@pytest.mark.long
def test_primary_that_changed_during_the_interruption_is_copied_as_it_is_now(world: World, offsite: Offsite) -> None:
    key = f"{BASE}/unlisted"
    offsite.failing = lambda: "partNumber=3" in offsite.requests[-1].path
    assert world.deliver(world.write({key: BODY})) == [key]
    offsite.failing = lambda: False
    changed = BODY[::-1]
    assert world.deliver(world.write({key: changed})) == []
    assert [world.read(store, key) == changed for store in ("replica", "offsite")] == [True, True]
    assert uploads(offsite) == []


@pytest.mark.long
def test_lost_copy_is_repaired_in_parts(world: World) -> None:
    _, key = written(world)
    assert world.deliver([key]) == []
    world.settle()
    for lost in STORES:
        world.delete(lost, key)
        world.pass_by(days=7)
        world.cron("verify")
        assert world.read(lost, key) == BODY
    assert world.findings("closed_at IS NULL") == []
