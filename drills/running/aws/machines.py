"""What runs on the machines of a stack at AWS during a drill: the clients, and questions. Pure."""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from drills.failover.checks import Commit
from drills.failover.fleet import PATRONI
from drills.failover.writers import TABLE
from drills.running.pairs import TABLE as PAIRS_TABLE
from model.topology import APPLICATION_ROLE, DATABASE_NAME, Group, Topology

FOLDER = "/run/backbuild-drill"
UNIT = "backbuild-drill"
CHUNK_BYTES = 20_000  # Systems Manager returns 24,000 characters of a command's output
LONGEST_SECONDS = 6 * 3600  # clients that nobody stops end by themselves
HEALTHY = "/usr/local/sbin/backbuild-healthy"
LEADS = f". /etc/default/backbuild; {PATRONI} -o /dev/null -w '%{{http_code}}' https://$ADDRESS:8008/primary"
STOP = f"systemctl stop {UNIT} || true"
REMOVE = f"rm -rf {FOLDER}"
PAIRS_UNIT = "backbuild-drill-pairs"
PAIRS_FILE = "/run/backbuild-drill-pairs.py"
STOP_PAIRS = f"systemctl stop {PAIRS_UNIT} || true; rm -f {PAIRS_FILE}"
_TLS = "/run/backbuild/tls"


def clients_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Return the groups that clients on each machine write to.

    A group's clients run in another group, so that a lost group does not take its clients along. Gateways cannot have
    them: they have neither the application's password nor a way to the Citus worker groups.
    """
    found: dict[str, tuple[str, ...]] = {
        member.name: (topology.coordinator.name,) for member in topology.workers[0].members
    }
    workers = tuple(group.name for group in topology.workers)
    return {**found, **{member.name: workers for member in topology.coordinator.members}}


def conninfo_of(group: Group) -> str:
    """Return libpq's way to a group's leader: the certificate of the machine identifies the client."""
    hosts = ",".join(member.address for member in group.members)
    tls = f"sslrootcert={_TLS}/authorities.pem sslcert={_TLS}/certificate.pem sslkey={_TLS}/key.pem"
    return (
        f"host={hosts} user={APPLICATION_ROLE} dbname={DATABASE_NAME} target_session_attrs=read-write "
        f"sslmode=verify-full {tls}"
    )


def start(topology: Topology, machine: str, run: str) -> str:
    """Return the command that starts a machine's clients in the background. It contains no secret."""
    groups = {group.name: group for group in topology.database_groups}
    settings = {
        "run": run,
        "machine": machine,
        "file": f"{FOLDER}/commits",
        "table": TABLE,
        "targets": {name: conninfo_of(groups[name]) for name in clients_of(topology)[machine]},
    }
    # The folder belongs to root, so that the clients cannot put links into it.
    prepare = f"{REMOVE}; install -d -m 0755 {FOLDER}; install -o postgres -m 0644 /dev/null {FOLDER}/commits"
    return f"set -eu; {STOP}; {prepare}; {_unit(UNIT, f'{FOLDER}/client.py', 'client.py', settings)}"


def start_pairs(topology: Topology, first: str, second: str) -> str:
    """Return the command that starts the clients of pairs in the background."""
    groups = {group.name: group for group in topology.database_groups}
    targets = [conninfo_of(groups[name]) for name in (first, second)]
    settings = {"table": PAIRS_TABLE, "clients": 4, "targets": targets}
    return f"set -eu; {STOP_PAIRS}; {_unit(PAIRS_UNIT, PAIRS_FILE, 'pairs.py', settings)}"


def _unit(unit: str, file: str, name: str, settings: object) -> str:
    """Return the commands that write one of the programs in this folder to a file, and start it."""
    program = base64.b64encode(Path(__file__).with_name(name).read_bytes()).decode()
    words = [
        *("systemd-run", "--quiet", "--collect", f"--unit={unit}", "--uid=postgres"),
        f"--property=RuntimeMaxSec={LONGEST_SECONDS}",
        *("python3", file, json.dumps(settings)),
    ]
    return f"echo {program} | base64 -d >{file}; {shlex.join(words)}"


def read(offset: int) -> str:
    """Return the command that prints the machine's clock, and the lines from an offset on."""
    return f"cd {FOLDER} && [ -e commits ] && date +%s.%N && tail -c +{offset + 1} commits | head -c {CHUNK_BYTES}"


@dataclass(frozen=True)
class Reading:
    """What a machine has answered to `read`. Times are Unix times by its clock."""

    clock: float
    until: float
    """All commits that were acknowledged before are known."""
    commits: list[Commit]
    size: int
    """The bytes of the whole lines."""


def reading_of(output: str) -> Reading:
    """Return what the output of `read` says. A last line that is not complete is read again."""
    clock, _, rest = output.partition("\n")
    whole = rest[: rest.rfind("\n") + 1]
    commits = [Commit(*json.loads(line)) for line in whole.splitlines()]
    cut = len(rest) >= CHUNK_BYTES  # there may be more lines
    until = commits[-1].acknowledged if cut else float(clock)
    return Reading(float(clock), until, commits, len(whole))


def present(run: str) -> str:
    """Return the statement that lists the rows of a run: the writer, and the first and the last of numbers in a row."""
    return (
        "SELECT writer || '|' || min(number) || '|' || max(number) FROM (SELECT writer, number, number - row_number() "
        f"OVER (PARTITION BY writer ORDER BY number) AS island FROM {TABLE} WHERE run = {_quoted(run)}) AS numbered "
        "GROUP BY writer, island"
    )


def numbers_of(rows: str) -> set[tuple[str, int]]:
    """Return the writers and numbers in the output of `present`."""
    found: set[tuple[str, int]] = set()
    for row in rows.splitlines():
        writer, first, last = row.split("|")
        found |= {(writer, number) for number in range(int(first), int(last) + 1)}
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def clock_error(sent: float, clock: float, received: float) -> float:
    """Return by how much a machine's clock certainly differs: it was read between sending and receiving."""
    return max(sent - clock, clock - received, 0.0)


def clock_bound(sent: float, clock: float, received: float) -> float:
    """Return by how much a machine's clock differs at most: it was read between sending and receiving."""
    return max(abs(clock - sent), abs(received - clock))


def shifted(commit: Commit, seconds: float) -> Commit:
    """Return a commit with its times earlier by some seconds."""
    begun, acknowledged = commit.begun - seconds, commit.acknowledged - seconds
    return Commit(commit.group, commit.writer, commit.number, begun, acknowledged, commit.server, commit.timeline)
