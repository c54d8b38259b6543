"""A simulated copy in memory: backups, WAL of several timelines, and manifests that manifest.py itself has signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from manifest import Group, Keys, ManifestError
from restore.archive import Wanted
from restore.selection import Selection, select
from restore.wal import number_of, segment_at

from model.restore_points import POINT, time_of

GROUP = "worker-1"
PASSWORD = "0123456789abcdefghijABCDEFGHIJ0123456789"
KEYS = Keys(PASSWORD)
START = datetime(2026, 1, 5, tzinfo=UTC)
FIRST = 0xFD  # the third from last segment of its WAL log number


class Bucket:
    """A copy, with the reading methods of the machines' `Copy` and the writing ones of manifest.py's `Store`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.content: dict[str, tuple[bytes, datetime]] = {}

    def objects(self, prefix: str) -> list[dict[str, Any]]:
        return [
            {"Key": key, "Size": len(body), "LastModified": at}
            for key, (body, at) in sorted(self.content.items())
            if key.startswith(prefix)
        ]

    def folders(self, prefix: str) -> list[str]:
        below = (key.removeprefix(prefix) for key in self.content if key.startswith(prefix))
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def read(self, key: str) -> bytes:
        if key not in self.content:
            raise ManifestError(f"{key} was deleted")
        return self.content[key][0]

    def sha256(self, one: dict[str, Any]) -> str:
        return hashlib.sha256(self.read(one["Key"])).hexdigest()


class Writer(Bucket):
    """The bucket as manifest.py writes into it, at the world's time."""

    def __init__(self, world: World, bucket: Bucket) -> None:
        self._world, self.content = world, bucket.content

    def create(self, key: str, body: bytes) -> None:
        self.content.setdefault(key, (body, self._world.time))


@dataclass
class World:
    """One group that makes backups, WAL and restore points in simulated time."""

    group: str = GROUP
    time: datetime = START
    bucket: Bucket = field(default_factory=lambda: Bucket("replica"))
    runs: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    timeline: int = 1
    number: int = FIRST
    history: int = 1

    def pass_time(self, seconds: float = 30) -> None:
        self.time += timedelta(seconds=seconds)

    def put(self, key: str, body: bytes) -> str:
        self.bucket.content[key] = (body, self.time)
        return key

    @property
    def archive(self) -> str:
        return f"hourly/archive/{self.group}/17-{self.history}/"

    def wal(self) -> str:
        """Archive the next segment; return its name."""
        segment = segment_at(self.timeline, self.number)
        body = f"{self.history} {segment}".encode()
        self.put(f"{self.archive}{segment[:16]}/{segment}-{hashlib.sha1(body).hexdigest()}.zst", body)
        self.number += 1
        return segment

    def key_of(self, segment: str) -> str:
        """Return the key of an archived segment."""
        return next(key for key in self.bucket.content if f"/{segment}-" in key and key.startswith(self.archive))

    def point(self) -> tuple[str, str]:
        """Make a restore point, half a minute later; return its name and its segment."""
        self.pass_time()
        name, segment = self.time.strftime(POINT), self.wal()
        self.points.append({"name": name, "segments": {self.group: segment, "coordinator": segment}})
        return name, segment

    def fork(self, number: int) -> None:
        """Begin a new timeline with a segment, as a failover or a restore in place does."""
        self.timeline, self.number = self.timeline + 1, number
        self.put(f"{self.archive}{self.timeline:08X}.history", b"history")

    def backup(self, kind: str = "full", *, sign: bool = True) -> str:
        """Make a backup with two files and two segments; return its label."""
        self.pass_time()
        stamp, last = self.time.strftime("%Y%m%d-%H%M%S"), self.runs[-1]["run"] if self.runs else ""
        label = f"{stamp}F" if kind == "full" else f"{last[:16]}_{stamp}I"
        started = self.time
        segments = [self.wal(), self.wal()]
        folder = f"hourly/backup/{self.group}"
        for name in ("bundle/1", "backup.manifest"):
            self.put(f"{folder}/{label}/{name}", f"{label} {name}".encode())
        for index in (f"{folder}/backup.info", f"hourly/archive/{self.group}/archive.info"):
            self.put(index, f"up to {label}".encode())
        self.pass_time(20)
        self.runs.append(
            {
                "run": label,
                "kind": kind,
                "startedAt": f"{started:%Y-%m-%dT%H:%M:%SZ}",
                "finishedAt": f"{self.time:%Y-%m-%dT%H:%M:%SZ}",
                "dependsOn": [] if kind == "full" else sorted({label[:16], last}),
                "wal": {"first": segments[0], "last": segments[-1]},
                "history": self.history,
            }
        )
        if sign:
            self.sign()
        return label

    def sign(self, keys: Keys = KEYS) -> None:
        """Write the missing manifests."""
        self.pass_time(1)
        group = Group(self.group, "hourly", Writer(self, self.bucket), keys, self.points)
        assert list(group.complete(self.runs)) == []

    def promote(self, label: str, place: str = "daily") -> str:
        """Copy a full backup into a class, as the Workers do; return its folder."""
        folder = f"{place}/{self.group}/{label}/"
        run = next(one for one in self.runs if one["run"] == label)
        first, last = (number_of(run["wal"][end]) for end in ("first", "last"))
        wal = [self.key_of(segment_at(int(run["wal"]["first"][:8], 16), number)) for number in range(first, last + 1)]
        history = f"{self.archive}{run['wal']['first'][:8]}.history"
        backup = [key for key in self.bucket.content if key.startswith(f"hourly/backup/{self.group}/{label}/")]
        for key in [*wal, *backup, *([history] if history in self.bucket.content else [])]:
            self.put(folder + key.removeprefix("hourly/"), self.bucket.read(key))
        for index, inner in (("backup.info", "backup"), ("archive.info", "archive")):
            self.put(
                f"{folder}{inner}/{self.group}/{index}", self.bucket.read(f"manifests/{self.group}/{label}/{index}")
            )
        return folder

    def drop(self, prefix: str) -> None:
        """Delete objects."""
        for key in [key for key in self.bucket.content if key.startswith(prefix)]:
            del self.bucket.content[key]

    def latest(self) -> Selection:
        return select(self.bucket, self.group, KEYS, None, None)

    def at(self, point: str) -> Selection:
        """Select for a restore to a point."""
        return select(self.bucket, self.group, KEYS, time_of(point), point)

    def before(self, moment: datetime) -> Selection:
        """Select for a restore to a time, as the operator's command asks for it."""
        return select(self.bucket, self.group, KEYS, moment - timedelta(minutes=1), moment.strftime(POINT))


def segments_in(wanted: tuple[Wanted, ...]) -> list[str]:
    """Return the segments among wanted objects."""
    return [one.path.rpartition("/")[2][:24] for one in wanted if "/17-" in one.path and one.path.endswith(".zst")]
