"""Speed and memory of backups and restores: `python -m benchmarks.restores [--mib 512] [--json]`.

A real PostgreSQL with random data is backed up by pgBackRest into a repository, the repository is fetched over S3 as a
restoring machine fetches it, each object proven by its SHA-256, and restored. The baselines are copies of the same
bytes without any of it, in the same run: of the data directory, and of the objects over S3.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import boto3
import httpx
from botocore.config import Config

from benchmarks.sink import Sink
from harness.repository import Repository, repository
from machines.files import TEMPLATES

LIBRARY = TEMPLATES / "database/usr/local/lib/backbuild"
BUCKET = "copy"
MIB = 1 << 20
KEYS = {"aws_access_key_id": "id", "aws_secret_access_key": "key", "region_name": "us-east-1"}
READER = {"accessKeyId": "id", "secretAccessKey": "key"}
CONFIG = Config(s3={"addressing_style": "path"}, response_checksum_validation="when_required")
# A KiB of hexadecimal digits in each row: half of it is information.
FILL = """
INSERT INTO filling SELECT k, (
    SELECT string_agg(md5(random()::text || k || m), '') FROM generate_series(1, 32) AS parts (m))
FROM generate_series(1, {rows}) AS rows (k)"""
FILL_MIB = 256  # in one statement, which is limited to two minutes
BACKUP_SECONDS = 3600
Wanted = tuple[str, int, str]
"""A key, its size in bytes, and its SHA-256."""
PARALLEL = 4  # as many as a restoring machine
TARGET_MIB_S, TARGET_MEMORY_MIB = 60, 128


@dataclass(frozen=True)
class Result:
    """Rates in MiB a second. Backups and restores count the data directory's bytes, the fetch those of the objects."""

    data_mib: float
    stored_mib: float
    plain_copy_mib_s: float
    """Of the data directory on the same disk."""
    backup_mib_s: float
    restore_mib_s: float
    plain_download_mib_s: float
    """Of the objects over S3, without a checksum."""
    fetch_mib_s: float
    fetch_peak_mib: float
    """Memory that the fetch needs on top of its imports."""


def main() -> int:
    """Run the benchmark; return 1 if the fetch misses its targets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=512, help="random data in the database (default: 512)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
    options = parser.parse_args()
    found = measure(options.mib)
    plain = found.plain_copy_mib_s
    if options.json:
        print(json.dumps(asdict(found)))
    else:
        print(
            f"{found.data_mib:.0f} MiB of data, {found.stored_mib:.0f} MiB stored\n"
            f"backup   {found.backup_mib_s:6.0f} MiB/s, {found.backup_mib_s / plain:.2f} of a plain copy\n"
            f"restore  {found.restore_mib_s:6.0f} MiB/s, {found.restore_mib_s / plain:.2f} of a plain copy\n"
            f"fetch    {found.fetch_mib_s:6.0f} MiB/s, {found.fetch_mib_s / found.plain_download_mib_s:.2f} of a plain "
            f"download, {found.fetch_peak_mib:.0f} MiB of memory"
        )
    return 0 if found.fetch_mib_s >= TARGET_MIB_S and found.fetch_peak_mib < TARGET_MEMORY_MIB else 1


def measure(mib: int) -> Result:
    """Return the rates with a database of some MiB."""
    with repository(seconds=BACKUP_SECONDS) as made, tempfile.TemporaryDirectory() as place, closing(Sink()) as sink:
        made.server.sql("CREATE TABLE filling (k integer, text text)", "postgres")
        for filled in range(0, mib, FILL_MIB):
            made.server.sql(FILL.format(rows=min(FILL_MIB, mib - filled) * 1024), "postgres")
        made.server.sql("CHECKPOINT", "postgres")
        data = _size(made.server.data)
        copied = _timed(lambda: shutil.copytree(made.server.data, Path(place) / "data"))
        backed_up = _timed(lambda: made.backup("full"))
        objects = made.written()
        for key, body in objects.items():
            digest = hashlib.sha256(body).hexdigest()
            httpx.put(f"http://{sink.address}/{BUCKET}/{key}", content=body, headers={"x-amz-content-sha256": digest})
        wanted = [(key, len(body), hashlib.sha256(body).hexdigest()) for key, body in objects.items()]
        plain, _ = _in_process(download, sink.address, wanted, f"{place}/plain")
        fetched, peak = _in_process(fetch, sink.address, wanted, f"{place}/fetched")
        restored = _restore(made, objects)
    stored = sum(map(len, objects.values()))
    return Result(
        data_mib=data / MIB,
        stored_mib=stored / MIB,
        plain_copy_mib_s=data / MIB / copied,
        backup_mib_s=data / MIB / backed_up,
        restore_mib_s=data / MIB / restored,
        plain_download_mib_s=stored / MIB / plain,
        fetch_mib_s=stored / MIB / fetched,
        fetch_peak_mib=peak,
    )


def _restore(made: Repository, objects: dict[str, bytes]) -> float:
    """Restore everything from a repository in a folder; return the seconds until PostgreSQL answers."""
    below = {key.removeprefix("hourly/"): body for key, body in objects.items() if key.startswith("hourly/")}
    began = time.perf_counter()
    with made.restored(below, "--type=immediate", "--target-action=promote") as server:
        server.wait_for("SELECT NOT pg_is_in_recovery()")
        return time.perf_counter() - began


def download(address: str, wanted: Sequence[Wanted], folder: str) -> None:
    """Download objects into files, several at once, without a checksum."""
    client: Any = cast(Any, boto3).client("s3", endpoint_url=f"http://{address}", config=CONFIG, **KEYS)

    def one(item: Wanted) -> None:
        path = Path(folder) / item[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for chunk in client.get_object(Bucket=BUCKET, Key=item[0])["Body"].iter_chunks(MIB):
                file.write(chunk)

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(one, wanted))


def fetch(address: str, wanted: Sequence[Wanted], folder: str) -> None:
    """Fetch objects as a restoring machine does."""
    os.environ |= {"RUNTIME": folder, "MEMBER": "benchmark"}
    sys.path.insert(0, str(LIBRARY))
    copies, repository, selection = (import_module(f"restore.{name}") for name in ("copies", "repository", "selection"))
    copy: Any = copies.Copy(BUCKET, {"bucket": BUCKET, "endpoint": address, "region": "auto", **READER})
    copy._client = cast(Any, boto3).client("s3", endpoint_url=f"http://{address}", config=CONFIG, **KEYS)
    needed: list[Any] = [selection.Wanted(key, key, size, sha256) for key, size, sha256 in wanted]
    repository.fetch(copy, needed, Path(folder), _show_nothing)


def _show_nothing(_done: int, _total: int) -> None:
    pass


def _in_process(work: Callable[[str, Sequence[Wanted], str], None], *arguments: Any) -> tuple[float, float]:
    """Run a function in a process of its own; return its seconds, and the memory in MiB that it needed on top."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    process = context.Process(target=_measured, args=(work, arguments, results))
    process.start()
    seconds, peak = results.get()
    process.join()
    return seconds, peak


def _measured(work: Callable[..., None], arguments: Sequence[Any], results: Any) -> None:
    cast(Any, boto3).client("s3", endpoint_url="http://127.0.0.1", config=CONFIG, **KEYS)  # loads what both need
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins again
    before, began = _memory("VmRSS"), time.perf_counter()
    work(*arguments)
    results.put((time.perf_counter() - began, _memory("VmHWM") - before))


def _memory(field: str) -> float:
    """Return this process's memory in MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:")) / 1024


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    raise SystemExit(main())
