"""Recover PostgreSQL from the fetched repository in isolation, and check it.

Citus is not loaded meanwhile, and PostgreSQL listens on a private socket only. So the recovered cluster contacts no
other node, although its catalogues have the addresses of the nodes of that time.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from restore.copies import RestoreError
from restore.repository import RUNTIME, backup_of, configure, need_space, output, pgbackrest
from restore.state import State
from restore.wal import timeline_of

PORT = os.environ["RESTORED_PORT"]
LOG = "postgresql.log"
PERCENT = re.compile(r" (\d+\.\d+)%")
# Why PostgreSQL ended. It also refuses connections with this severity.
FATAL = re.compile(r"(?:FATAL|PANIC): +(?!the database system is|terminating connection)(.+)")
VERSION = re.compile(r"postgres \(PostgreSQL\) (\d+)")
COMMITTED = "SELECT to_json(gid) FROM pg_catalog.pg_dist_transaction"
RECOVERY = re.compile(r"(recovery_target\w*|restore_command)\s*=")
HBA = "local all postgres peer\n"

Json = dict[str, Any]


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    return f"{os.environ['POSTGRES_PROGRAMS']}/{name}"


def major() -> str:
    """Return the major version of this machine's PostgreSQL, such as `17`."""
    version = output([program("postgres"), "--version"]).decode()
    found = VERSION.match(version)
    if found is None:
        raise RestoreError(f"{program('postgres')} --version printed {version.strip()!r} instead of a version")
    return found[1]


def sql(statement: str, database: str = "postgres") -> list[Any]:
    """Run a statement that returns one JSON value in each row, and return the values. Raises `RestoreError`."""
    psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", RUNTIME, "-p", PORT, "-d", database, "-c", statement]
    return [json.loads(line) for line in output([str(word) for word in psql]).decode().splitlines()]


@contextmanager
def isolated(state: State) -> Generator[None]:
    """Run PostgreSQL without Citus and without network until the end of the block."""
    for name, content in (("hba", HBA), ("ident", "")):
        (RUNTIME / name).write_text(content, encoding="utf-8")
    settings = {
        "listen_addresses": "",
        "port": PORT,
        "unix_socket_directories": str(RUNTIME),
        "hba_file": str(RUNTIME / "hba"),
        "ident_file": str(RUNTIME / "ident"),
        "ssl": "off",
        "shared_preload_libraries": "",
        "session_preload_libraries": "",
        "synchronous_standby_names": "",
        "primary_conninfo": "",
        # In place, the new timeline's WAL is archived once the group leads again; beside, never.
        **({"archive_command": ""} if state.in_place else {"archive_mode": "off", "shared_buffers": "128MB"}),
    }
    _forget_killed(state.data)
    log = state.folder / LOG
    log.unlink(missing_ok=True)
    options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
    control = [program("pg_ctl"), "-D", str(state.data), "-w", "-t", "86400"]
    # pg_ctl's own output would keep the pipe open as long as the server runs.
    started = subprocess.run(
        [*control, "-l", str(log), "-o", options, "start"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if started.returncode:
        raise _ended(log)
    try:
        yield
    except RestoreError as error:
        # If recovery fails, PostgreSQL ends, and a statement fails only because of that.
        if FATAL.search(_text(log)):
            raise _ended(log) from error
        raise
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], capture_output=True, check=False)


def _forget_killed(data: Path) -> None:
    """Remove the file of a server that was killed: its process number may be that of another one of this account."""
    file = data / "postmaster.pid"
    if not file.exists():
        return
    process = Path("/proc") / file.read_text(encoding="utf-8").split()[0] / "cwd"
    with suppress(OSError):
        if process.readlink() == data.resolve():
            raise RestoreError(f"PostgreSQL already runs on {data}; stop it first")
    file.unlink()


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def _ended(log: Path) -> RestoreError:
    found = FATAL.findall(_text(log))
    return RestoreError(f"PostgreSQL ended: {found[-1] if found else 'without a reason'}; read {log}")


