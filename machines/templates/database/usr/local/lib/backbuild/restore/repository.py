"""Fetch a restore's objects into a pgBackRest repository on this machine, and prove each one by its SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from restore.archive import Wanted
from restore.copies import READ_ERRORS, Copy, RestoreError, reason_of, secret
from restore.state import State

PARALLEL_DOWNLOADS = 4
RUNTIME = Path(os.environ["RUNTIME"])  # in memory: it has the cipher's pass phrase
CONFIGURATION = RUNTIME / "pgbackrest.conf"
RESERVE = 1 << 30  # bytes that stay free on the volume

Show = Callable[[int, int], None]


def fetch(copy: Copy, wanted: Sequence[Wanted], folder: Path, show: Show) -> None:
    """Fetch objects that are not there yet. `show` gets the bytes so far, and all bytes. Raises `RestoreError`."""
    total = sum(one.size for one in wanted)
    missing = [one for one in wanted if not _is_there(one, folder)]
    need_space(folder, sum(one.size for one in missing))
    done = total - sum(one.size for one in missing)
    show(done, total)
    pool = ThreadPoolExecutor(PARALLEL_DOWNLOADS)
    try:
        running = {pool.submit(_fetch, copy, one, folder): one for one in missing}
        for future in as_completed(running):
            future.result()
            done += running[future].size
            show(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch(copy: Copy, one: Wanted, folder: Path) -> None:
    try:
        sha256 = copy.download(one.key, folder / one.path)
    except READ_ERRORS as error:
        raise RestoreError(
            f"{one.key} in {copy.name} cannot be read: {reason_of(error)}; restore from another copy"
        ) from None
    if one.sha256 not in {None, sha256}:
        (folder / one.path).unlink()
        raise RestoreError(
            f"{one.key} in {copy.name} is damaged: its SHA-256 is {sha256}, and its manifest lists {one.sha256}; "
            "restore from another copy"
        )


def _is_there(one: Wanted, folder: Path) -> bool:
    file = folder / one.path
    if not file.exists() or file.stat().st_size != one.size:
        return False
    if one.sha256 is None:
        return True
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == one.sha256


def need_space(folder: Path, size: int) -> None:
    """Raise `RestoreError` unless the volume has space for a number of bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size + RESERVE > free:
        raise RestoreError(
            f"{os.environ['MEMBER']} needs {size + RESERVE:,} free bytes on its data volume and has {free:,}; raise "
            "volumeGib"
        )


def configure(state: State, group: str) -> None:
    """Write pgBackRest's configuration for the fetched repository, with the cipher's pass phrase."""
    lines = [
        "[global]",
        f"repo1-path={state.repository}",
        "repo1-cipher-type=aes-256-cbc",
        f"repo1-cipher-pass={secret('backup-cipher')}",
        f"spool-path={state.folder}/spool",
        f"lock-path={RUNTIME}/lock",
        f"process-max={os.cpu_count() or 1}",
        "log-level-file=off",
        f"[{group}]",
        f"pg1-path={state.data}",
    ]
    CONFIGURATION.touch(mode=0o600)
    CONFIGURATION.write_text("\n".join(lines) + "\n", encoding="utf-8")


def pgbackrest(group: str, *arguments: str, level: str = "warn") -> list[str]:
    """Return the command that runs pgBackRest on the fetched repository."""
    return ["pgbackrest", f"--config={CONFIGURATION}", f"--stanza={group}", f"--log-level-console={level}", *arguments]


def backup_of(group: str, run: str) -> dict[str, Any]:
    """Return what pgBackRest knows about a run in the fetched repository. Raises `RestoreError`."""
    information: dict[str, Any]
    try:
        information = json.loads(output(pgbackrest(group, "--output=json", "info")))[0]
    except ValueError:  # pgBackRest cites what it has decrypted
        information = {"backup": [], "status": {"message": "the decrypted index is not text"}}
    for backup in information["backup"]:
        if backup["label"] == run:
            return backup
    raise RestoreError(
        f"pgbackrest does not find run {run} in the fetched repository: {information['status']['message']}; check that "
        "the secret backup-cipher is the one of that time, or restore from another copy"
    )


def output(command: Sequence[str | Path], input: bytes | None = None) -> bytes:
    """Run a command and return its output. Raises `RestoreError` if it fails."""
    done = subprocess.run(command, input=input, capture_output=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).decode(errors="replace").strip()[-400:]
        raise RestoreError(f"{command[0]} failed with status {done.returncode}: {reason}")
    return done.stdout
