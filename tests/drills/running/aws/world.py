"""A stack at AWS in memory: moto's EC2 and parameters, and machines that answer Systems Manager from a script.

A thread lets clients commit, and lets a standby lead when its leader has lost power.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from drills.restore.members import COMMAND
from drills.restore.target import POINT
from drills.running.aws import client, machines
from drills.sites.site import SiteError
from model.topology import Topology
from tests.drills.restore.fakes import TOPOLOGY, FakeSite, results_of

REGION = TOPOLOGY.settings.database.region
TICK = 0.02
FAILOVER_SECONDS = 0.8


@contextmanager
def simulated(environment: Any, topology: Topology = TOPOLOGY) -> Iterator[dict[str, str]]:
    """Start every member's instance in moto; yield the instances' ids. `environment` is a `MonkeyPatch`."""
    values = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}
    for name, value in values.items():
        environment.setenv(name, value)
    for service in ("ec2", "secretsmanager", "ssm"):
        get_backend(service)[DEFAULT_ACCOUNT_ID][REGION].reset()
    mock = mock_aws()
    mock.start(reset=False)  # other tests of this process use the simulated S3
    try:
        boto3.client("secretsmanager", REGION).create_secret(Name=topology.secrets.backup_readers, SecretString="{}")
        members = [member.name for group in topology.groups for member in group.members]
        yield {name: _instance(topology.prefix, name) for name in members}
    finally:
        mock.stop(remove_data=False)


def _instance(prefix: str, name: str) -> str:
    tags = [{"Key": "Name", "Value": f"{prefix}-{name}"}, {"Key": "Platform", "Value": prefix}]
    made = boto3.client("ec2", REGION).run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.micro",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return made["Instances"][0]["InstanceId"]


def restores() -> FakeSite:
    """Return machines that restore to a recent point."""
    point = (datetime.now(UTC) - timedelta(seconds=30)).strftime(POINT)

    def result(member: str, step: str, arguments: Any) -> Any:
        changed = {"fetch": {"points": {point: "000000010000000000000007"}}, "serve": {"port": "5434"}}
        return results_of(member, step, arguments) | changed.get(step, {})

    found = FakeSite(result)
    found.reading = True  # moto has the tag
    found.answers = {"= 50000": "t", "-h /run/backbuild-restored": "10000 42"}
    return found


@dataclass
class Machine:
    """A member's clients and what they have recorded."""

    settings: dict[str, Any] | None = None
    lines: bytes = b""
    numbers: dict[str, int] = field(default_factory=dict[str, int])


