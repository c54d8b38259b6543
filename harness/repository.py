"""A real PostgreSQL server that pgBackRest backs up into a folder, with signed manifests, and restores of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.backup_manifests import PASSWORD, PRODUCER
from harness.backup_world import GROUP
from harness.postgres import Server, former_programs, programs, run
from harness.waiting import TIMEOUT_SECONDS, until
from model.restore_points import POINT


class Folder:
    """A folder with the interface of the manifest program's `Store`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def objects(self, prefix: str) -> list[dict[str, Any]]:
        """Return the files whose keys begin with a prefix, in S3's list format."""
        files = [path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()]
        named = {path.relative_to(self.root).as_posix(): path for path in files}
        return [
            {
                "Key": key,
                "Size": path.stat().st_size,
                "LastModified": datetime.fromtimestamp(int(path.stat().st_mtime), UTC),
            }
            for key, path in sorted(named.items())
            if key.startswith(prefix)
        ]

    def read(self, key: str) -> bytes:
        """Return a file's bytes."""
        return (self.root / key).read_bytes()

    def sha256(self, one: dict[str, Any]) -> str:
        """Return the SHA-256 of a listed file's bytes."""
        return hashlib.sha256(self.read(one["Key"])).hexdigest()

    def create(self, key: str, body: bytes) -> None:
        """Write a file, unless it exists."""
        path = self.root / key
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)


class Repository:
    """A server and its pgBackRest repository. Paths below `bucket` are the keys in the primary bucket."""

    def __init__(self, folder: Path, *, former: bool, seconds: float) -> None:
        self.folder, self.bucket = folder, folder / "bucket"
        self._seconds = seconds
        self.server = Server(folder, "server", programs=former_programs(folder) if former else programs())
        self._written: set[str] = set()
        self.points: list[dict[str, Any]] = []
        """The restore points that the next manifest lists, in the format of `points_of`."""
        for path in (self.bucket / "hourly", folder / "log", folder / "lock"):
            path.mkdir(parents=True)
        self.configuration = self.configure(folder / "pgbackrest.conf", self.bucket / "hourly", self.server)
        _owned(folder)
        self._make()
        self.pgbackrest("stanza-create")

    def make_anew(self) -> None:
        """Recreate the server with an empty database, as if the group was removed and added; keep the repository.

        A server of an earlier major version becomes one of the installed version.
        """
        self.server.stop()
        _remove(self.server.data)
        self.server.programs = programs()
        self._make()

    def _make(self) -> None:
        access = ("--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256")
        run(
            self.server.programs / "initdb",
            *access,
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--pgdata",
            self.server.data,
        )
        with (self.server.data / "postgresql.conf").open("a") as settings:
            push = f"pgbackrest --config={self.configuration} --stanza={GROUP} archive-push %p"
            settings.write(f"archive_mode=on\narchive_command='{push}'\n")
        self.server.start()
        # Now the port is known.
        self.configure(self.configuration, self.bucket / "hourly", self.server)

    def configure(self, path: Path, repository: Path, server: Server) -> Path:
        """Write pgBackRest's configuration for a repository and a server; return its path."""
        path.write_text(
            f"[global]\nrepo1-path={repository}\nrepo1-bundle=y\nrepo1-cipher-type=aes-256-cbc\n"
            f"repo1-cipher-pass={PASSWORD}\ncompress-type=zst\nexpire-auto=n\nstart-fast=y\nlog-level-console=warn\n"
            f"log-path={self.folder}/log\nlock-path={self.folder}/lock\n"
            f"[{GROUP}]\npg1-path={server.data}\npg1-port={server.port or 5432}\npg1-socket-path={self.folder}\n"
            "pg1-user=postgres\n"
        )
        return path

    def pgbackrest(self, *arguments: str, configuration: Path | None = None) -> str:
        """Run pgBackRest for this group. Return its output."""
        options = (f"--config={configuration or self.configuration}", f"--stanza={GROUP}")
        return run("pgbackrest", *options, *arguments, timeout=self._seconds)

    def backup(self, kind: str) -> str:
        """Make a backup and its manifest, as a machine does. Return the run's label."""
        self.pgbackrest(f"--type={kind}", "backup")
        return self.sign()

    def restore_point(self) -> str:
        """Make a restore point, as machines do, and archive its segment. Return its name, which no other point has."""
        began = time.time()
        until(lambda: int(time.time()) > int(began), "the next second")
        name = datetime.now(UTC).strftime(POINT)
        self.server.sql(f"SELECT pg_create_restore_point('{name}')", "postgres")
        segment = self.server.sql("SELECT pg_walfile_name(pg_switch_wal() - 1)", "postgres")
        self.server.wait_for(f"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver")
        self.points.append({"name": name, "segments": {GROUP: segment}})
        return name

    def sign(self) -> str:
        """Write the missing manifests. Return the newest run's label."""
        information = json.loads(self.pgbackrest("--output=json", "info"))
        runs = [PRODUCER["run_of"](backup) for stanza in information for backup in stanza["backup"]]
        group = PRODUCER["Group"](GROUP, "hourly", Folder(self.bucket), PRODUCER["Keys"](PASSWORD), self.points)
        problems = list(group.complete(runs))
        assert problems == [], problems
        return runs[-1]["run"]

    def written(self) -> dict[str, bytes]:
        """Return the objects that were written since the last call, by key, manifests last."""
        folder = Folder(self.bucket)
        keys = [one["Key"] for one in folder.objects("") if one["Key"] not in self._written]
        self._written |= {key for key in keys if not key.endswith((".info", ".info.copy"))}
        return {key: folder.read(key) for key in sorted(keys, key=lambda key: (key.startswith("manifests/"), key))}

    @contextmanager
    def restored(self, objects: dict[str, bytes], *options: str, version: Path | None = None) -> Generator[Server]:
        """Restore a server from a repository that contains only `objects`, by path below the repository.

        `version`: the folder of PostgreSQL's programs, if not those of the installed version.
        """
        where = Path(tempfile.mkdtemp(prefix="restored-", dir=self.folder))
        for path, body in objects.items():
            (where / "repository" / path).parent.mkdir(parents=True, exist_ok=True)
            (where / "repository" / path).write_bytes(body)
        server = Server(where, "data", programs=version or programs())
        server.data.mkdir(mode=0o700)
        configuration = self.configure(where / "pgbackrest.conf", where / "repository", server)
        _owned(where)
        self.pgbackrest(*options, "restore", configuration=configuration)
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write("archive_mode=off\n")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _owned(folder: Path) -> None:
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "postgres", "postgres")


@contextmanager
def repository(*, former: bool = False, seconds: float = TIMEOUT_SECONDS) -> Generator[Repository]:
    """Start a server with a repository. On exit, stop it and delete its files.

    `former`: the server begins with an earlier major version of PostgreSQL. `seconds`: the limit of a pgBackRest run.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, because a socket's path is limited to 107 bytes
    made: Repository | None = None
    try:
        made = Repository(folder, former=former, seconds=seconds)
        yield made
    finally:
        if made is not None:
            made.server.stop()
        _remove(folder)


def _remove(folder: Path) -> None:
    """Delete a folder. An `archive_command` may run a little longer than its server and still write there: retry."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{folder} is still written to")