def recover(state: State, group: str, fetched: Json, point: str | None, segment: str | None) -> Json:
    """Restore a run, recover it to a restore point (None: to the moment at which the run became consistent) and stop.

    `fetched`: the result of the step `fetch`. Returns what the recovered cluster has: its system identifier, prepared
    transactions, and Citus's nodes.
    """
    configure(state, group)
    run = backup_of(group, fetched["run"])
    size, last = run["info"]["size"], run["archive"]["stop"]
    data = state.data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    used = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
    need_space(data, max(size - used, 0))
    target = (
        ["--type=immediate"]
        if point is None or segment is None
        else ["--type=name", f"--target={point}", f"--target-timeline={_way(last, segment)}"]
    )
    mode = [] if state.in_place else ["--archive-mode=off"]
    used_timelines = state.once("timelines", lambda: {"newest": max(_timeline(data), fetched["newestTimeline"])})
    state.changed.touch()
    _forget_killed(data)
    wanted = [f"--set={run['label']}", *target, *mode, "--target-action=promote", "--delta"]
    _restore(state, pgbackrest(group, *wanted, "restore", level="info"))
    with _reserved(data, timeline_of(segment or last), used_timelines["newest"]), isolated(state):
        while sql("SELECT to_json(pg_is_in_recovery())") != [False]:
            time.sleep(0.2)
        found = _found()
    _forget_recovery(data)
    return {**found, "system": system_identifier(data), "bytes": size}


def _way(last: str, segment: str) -> str:
    """Return the timeline to recover along. The file that describes a backup's own timeline may have expired."""
    return "current" if timeline_of(last) == timeline_of(segment) else str(timeline_of(segment))


@contextmanager
def _reserved(data: Path, present: int, newest: int) -> Generator[None]:
    """Let PostgreSQL begin a timeline that the archive does not have yet, although the repository lacks some of them.

    It takes the first one without a file. The archive would refuse WAL of a timeline that it has with other content.
    """
    files = [data / "pg_wal" / f"{timeline:08X}.history" for timeline in range(present + 1, newest + 1)]
    for file in files:
        file.touch()
    yield
    for file in files:
        file.unlink()


def _forget_recovery(data: Path) -> None:
    """Remove the settings of the recovery, which pgBackRest has written: later, Patroni sets its own."""
    file = data / "postgresql.auto.conf"
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if not RECOVERY.match(line)]
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _restore(state: State, command: Sequence[str]) -> None:
    """Run pgBackRest's restore and publish its progress, which it logs for each file."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        last, shown = "", 0.0
        for line in process.stdout:
            last = line.strip() if "ERROR" in line or not last.startswith("P00  ERROR") else last
            if (percent := PERCENT.search(line)) and time.monotonic() - shown > 1:
                state.show({"what": "restore", "percent": float(percent[1])})
                shown = time.monotonic()
    if process.returncode:
        raise RestoreError(f"pgbackrest restore failed with status {process.returncode}: {last[-300:]}")


def system_identifier(data: Path) -> str:
    """Return the system identifier of a data directory; an empty text if it has none."""
    return _control(data, "Database system identifier")


def _timeline(data: Path) -> int:
    return int(_control(data, "Latest checkpoint's TimeLineID") or 1)


def _control(data: Path, field: str) -> str:
    if not (data / "global/pg_control").exists():
        return ""
    shown = output([program("pg_controldata"), "-D", str(data)]).decode()
    return next(line.split()[-1] for line in shown.splitlines() if line.startswith(f"{field}:"))


def _databases() -> list[str]:
    return sql("SELECT to_json(datname) FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname")


def _citus_databases() -> list[str]:
    present = "SELECT to_json(count(*)) FROM pg_extension WHERE extname = 'citus'"
    return [name for name in _databases() if sql(present, name) == [1]]


def _found() -> Json:
    prepared = "SELECT json_build_object('gid', gid, 'database', database) FROM pg_prepared_xacts ORDER BY gid"
    nodes = (
        "SELECT json_build_object('group', groupid, 'host', nodename, 'port', nodeport) FROM pg_catalog.pg_dist_node"
    )
    with_citus = _citus_databases()
    return {
        "prepared": sql(prepared),
        "nodes": [node for name in with_citus for node in sql(nodes, name)],
    }


def committed(state: State, gids: Sequence[str]) -> Json:
    """Return which of other groups' prepared transactions this group has committed. There can be thousands in all."""
    with isolated(state):
        known = {gid for name in _citus_databases() for gid in sql(COMMITTED, name)}
    return {"committed": [gid for gid in gids if gid in known]}


