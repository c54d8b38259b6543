"""Real backups of a small database, made once: a bucket's objects, and what a restore to each point must have."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from harness.backup_world import GROUP
from harness.repository import Folder, Repository
from tests.machines.restore.machine import facts_of


@dataclass
class Backups:
    """The objects of a bucket by key, and the rows at each restore point."""

    objects: dict[str, bytes] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    """By the point's name; of a full backup by its label."""

    @property
    def points(self) -> list[str]:
        """Return the points' names, oldest first."""
        return [name for name in self.facts if name.startswith("backbuild-")]

    @property
    def newest(self) -> str:
        """Return the newest point's name."""
        return self.points[-1]

    def promoted(self, label: str) -> dict[str, bytes]:
        """Return the objects of a full backup's daily folder, as the Workers make it, and its manifest."""
        folder = f"daily/{GROUP}/{label}"
        backup = {
            key: body
            for key, body in self.objects.items()
            if key.startswith(f"hourly/backup/{GROUP}/{label}/")
            or key.endswith(f"/{label}.manifest.zst")
            or key.rpartition("/")[2][:24] in self.needed[label]
        }
        manifest = f"manifests/{GROUP}/{label}"
        return {
            **{key.replace("hourly", folder, 1): body for key, body in backup.items()},
            f"{folder}/backup/{GROUP}/backup.info": self.objects[f"{manifest}/backup.info"],
            f"{folder}/archive/{GROUP}/archive.info": self.objects[f"{manifest}/archive.info"],
            **{key: body for key, body in self.objects.items() if key.startswith(manifest)},
        }

    needed: dict[str, list[str]] = field(default_factory=dict)
    """The WAL segments of each full backup."""


def make(made: Repository) -> tuple[Backups, Backups]:
    """Make backups; then restore in place to an earlier point, and make more: return both states of the bucket."""
    server = made.server
    server.sql("CREATE TABLE facts AS SELECT generate_series(1, 1000) AS n", "postgres")
    now = Backups()
    backup(made, now, "full")
    points(made, now, 2)
    backup(made, now, "incr")
    points(made, now, 2)
    before = Backups(contents(made), [*now.runs], {**now.facts}, {**now.needed})

    server.stop()
    point = before.points[2]
    made.pgbackrest("--delta", "--type=name", f"--target={point}", "--target-action=promote", "restore")
    server.start()
    server.wait_for("SELECT NOT pg_is_in_recovery()")
    assert facts_of(server) == before.facts[point]
    made.points = [one for one in made.points if one["name"] < point]
    backup(made, now, "full")
    points(made, now, 1)
    backup(made, now, "incr")
    points(made, now, 1)
    now.objects = contents(made)
    return before, now


def backup(made: Repository, now: Backups, kind: str) -> None:
    label = made.backup(kind)
    now.runs.append(label)
    if kind == "full":
        now.facts[label] = facts_of(made.server)
        (info,) = [one for one in information(made) if one["label"] == label]
        now.needed[label] = sorted({info["archive"]["start"], info["archive"]["stop"]})


def points(made: Repository, now: Backups, count: int) -> None:
    """Insert a row before each point."""
    for _ in range(count):
        made.server.sql(f"INSERT INTO facts VALUES ({1_000_000 + len(now.facts)})", "postgres")
        name = made.restore_point()
        now.facts[name] = facts_of(made.server)


def information(made: Repository) -> list[dict[str, Any]]:
    import json

    return json.loads(made.pgbackrest("--output=json", "info"))[0]["backup"]


def contents(made: Repository) -> dict[str, bytes]:
    """Return the bucket's objects."""
    folder = Folder(made.bucket)
    return {one["Key"]: folder.read(one["Key"]) for one in folder.objects("")}


ROOT = os.getuid() == 0
