"""A simulated bucket with a pgBackRest repository, and the program manifest.py as rendered for a machine.

`python -m tests.machines.manifests --objects 3000 --kib 256` measures manifest.py on a full backup of that size.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import resource
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from harness.request_handler import SilentRequestHandler
from harness.stacks import ROOT, contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS

BUCKET = "backbuild-staging-backups"
GROUP = "worker-1"
FIRST = datetime.combine(datetime.now(UTC) - timedelta(days=3), datetime.min.time(), UTC) + timedelta(seconds=5405)
HOUR = 3600
SCHEMA = json.loads((ROOT / "docs/schemas/backup-manifest.json").read_text())
REMEDY = re.compile(r"^manifest: .+; remedy: .+$", re.MULTILINE)
SECRET_KEY = "a-secret-key"
KEY = "0123456789abcdefghijABCDEFGHIJ0123456789"  # as long as the generated ones

Fault = Callable[[str, str], str | None]
"""Maps a request's method and path to a fault: `403`, `503`, `cut` (half of the response body) or None."""


class S3:
    """Moto's S3 over HTTP; `fault` decides which requests fail."""

    def __init__(self) -> None:
        self.fault: Fault = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        # S3 alone: Moto's dispatcher would search all its services for each request.
        self._application = create_backend_app("s3")
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=SilentRequestHandler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._backend.create_bucket(BUCKET, "us-east-1")

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], unquote(environ["PATH_INFO"]).removeprefix(f"/{BUCKET}/")
        self.requests.append((method, path))
        fault = self.fault(method, path)
        if fault in ("403", "503"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(f"{fault} No", [("Content-Length", "0")])
            return [b""]
        if fault == "cut":
            body = b"".join(self._application(environ, start))
            return [body[: len(body) // 2]]  # the connection closes before Content-Length bytes are sent
        return self._application(environ, start)

    def put(self, key: str, body: bytes, at: datetime | None = None) -> None:
        """Store an object; `at` sets its LastModified."""
        stored = self._backend.put_object(BUCKET, key, body)
        if at is not None:
            stored.last_modified = at.replace(tzinfo=None)

    def get(self, key: str) -> bytes:
        return self._backend.get_object(BUCKET, key).value

    def delete(self, key: str) -> None:
        self._backend.delete_object(BUCKET, key)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._backend.buckets[BUCKET].keys if key.startswith(prefix))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Repository:
    """A group's repository with the objects that pgBackRest would write, and the output of `pgbackrest info`."""

    def __init__(self, s3: S3, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.s3 = s3
        self.backups: list[dict[str, Any]] = []
        self.first = int(FIRST.timestamp())
        self._random = random
        self._segment = 0
        s3.put(f"hourly/archive/{GROUP}/archive.info", b"archive", FIRST)

    def backup(self, at: float, files: int = 3, size: int = 100, wal: int = 2) -> str:
        """Add a run, `at` seconds after the first, and return its label. The first run of a day is a full one."""
        started = datetime.fromtimestamp(FIRST.timestamp() + at, UTC)
        stamp = started.strftime("%Y%m%d-%H%M%S")
        full = next((one["label"] for one in reversed(self.backups) if one["type"] == "full"), None)
        if full is None or at % (24 * HOUR) == 0:
            label, kind, prior, reference = f"{stamp}F", "full", None, None
        else:
            label, kind, prior = f"{full}_{stamp}I", "incr", self.backups[-1]["label"]
            reference = sorted({full, prior})
        archived = [self.archive(at) for _ in range(wal)]
        folder = f"hourly/backup/{GROUP}/{label}"
        for number in range(files):
            self.s3.put(f"{folder}/bundle/{number + 1}", self._random(size), started)
        for name in ("backup.manifest", "backup.manifest.copy"):
            self.s3.put(f"{folder}/{name}", f"manifest of {label}".encode(), started)
        self.s3.put(f"hourly/backup/{GROUP}/backup.history/{label[:4]}/{label}.manifest.zst", label.encode(), started)
        for name in ("backup.info", "backup.info.copy"):
            self.s3.put(f"hourly/backup/{GROUP}/{name}", f"index up to {label}".encode(), started)
        times = {"start": int(started.timestamp()), "stop": int(started.timestamp()) + 60}
        self.backups.append(
            {
                "archive": {"start": archived[0], "stop": archived[-1]},
                "backrest": {"format": 5, "version": "2.55.1"},
                "database": {"id": 1, "repo-key": 1},
                "error": False,
                "info": {"delta": size, "repository": {"delta": size}, "size": size},
                "label": label,
                "lsn": {"start": "0/2000028", "stop": "0/2000100"},
                "prior": prior,
                "reference": reference,
                "timestamp": times,
                "type": kind,
            }
        )
        return label

    def archive(self, at: float) -> str:
        """Archive one more WAL segment and return its name. The first is the third from last of its WAL log number."""
        number = 0xFD + self._segment
        self._segment += 1
        name = f"00000001{number >> 8:08X}{number & 0xFF:08X}"
        body = self._random(64)
        key = f"hourly/archive/{GROUP}/17-1/{name[:16]}/{name}-{hashlib.sha1(body).hexdigest()}.zst"
        self.s3.put(key, body, datetime.fromtimestamp(FIRST.timestamp() + at, UTC))
        return name

    @property
    def information(self) -> str:
        return json.dumps([{"archive": [], "backup": self.backups, "name": GROUP, "status": {"code": 0}}])


class Machine:
    """manifest.py with its files in a folder. Only paths, the bucket's address and the pauses differ from a machine."""

    def __init__(self, folder: Path, s3: S3, keys: str = KEY) -> None:
        self.folder = folder
        topology = topology_of("staging")
        files = contents(topology, member(topology, f"{GROUP}-0"))
        program = files["/usr/local/lib/backbuild/manifest.py"]
        settings = files["/etc/pgbackrest/pgbackrest.conf"]
        for there, here in (
            ("/etc/pgbackrest/pgbackrest.conf", str(folder / "pgbackrest.conf")),
            ("/run/backbuild/secrets", str(folder / "secrets")),
            ("https://", "http://"),
            ("(1, 2, 4, 8, 16)  # seconds", "(0, 0, 0, 0)"),
        ):
            assert there in program
            program = program.replace(there, here)
        self.write("manifest.py", program)
        self.write("pgbackrest.conf", settings.replace(topology.primary.endpoint, s3.address))
        self.write("secrets/backup-storage", json.dumps({"accessKeyId": "id", "secretAccessKey": SECRET_KEY}))
        self.write("secrets/manifest-keys", keys)
        self.write("bin/pgbackrest", f"#!/bin/sh\n[ $1 = --stanza={GROUP} ] && cat {folder}/information\n")
        self.write("bin/psql", f"#!/bin/sh\ncat >/dev/null\ncat {folder}/points\n")
        self.write("points", "")
        for tool in ("pgbackrest", "psql"):
            (folder / "bin" / tool).chmod(0o755)
        self.environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder)}

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, repository: Repository) -> subprocess.Popen[str]:
        self.write("information", repository.information)
        return subprocess.Popen(
            [sys.executable, str(self.folder / "manifest.py"), GROUP, "backbuild"],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, repository: Repository) -> tuple[int, str]:
        """Run manifest.py; returns its exit code and its output."""
        process = self.start(repository)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        return process.returncode, out + err

    def done(self, repository: Repository) -> str:
        """Run manifest.py, which must succeed; returns its output."""
        code, output = self.run(repository)
        assert code == 0, output
        return output

    def error(self, repository: Repository) -> str:
        """Run manifest.py, which must fail with a remedy and without a secret in its output; returns the output."""
        code, output = self.run(repository)
        assert code == 1, output
        assert REMEDY.search(output), output
        assert "Traceback" not in output
        assert not any(secret in output for secret in (KEY, SECRET_KEY))
        return output


