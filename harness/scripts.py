"""Runs a database machine's own scripts beside a test's server and repository."""

from __future__ import annotations

import os
import shutil
import subprocess

from harness.backup_world import GROUP
from harness.postgres import programs, unprivileged
from harness.repository import Repository
from harness.stacks import contents, member, topology_of

UP = 77
"""The seconds since the boot that scripts see."""


def script_of(made: Repository, path: str) -> str:
    """Return one of the machine's scripts, by its path there, with the paths of its files replaced."""
    topology = topology_of("prod")
    script = contents(topology, member(topology, f"{GROUP}-0"))[path]
    (made.folder / "default").write_text(
        f"ADDRESS=127.0.0.1\nMEMBER={GROUP}-0\nGROUP={GROUP}\nDATA={made.folder}\nDATABASE=postgres\n"
    )
    (made.folder / "spool").mkdir(exist_ok=True)
    if os.getuid() == 0:
        shutil.chown(made.folder / "spool", "postgres", "postgres")
    (made.folder / "uptime").write_text(f"{UP}.00 1.00\n")
    for there, here in {
        "/etc/default/backbuild": f"{made.folder}/default",
        "/proc/uptime": f"{made.folder}/uptime",
        "exec python3 /usr/local/lib/backbuild/manifest.py": "exec true",  # the caller signs the manifest
        "runuser -u postgres -- ": "",
        "/var/lib/backbuild/postgresql/17": str(made.server.data),
    }.items():
        script = script.replace(there, here)
    return script


def programs_for(made: Repository) -> str:
    """Return the PATH of a machine's scripts. The simulated Patroni says that the member leads."""
    system = made.server.sql("SELECT system_identifier FROM pg_control_system()", "postgres")
    stubs = made.folder / "bin"
    stubs.mkdir(exist_ok=True)
    for name, body in {
        "curl": f'case "$*" in *-o*) ;; *) echo \'{{"database_system_identifier": "{system}"}}\';; esac',
        "pgbackrest": f'exec /usr/bin/pgbackrest --config={made.configuration} "$@"',
    }.items():
        (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (stubs / name).chmod(0o755)
    return f"{stubs}:{programs()}:/usr/bin:/bin"


def on_the_leader(made: Repository, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the machine's scripts, by its path there, as on the leader of its group."""
    made.server.sql("SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS backbuild", "postgres")
    return subprocess.run(
        ["sh", "-s", *arguments],
        **unprivileged(),
        cwd="/",
        input=script_of(made, path),
        env={"PATH": programs_for(made), "PGHOST": str(made.folder), "PGPORT": str(made.server.port)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
