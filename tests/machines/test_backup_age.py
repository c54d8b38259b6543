"""The age of the last backup, as a member publishes it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from harness import stacks
from harness.stacks import contents, topology_of

SYSTEM = 7312345678901234567


@pytest.mark.parametrize(
    ("stops", "oldest", "newest"),
    [([-7200, -3600], 3600, 3660), ([-7200, 10_000_000], 7200, 7260), ([], 0, 10**9), ([10_000_000], 0, 10**9)],
    ids=["newest", "future and past", "none", "future only"],
)
def test_a_backup_in_the_future_does_not_count(tmp_path: Path, stops: list[int], oldest: int, newest: int):
    now = int(time.time())
    backups = [{"error": False, "database": {"id": 1}, "timestamp": {"stop": now + one}} for one in stops]
    (tmp_path / "info.json").write_text(json.dumps([{"db": [{"id": 1, "system-id": SYSTEM}], "backup": backups}]))
    (tmp_path / "default").write_text("ADDRESS=localhost GROUP=worker-1\n")
    answer = json.dumps({"database_system_identifier": str(SYSTEM)})
    for name, text in (("curl", f"echo '{answer}'"), ("runuser", "cat info.json")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    topology = topology_of("staging")
    script = contents(topology, stacks.member(topology, "worker-1-0"))["/usr/local/lib/backbuild/backup-age"]
    done = subprocess.run(
        ["sh", "-s"],
        input=script.replace("/etc/default/backbuild", "./default"),
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        check=True,
    )
    assert oldest <= int(done.stdout) <= newest