class World:
    """All machines, the API and Cloudflare."""

    def __init__(self, ids: dict[str, str], topology: Topology = TOPOLOGY) -> None:
        self.topology = topology
        self.members = {id: name for name, id in ids.items()}
        self.ids = ids
        self.machines = {name: Machine() for name in ids}
        self.groups = {group.name: [one.name for one in group.members] for group in topology.database_groups}
        self.leaders = {group: names[0] for group, names in self.groups.items()}
        self.rows: dict[str, set[tuple[str, int]]] = {group: set() for group in self.groups}
        self.tables: dict[str, str] = {}
        self.restores = restores()
        self.down: set[str] = set()
        """The members without power."""
        self.tunnels: set[str] = {one.name for one in topology.gateways.members}
        self.has_worker = True
        self.commands: list[tuple[str, str]] = []
        self.failing: dict[str, dict[str, str]] = {}
        """The invocation that a command ends with, by a part of the command."""
        self.clock_error = 0.0
        self.api_delay = 0.01
        """For how long the API goes on failing."""
        self._api_down_at = 0.0
        self.loses: int = 0
        """How many rows of the coordinator vanish at a failover."""
        self._without_leader: dict[str, float] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def serves(self, group: str) -> bool:
        return self.leaders[group] not in self.down and group not in self._without_leader

    @property
    def api_status(self) -> int:
        if not self.has_worker or not self.tunnels - self.down or not self.serves("coordinator"):
            self._api_down_at = time.time()
        return 503 if time.time() - self._api_down_at < self.api_delay else 200

    def power(self, ids: list[str], on: bool) -> None:
        with self._lock:
            for id in ids:
                member = self.members[id]
                (self.down.discard if on else self.down.add)(member)
                self.machines[member] = Machine()  # its clients have ended

    def _loop(self) -> None:
        while not self._ended.wait(TICK):
            with self._lock:
                for group in self.groups:
                    self._elect(group)
                for name, machine in self.machines.items():
                    if machine.settings:
                        self._write(name, machine)

    def _elect(self, group: str) -> None:
        if self.leaders[group] not in self.down:
            self._without_leader.pop(group, None)
            return
        since = self._without_leader.setdefault(group, time.time())
        standbys = [name for name in self.groups[group] if name not in self.down]
        if standbys and time.time() - since > FAILOVER_SECONDS:
            self.leaders[group] = standbys[0]
            for row in sorted(self.rows[group])[-self.loses :] if self.loses else ():
                self.rows[group].discard(row)

    def _write(self, name: str, machine: Machine) -> None:
        assert machine.settings
        for group in machine.settings["targets"]:
            if not self.serves(group):
                continue
            number = machine.numbers[group] = machine.numbers.get(group, 0) + 1
            writer, now = f"{group} from {name}", time.time()
            self.rows[group].add((writer, number))
            line = [group, writer, number, now - 0.001, now, self.leaders[group], f"{1:08}"]
            machine.lines += json.dumps(line).encode() + b"\n"

    # Systems Manager.

    def run(self, member: str, command: str) -> str:
        """Carry a command out on a member."""
        with self._lock:
            self.commands.append((member, command))
            machine = self.machines[member]
            if f"{machines.FOLDER}/client.py" in command:
                words = shlex.split(command)
                program = base64.b64decode(words[words.index("echo") + 1])
                assert program == Path(client.__file__).read_bytes()
                self.machines[member] = Machine(json.loads(words[-1]))
                return ""
            if command.startswith(f"cd {machines.FOLDER}"):
                if machine.settings is None:
                    raise SiteError("no clients")
                offset = int(command.split("tail -c +")[1].split(maxsplit=1)[0]) - 1
                shown = machine.lines[offset : offset + machines.CHUNK_BYTES].decode()
                return f"{time.time() + self.clock_error}\n{shown}"
            return self._answer(member, machine, command)

    def _answer(self, member: str, machine: Machine, command: str) -> str:
        if command in {machines.STOP, machines.REMOVE}:
            machine.settings = None if command == machines.REMOVE else machine.settings and {"targets": {}}
            return ""
        if command == machines.LEADS:
            return "200" if member in self.leaders.values() else "503"
        if tunnel := re.fullmatch(r"systemctl (stop|start) backbuild-tunnel", command):
            (self.tunnels.discard if tunnel[1] == "stop" else self.tunnels.add)(member)
            return ""
        if command.startswith(COMMAND):
            return self.restores.run(member, command, 0)
        if "backbuild-restored" in command or "/primary" in command:
            if "pg_dump" in command:
                self.tables["drill_orders"] = "50000 8750175000"
                return ""
            return self.restores.run(member, command, 0)
        if "PGSSLMODE=verify-full" in command:
            return "5434 off"  # a cluster beside
        if "psql" in command:
            return self._sql(member, shlex.split(command)[-1])
        return ""  # backbuild-healthy, clients of pairs

    def _sql(self, member: str, statement: str) -> str:
        group = next(group for group, names in self.groups.items() if member in names)
        if statement.startswith("SELECT writer"):
            return "\n".join(f"{writer}|{number}|{number}" for writer, number in self.rows[group])
        if "to_regclass" in statement:
            return "t\n"
        if made := re.match(r"(CREATE|DROP) TABLE (?:IF EXISTS )?(\w+)", statement):
            if made[1] == "CREATE":
                self.tables[made[2]] = "50000 8750175000"
            else:
                self.tables.pop(made[2], None)
            return ""
        if "drill_orders" in statement:
            return self.tables["drill_orders"]
        return "10000"  # pairs


class SystemsManager:
    """Systems Manager's client: commands end at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.exceptions = boto3.client("ssm", REGION).exceptions
        self._ended: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def send_command(self, **given: Any) -> dict[str, Any]:
        member = self._world.members[given["InstanceIds"][0]]
        (command,) = given["Parameters"]["commands"]
        shown = {"StandardOutputContent": "", "StandardErrorContent": "", "StatusDetails": ""}
        ended = next((ended for part, ended in self._world.failing.items() if part in command), None)
        if member in self._world.down:
            shown |= {"Status": "Undeliverable", "StatusDetails": "Undeliverable"}
        elif ended is not None:
            shown |= {"StatusDetails": ended["Status"], **ended}
        else:
            try:
                shown |= {"Status": "Success", "StandardOutputContent": self._world.run(member, command)}
            except SiteError as error:
                shown |= {"Status": "Failed", "StandardErrorContent": str(error)}
        with self._lock:
            id = f"command-{len(self._ended)}"
            self._ended[id] = shown
        return {"Command": {"CommandId": id}}

    def get_command_invocation(self, CommandId: str, InstanceId: str) -> dict[str, str]:  # noqa: N803
        assert InstanceId
        return self._ended[CommandId]


@contextmanager
def internet(world: World) -> Iterator[str]:
    """Serve the API's `/health`, and Cloudflare's API; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = world.api_status
            health = "ok" if status == 200 else "down"
            self._send(status, {"components": {"database": {"status": health}}})

        def do_DELETE(self) -> None:
            if self.headers["authorization"] != "Bearer a-token":
                self._send(403, {})
                return
            assert self.path.endswith(f"/workers/scripts/{world.topology.prefix}-api?force=true")
            world.has_worker = False
            self._send(200, {"success": True})

        def _send(self, status: int, body: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
