"""Real backups of a small database, made once: a bucket's objects, and what a restore to each point must have."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from harness.backup_world import GROUP
from harness.repository import Folder, Repository
from tests.machines.manifests import S3
from tests.machines.restore.machine import facts_of

PREPARED = ("citus_0_10_1_1", "citus_0_10_2_1", "another-program")
# Tables of the shape that Citus has. Its library is not installed, and a restore must not need it.
CITUS = """
SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (90000, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.0-1');
CREATE TABLE pg_catalog.pg_dist_node (nodeid int PRIMARY KEY, groupid int, nodename text, nodeport int,
    noderole text, UNIQUE (nodename, nodeport));
INSERT INTO pg_catalog.pg_dist_node VALUES (1, 0, '10.0.0.10', 5432, 'primary'),
    (2, 1, '10.0.0.21', 5432, 'primary'), (3, 2, '10.0.0.31', 5432, 'primary'), (4, 1, '10.0.0.22', 5432, 'secondary');
CREATE FUNCTION public.needs_citus() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''Citus is not loaded''; END';
CREATE TRIGGER changed BEFORE UPDATE OR DELETE ON pg_catalog.pg_dist_node
    FOR EACH ROW EXECUTE FUNCTION public.needs_citus();
CREATE TABLE pg_catalog.pg_dist_transaction (groupid int, gid text);
INSERT INTO pg_catalog.pg_dist_transaction VALUES (1, 'citus_0_10_1_1'), (1, 'citus_0_9_9_9');
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", repmodel "char");
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint);
CREATE TABLE public.countries_102008 AS SELECT generate_series(1, 7) AS n;
CREATE TABLE public.countries (n int);
CREATE TABLE public.orders (n int);
INSERT INTO pg_catalog.pg_dist_partition VALUES ('countries', 'n', 't'), ('orders', 'h', 's');
INSERT INTO pg_catalog.pg_dist_shard VALUES ('countries', 102008), ('orders', 102009);
CREATE TABLE public.parts (gid text);
"""


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
            or f"/{label}.manifest." in key
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


def stored(s3: S3, backups: Backups) -> Backups:
    """Put backups into the bucket."""
    for key, body in backups.objects.items():
        s3.put(key, body)
    return backups


def make(made: Repository) -> tuple[Backups, Backups]:
    """Make backups; then restore in place to an earlier point, and make more: return both states of the bucket."""
    server = made.server
    server.stop()
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("listen_addresses = '*'\nshared_preload_libraries = 'auto_explain'\n")
        settings.write("max_prepared_transactions = 10\nfsync = off\n")
    server.start()
    server.sql(CITUS, "postgres")
    for gid in PREPARED:
        server.sql(f"BEGIN; INSERT INTO parts VALUES ('{gid}'); PREPARE TRANSACTION '{gid}'", "postgres")
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
    return json.loads(made.pgbackrest("--output=json", "info"))[0]["backup"]


def contents(made: Repository) -> dict[str, bytes]:
    """Return the bucket's objects."""
    folder = Folder(made.bucket)
    return {one["Key"]: folder.read(one["Key"]) for one in folder.objects("")}
