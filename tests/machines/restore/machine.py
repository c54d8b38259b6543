"""A machine that restores: the package `restore` and its files in a folder, with real PostgreSQL and pgBackRest.

Only the folders, the buckets' addresses and the pauses between attempts differ from a machine. Its account keeps one
capability of root: it needs to read Python, which may lie in root's home.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.backup_manifests import PASSWORD
from harness.backup_world import GROUP
from harness.postgres import Server, programs
from harness.waiting import TIMEOUT_SECONDS
from machines.files import TEMPLATES
from model.topology import Port
from tests.machines.manifests import BUCKET, S3

LIBRARY = TEMPLATES / "database/usr/local/lib/backbuild"
PAUSES = "(1, 2, 4, 8, 16)  # seconds"
READERS = "backbuild-staging-backup-readers"
COPY = "replica"
SECRET = "a-secret-of-the-readers"
MEMBER = f"{GROUP}-0"
AS_POSTGRES = (
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--init-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)
STUBS = {"systemctl": 'echo "$@" >>"$0.log"; [ "$1" != is-active ]'}


class Machine:
    """One member's folder. `folder` is short, because a socket's path is limited to 107 bytes."""

    def __init__(self, folder: Path, s3: S3) -> None:
        self.folder, self.s3 = folder, s3
        self.library, self.data, self.postgres = folder / "lib", folder / "data", folder / "data/postgresql"
        shutil.copytree(LIBRARY / "restore", self.library / "restore", ignore=shutil.ignore_patterns("__pycache__"))
        program = (LIBRARY / "manifest.py").read_text()
        assert PAUSES in program
        self.write("lib/manifest.py", program.replace("https://", "http://").replace(PAUSES, "(0, 0, 0, 0, 0)"))
        self.write("secrets/backup-cipher", PASSWORD)
        self.write("secrets/manifest-keys", PASSWORD)
        self.allow({COPY: {}})
        for name, body in STUBS.items():
            self.stub(name, body)
        self.data.mkdir()
        self.make_runtime()
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "postgres", "postgres")
        self.environment = {
            "PATH": f"{folder}/bin:{programs()}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATA": str(self.data),
            "GROUP": GROUP,
            "MEMBER": MEMBER,
            "ADDRESS": "127.0.0.1",
            "CITUS_GROUP": "1",
            "STACK": "staging",
            "READERS": READERS,
            "SECRETS_COMMAND": f"{folder}/bin/secrets --read",
            "SECRETS_FOLDER": f"{folder}/secrets",
            "RUNTIME": f"{folder}/run",
            "POSTGRES_DATA": str(self.postgres),
            "POSTGRES_PROGRAMS": str(programs()),
            "REST_PORT": "8008",
            "RESTORED_PORT": str(Port.RESTORED.number),
        }

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def stub(self, name: str, body: str) -> None:
        """Put a shell script before the programs of this name."""
        self.write(f"bin/{name}", f"#!/bin/sh\n{body}\n").chmod(0o755)

    def allow(self, copies: dict[str, dict[str, str]]) -> None:
        """Let the secret have copies, each with changes of its fields."""
        fields = {"bucket": BUCKET, "endpoint": self.s3.address, "region": "us-east-1"}
        keys = {"accessKeyId": "id", "secretAccessKey": SECRET}
        content = {"copies": {name: {**fields, **keys, **changes} for name, changes in copies.items()}}
        answer = json.dumps({READERS: json.dumps(content)})
        self.stub("secrets", f'[ "$*" = "--read {READERS}" ] && echo {shlex.quote(answer)}')

    def forbid(self) -> None:
        """Let the machine not read the secret."""
        self.stub("secrets", f"echo 'AccessDeniedException: {READERS}' >&2; exit 254")

    def start(self, *words: str, root: bool = False) -> subprocess.Popen[str]:
        """Start `backbuild-restore` as the machine does."""
        return subprocess.Popen(
            [*(() if root else AS_POSTGRES), sys.executable, "-m", "restore", *words],
            env=self.environment,
            cwd=self.library,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def call(self, *words: str, root: bool = False) -> tuple[int, str, str]:
        """Run `backbuild-restore`; return its status, its output and its errors, which contain no secret."""
        process = self.start(*words, root=root)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        assert not any(secret in out + err for secret in (SECRET, PASSWORD))
        return process.returncode, out, err

    def done(self, *words: str, root: bool = False) -> str:
        """Run `backbuild-restore`, which must succeed; return its output."""
        code, out, err = self.call(*words, root=root)
        assert code == 0, err
        return out

    def refused(self, *words: str, root: bool = False) -> str:
        """Run `backbuild-restore`, which must fail with a message; return the message."""
        code, _, err = self.call(*words, root=root)
        assert code == 1, err
        assert err.startswith("backbuild-restore: "), err
        assert "Traceback" not in err
        return err.removeprefix("backbuild-restore: ").strip()

    def begin(self, name: str, to: str = "latest", before: str | None = None, upto: str | None = None) -> None:
        """Keep a plan, as the command `begin` does."""
        plan = self.write(f"data/restored/{name}/plan.json", plan_of(to, before, upto))
        for path in (plan, self.of(name), self.of(name).parent):
            shutil.chown(path, "postgres", "postgres")

    def step(self, name: str, step: str, **arguments: Any) -> dict[str, Any]:
        """Run a step, which must succeed; return its result."""
        self.done("run", name, step, json.dumps(arguments))
        return json.loads((self.of(name) / f"done-{step}.json").read_text())

    def of(self, name: str) -> Path:
        """Return a restore's folder."""
        return self.data / "restored" / name

    def restore(self, name: str, point: str | None = None) -> dict[str, Any]:
        """Restore to a point, or to the newest one, up to the checks; return the results of the steps."""
        if not self.of(name).exists():
            self.begin(name, *((point, iso_of(point), point) if point else ()))
        fetched = self.step(name, "fetch")
        chosen = point or max(fetched["points"], default=None)
        recovered = self.step(name, "recover", point=chosen, segment=fetched["points"].get(chosen))
        return {"fetch": fetched, "recover": recovered, "check": self.step(name, "check")}

    @contextmanager
    def server(self, name: str) -> Iterator[Server]:
        """Start the recovered cluster; it archives nothing."""
        data = self.postgres if name == "in-place" else self.of(name) / "data"
        server = Server(data.parent, data.name)
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write("archive_command = 'false'\n")
        server.start()
        try:
            yield server
        finally:
            server.stop()

    def facts(self, name: str) -> str:
        """Return which rows the recovered cluster has."""
        with self.server(name) as server:
            return facts_of(server)

    def kill(self) -> None:
        """Kill everything that a step has left and empty its folder in memory, as the end of its unit does."""
        for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                where = str(Path(f"/proc/{pid}/cwd").readlink())
                if pid != os.getpid() and (bytes(self.folder) in words or where.startswith(str(self.folder))):
                    os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                pass
        shutil.rmtree(self.folder / "run")
        self.make_runtime()

    def make_runtime(self) -> None:
        (self.folder / "run").mkdir()
        shutil.chown(self.folder / "run", "postgres", "postgres")


def facts_of(server: Server) -> str:
    return server.sql("SELECT count(*), sum(n) FROM facts", "postgres")


def plan_of(to: str = "latest", before: str | None = None, upto: str | None = None, copy: str = COPY) -> str:
    return json.dumps({"copy": copy, "to": to, "before": before, "upto": upto})


def iso_of(point: str) -> str:
    """Return the time in a point's name, as in a plan."""
    day, clock = point.removeprefix("backbuild-").rstrip("Z").split("T")
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}+00:00"


@contextmanager
def running(s3: S3) -> Iterator[Machine]:
    """Make a machine. On exit, kill what it has left, and delete its files."""
    memory = Path("/dev/shm")  # pgBackRest writes a thousand files to the disk, each at once
    folder = Path(tempfile.mkdtemp(prefix="rs-", dir=memory if os.access(memory, os.W_OK) else None))
    machine = Machine(folder, s3)
    try:
        yield machine
    finally:
        machine.kill()
        shutil.rmtree(folder)
