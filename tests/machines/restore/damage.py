"""Damage to a copy that a seed repeats. `damages` are done to its objects, `faults` to its answers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.backup_manifests import PASSWORD, PRODUCER
from harness.backup_world import GROUP
from tests.machines.manifests import S3, Fault, opened, tampered

ARCHIVE = f"hourly/archive/{GROUP}/"


@dataclass
class Damaged:
    """A damaged bucket: what was done to which object."""

    kind: str
    key: str


def objects(s3: S3, *, of: Callable[[str], object] = lambda _key: True) -> list[str]:
    """Return the keys of the objects that a restore may need."""
    current = (f"{ARCHIVE}archive.info", f"hourly/backup/{GROUP}/backup.info")  # the manifests' own copies are read
    return [key for key in s3.keys("") if not key.startswith(current) and of(key)]


def is_wal(key: str) -> bool:
    return key.startswith(ARCHIVE) and key.endswith(".zst")


def is_manifest(key: str) -> bool:
    return key.startswith("manifests/") and key.endswith(".json")


def flipped(s3: S3, chance: random.Random) -> str:
    key = chance.choice(objects(s3))
    body = bytearray(s3.get(key))
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    s3.put(key, bytes(body))
    return key


def missing(s3: S3, chance: random.Random) -> str:
    key = chance.choice(objects(s3))
    s3.delete(key)
    return key


def truncated(s3: S3, chance: random.Random) -> str:
    key = chance.choice(objects(s3))
    body = s3.get(key)
    s3.put(key, body[: chance.randrange(len(body))])
    return key


def extra_wal(s3: S3, chance: random.Random) -> str:
    """Another segment's bytes, which pgBackRest can decrypt, with a listed segment's name."""
    key, other = chance.sample(objects(s3, of=is_wal), 2)
    extra = f"{key[:-44]}{chance.randbytes(20).hex()}.zst"
    s3.put(extra, s3.get(other))
    return extra


def swapped_wal(s3: S3, chance: random.Random) -> str:
    """A listed segment is gone, and another one has its name."""
    key = chance.choice(objects(s3, of=is_wal))
    extra_of = f"{key[:-44]}{chance.randbytes(20).hex()}.zst"
    s3.put(extra_of, s3.get(key))
    s3.delete(key)
    return key


def renamed_wal(s3: S3, chance: random.Random) -> str:
    """The bytes of another segment of the same size, if the store says so."""
    key, other = chance.sample(objects(s3, of=is_wal), 2)
    s3.put(key, s3.get(other))
    return key


def gap(s3: S3, chance: random.Random) -> str:
    return _lost(s3, chance.choice(objects(s3, of=is_wal)))


def junk(s3: S3, chance: random.Random) -> str:
    folder = chance.choice(objects(s3)).rpartition("/")[0]
    key = chance.choice([f"{folder}/junk", f"{folder}/../../junk", f"manifests/{GROUP}/junk.json", f"{ARCHIVE}junk"])
    s3.put(key, chance.randbytes(100))
    return key


def far_wal(s3: S3, chance: random.Random) -> str:
    """A segment's name far behind the newest one, or of a timeline that does not exist."""
    key = chance.choice(objects(s3, of=is_wal))
    history = key.split("/")[3]
    name = chance.choice(["000000010000FFFF000000FF", "0000007F0000000000000007"])
    extra = f"{ARCHIVE}{history}/{name[:16]}/{name}-{chance.randbytes(20).hex()}.zst"
    s3.put(extra, s3.get(key))
    return extra


def stale(s3: S3, _chance: random.Random) -> str:
    """The newest manifest is gone."""
    return _lost(s3, objects(s3, of=is_manifest)[-1])


def rolled_back(s3: S3, chance: random.Random) -> str:
    """An older manifest's envelope is in the place of a newer one."""
    older, newer = sorted(chance.sample(objects(s3, of=is_manifest), 2))
    s3.put(newer, s3.get(older))
    return newer


def forged(s3: S3, chance: random.Random) -> str:
    """A manifest that somebody else has signed, or that was changed."""
    key = chance.choice(objects(s3, of=is_manifest))
    manifest = opened(s3.get(key))
    other = PRODUCER["Keys"]("stranger").seal(manifest)
    s3.put(key, chance.choice([other, tampered(s3.get(key), wal=manifest["wal"], finishedAt="2020-01-01T00:00:00Z")]))
    return key


def broken_chain(s3: S3, chance: random.Random) -> str:
    """A manifest with our signature that follows another one than the next manifest says."""
    key = chance.choice(objects(s3, of=is_manifest)[:-1])
    manifest = opened(s3.get(key))
    s3.put(key, PRODUCER["Keys"](PASSWORD).seal({**manifest, "startedAt": "2020-01-01T00:00:00Z"}))
    return key


def without_middle(s3: S3, chance: random.Random) -> str:
    """A manifest within the chain is gone."""
    return _lost(s3, chance.choice(objects(s3, of=is_manifest)[:-1]))


def _lost(s3: S3, key: str) -> str:
    s3.delete(key)
    return key


DAMAGES: list[Callable[[S3, random.Random], str]] = [
    flipped,
    missing,
    truncated,
    extra_wal,
    swapped_wal,
    renamed_wal,
    gap,
    junk,
    far_wal,
    stale,
    rolled_back,
    forged,
    broken_chain,
    without_middle,
]


def failing(chance: random.Random) -> Fault:
    """30 % of the requests fail."""
    return lambda _method, _path: "503" if chance.random() < 0.3 else None


def cutting(chance: random.Random) -> Fault:
    """30 % of the bodies end half-way."""
    return lambda _method, _path: "cut" if chance.random() < 0.3 else None


def slow(chance: random.Random) -> Fault:
    def fault(_method: str, _path: str) -> None:
        time.sleep(chance.random() / 10)

    return fault


FAULTS: list[Callable[[random.Random], Fault]] = [failing, cutting, slow]


def damage(s3: S3, seed: int) -> Damaged:
    """Damage the bucket. Each kind occurs before any occurs again."""
    chance = random.Random(seed)
    kinds = [*DAMAGES, *FAULTS]
    kind = kinds[seed % len(kinds)]
    if kind in FAULTS:
        s3.fault = kind(chance)  # pyright: ignore
        return Damaged(kind.__name__, "")
    return Damaged(kind.__name__, kind(s3, chance))  # pyright: ignore