def opened(envelope: bytes) -> dict[str, Any]:
    """Return the manifest in an envelope without verifying its signature."""
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


def place(label: str) -> str:
    """Return the key of a run's manifest."""
    return f"manifests/{GROUP}/{label}.json"


def manifests(s3: S3) -> dict[str, dict[str, Any]]:
    """Return every manifest by its run, after checking it against the schema and against the stored objects."""
    keys = [key for key in s3.keys(f"manifests/{GROUP}/") if key.endswith(".json")]
    found = {key.rpartition("/")[2][:-5]: opened(s3.get(key)) for key in keys}
    for run, manifest in found.items():
        jsonschema.validate(manifest, SCHEMA, format_checker=jsonschema.FormatChecker())
        assert manifest["run"] == run
        listed = [one["key"] for one in manifest["objects"]]
        assert listed == sorted(set(listed))
        for one in manifest["objects"]:
            body = s3.get(one["key"])
            assert (len(body), hashlib.sha256(body).hexdigest()) == (one["size"], one["sha256"])
    return found


def tampered(envelope: bytes, **changes: Any) -> bytes:
    fields = json.loads(envelope)
    payload = json.dumps({**opened(envelope), **changes}).encode()
    return json.dumps({**fields, "payload": base64.b64encode(payload).decode()}).encode()


@contextmanager
def serving() -> Iterator[S3]:
    s3 = S3()
    yield s3
    s3.close()


def measure(objects: int, kib: int) -> None:
    """Print the time and memory that manifest.py needs for a full backup of `objects` objects of `kib` KiB each."""
    body = secrets.token_bytes(kib * 1024)
    with serving() as s3, tempfile.TemporaryDirectory() as folder:
        repository = Repository(s3, lambda size: body[:size])
        repository.backup(0, files=objects, size=len(body))
        began = time.monotonic()
        process = Machine(Path(folder), s3).start(repository)
        peak = peak_of(process)
        seconds = time.monotonic() - began
        print(*process.communicate())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    mib, cpu = objects * kib / 1024, used.ru_utime + used.ru_stime
    print(f"{seconds:.1f} s: {objects / seconds:.0f} objects/s, {mib / seconds:.0f} MiB/s")
    print(f"of these {cpu:.1f} s of processor time, {mib / cpu:.0f} MiB/s; peak memory {peak / 1024:.0f} MiB")


def peak_of(process: subprocess.Popen[str]) -> int:
    """Wait for a process and return its peak memory in KiB."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak_kib(process.pid))
        time.sleep(0.01)
    return peak


def _peak_kib(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=3000)
    parser.add_argument("--kib", type=int, default=256)
    options = parser.parse_args()
    measure(options.objects, options.kib)
