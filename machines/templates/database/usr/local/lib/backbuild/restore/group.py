"""Shut the group, and open it again with the recovered data; or serve the recovered cluster beside the group."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from restore.cluster import PORT, program, system_identifier
from restore.copies import RestoreError
from restore.state import State

LIBRARY = Path(__file__).resolve().parents[1]
PATRONI = Path("/run/backbuild/patroni")
HEALTHY_SECONDS = 3600  # a member may copy all data from its leader
LEADER_SECONDS = 600
BACKUP_SECONDS = 1800  # the backup Workers reconcile every five minutes


def shut(state: State) -> None:
    """Stop Patroni and PostgreSQL on this member until `open_group` or `join`, also after a reboot."""
    state.shut.touch()
    _run("systemctl", "stop", "patroni.service")
    os.sync()  # a snapshot of the volume has what the volume has


def open_group(state: State) -> None:
    """Let this member, which has the recovered data, lead its group. etcd has the cluster state of the old data."""
    if not leads():
        _run(LIBRARY / "patroni-configure")  # Patroni's settings are in memory, and the machine may have booted
        _forget_cluster_state()
        state.shut.unlink(missing_ok=True)
        _run("systemctl", "start", "patroni.service")
    deadline = time.monotonic() + LEADER_SECONDS
    while not leads():
        if time.monotonic() > deadline:
            raise RestoreError(
                f"{os.environ['MEMBER']} does not lead after {LEADER_SECONDS} s; read `journalctl -u patroni`"
            )
        time.sleep(0.2)


def join(state: State, system: str) -> None:
    """Let this member follow the leader with the recovered data; data of another cluster are deleted first."""
    if state.shut.exists():
        if system_identifier(state.data) != system:
            shutil.rmtree(state.data, ignore_errors=True)
        state.shut.unlink()
    _run("systemctl", "start", "patroni.service")
    _run("/usr/local/sbin/backbuild-healthy", "--wait", str(HEALTHY_SECONDS))


def finish(_: State) -> None:
    """Apply the present secrets to the recovered data, and make a full backup of them if this member leads."""
    _run(LIBRARY / "apply-secrets")
    deadline = time.monotonic() + BACKUP_SECONDS
    while True:
        try:
            _run("runuser", "-u", "postgres", "--", "/usr/local/sbin/backbuild-backup", "full")
        except RestoreError:
            # While the backup Workers refill a lost primary, pgBackRest may find one index there and not the other.
            if time.monotonic() > deadline:
                raise
            time.sleep(15)
        else:
            return


def reopen(state: State) -> None:
    """End a restore in place that has not changed the group's data."""
    if state.shut.exists():
        state.shut.unlink()
        _run("systemctl", "start", "patroni.service")


def serve(state: State) -> None:
    """Start the recovered cluster beside the group, until `stop_serving` or the next reboot. It archives nothing."""
    if _active(unit_of(state)):
        return
    settings = {
        "port": PORT,
        "listen_addresses": os.environ["ADDRESS"],
        "unix_socket_directories": f"/run/{unit_of(state)}",
        "archive_mode": "off",
        "synchronous_standby_names": "",
        "shared_buffers": "128MB",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    properties = ("--uid=postgres", f"--property=RuntimeDirectory={unit_of(state)}", "--property=CPUWeight=20")
    _run("systemd-run", f"--unit={unit_of(state)}", *properties, program("postgres"), "-D", state.data, *options)


def stop_serving(state: State) -> None:
    """Stop the cluster beside the group."""
    if _active(unit_of(state)):
        _run("systemctl", "stop", unit_of(state))


def unit_of(state: State) -> str:
    """Return the name of the unit and of the socket's folder below /run of a cluster beside the group."""
    return f"backbuild-restored-{state.name}"


def leads() -> bool:
    """Return whether this member leads its group."""
    address = f"https://{os.environ['ADDRESS']}:{os.environ['REST_PORT']}/primary"
    curl = ("curl", "--config", "/run/backbuild/patroni-curl", "-fs", "-o", "/dev/null", "--max-time", "5", address)
    return subprocess.run(curl, check=False).returncode == 0


def _forget_cluster_state() -> None:
    citus = (PATRONI / "20-citus.yml").exists()
    scope, group = os.environ["STACK" if citus else "GROUP"], os.environ["CITUS_GROUP"]
    words = ["patronictl", "-c", str(PATRONI), "remove", scope, *(["--group", group] if citus else [])]
    # It asks for the cluster's name, for this sentence and, while a former leader's lease lasts, for the leader's name.
    for leader in ("", os.environ["MEMBER"]):
        done = subprocess.run(
            words, input=f"{scope}\nYes I am aware\n{leader}\n", capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
    raise RestoreError(
        f"patronictl cannot remove the cluster state of {scope}: {(done.stderr or done.stdout).strip()[-300:]}"
    )


def _active(unit: str) -> bool:
    return subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip()[-400:]
        raise RestoreError(f"`{' '.join(map(str, command))}` failed with status {done.returncode}: {reason}")