def settle(state: State, nodes: Mapping[str, Sequence[Any]], commit: Sequence[str], rollback: Sequence[str]) -> Json:
    """Write the nodes' present addresses into Citus's catalogue, and end prepared transactions.

    `nodes`: host and port of each Citus group. Triggers do not run, because they would need Citus.
    """
    addresses = json.dumps({group: {"host": host, "port": port} for group, (host, port) in nodes.items()})
    # Patroni registers standbys again.
    update = f"""
        SET session_replication_role = replica;
        DELETE FROM pg_catalog.pg_dist_node WHERE noderole <> 'primary';
        UPDATE pg_catalog.pg_dist_node SET nodename = given->>'host', nodeport = (given->>'port')::int
        FROM json_each({_quoted(addresses)}::json) AS places (place, given) WHERE place = groupid::text"""
    with isolated(state):
        for database in _citus_databases():
            sql(update, database)
        prepared: dict[str, str] = {one["gid"]: one["database"] for one in _found()["prepared"]}
        for words, gids in (("COMMIT PREPARED", commit), ("ROLLBACK PREPARED", rollback)):
            for gid in gids:
                if gid in prepared:  # it is absent if an interrupted attempt has ended it
                    sql(f"{words} {_quoted(gid)}", prepared[gid])
        return _found()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def check(state: State) -> Json:
    """Check all tables and indexes, then the checksums of all pages. Returns what was checked."""
    with isolated(state):
        databases = _databases()
        present = "SELECT to_json(1) FROM pg_extension WHERE extname = 'amcheck'"
        # An interrupted attempt may have left the extension.
        added = state.once("added", lambda: {"amcheck": [name for name in databases if not sql(present, name)]})
        for name in added["amcheck"]:
            sql("CREATE EXTENSION IF NOT EXISTS amcheck", name)
        jobs = str(os.cpu_count() or 1)
        place = ["--host", str(RUNTIME), "--port", PORT, "--jobs", jobs]
        found = subprocess.run(
            [program("pg_amcheck"), *place, *(f"--database={name}" for name in databases)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for name in added["amcheck"]:
            sql("DROP EXTENSION IF EXISTS amcheck", name)
        if found.returncode:
            raise RestoreError(f"pg_amcheck found damage: {(found.stdout or found.stderr).strip()[:400]}")
        references = {name: _reference_rows(name) for name in _citus_databases()}
        relations = sum(
            sum(sql("SELECT to_json(count(*)) FROM pg_class WHERE relkind IN ('r', 'i', 't', 'm')", name))
            for name in databases
        )
    output([program("pg_checksums"), "--check", "-D", str(state.data)])
    return {"databases": databases, "relations": relations, "references": references}


def _reference_rows(database: str) -> dict[str, int]:
    """Return the number of rows of each Citus reference table in this group: all groups must have the same."""
    shards = """
        SELECT json_build_object('name', name, 'shard', shard) FROM (
            SELECT logicalrelid::regclass::text AS name, logicalrelid::regclass::text || '_' || shardid AS shard
            FROM pg_catalog.pg_dist_partition JOIN pg_catalog.pg_dist_shard USING (logicalrelid)
            WHERE partmethod = 'n' AND repmodel = 't') AS shards
        WHERE to_regclass(shard) IS NOT NULL"""
    found = sql(shards, database)
    return {one["name"]: sql(f"SELECT to_json(count(*)) FROM {one['shard']}", database)[0] for one in found}


def remove(state: State) -> None:
    """Delete a restore's folder, with its repository and, beside, its cluster."""
    shutil.rmtree(state.folder)
