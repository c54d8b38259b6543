"""The live machines of a stack: what can be asked, broken and mended from outside."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from drills.failover.faults import Situation, group_of, is_database
from drills.failover.writers import Route
from sandbox.engine.workspace import find
from sandbox.machines import image, inventory, network, partitions
from sandbox.machines.errors import MachineError
from sandbox.machines.inventory import Instance
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place, place_of
from sandbox.machines.services import start

CHECK_SECONDS = 60  # the limit for one check of a machine
PATRONI = "curl -s --config /run/backbuild/patroni-curl --max-time 5"
FILLER = "$DATA/filler"
# PostgreSQL needs space when it begins a WAL segment, so begin some.
SEGMENTS = "for i in 1 2 3; do timeout 5 runuser -u postgres -- psql -qc 'SELECT pg_switch_wal()'; sleep 1; done"
# What breaks a machine from inside, and what mends it. An empty text: it mends itself.
SHELL: Mapping[str, tuple[str, str]] = {
    "crash of Patroni and PostgreSQL": ("systemctl kill --signal=KILL patroni", ""),
    "crash of PostgreSQL": ("pkill -KILL -x postgres", ""),
    "stop of Patroni": ("systemctl stop patroni", "systemctl start patroni"),
    # As an operator or backbuild-patch does it; nothing has to be undone.
    "switchover": (f'{PATRONI} -X POST -d "{{\\"leader\\": \\"$MEMBER\\"}}" "https://$ADDRESS:8008/switchover"', ""),
    "freeze of Patroni": (
        "systemctl kill --kill-whom=main --signal=STOP patroni",
        "systemctl kill --kill-whom=main --signal=CONT patroni",
    ),
    "freeze of PostgreSQL": ("pkill -STOP -x postgres", "pkill -CONT -x postgres"),
    "full data disk": (
        f'fallocate -l "$(df --output=avail -B1 "$DATA" | tail -n 1)" "{FILLER}"; {SEGMENTS}',
        f'rm "{FILLER}"',
    ),
}
ONLY: Mapping[str, partitions.Only | None] = {
    "partition": None,
    "partition, incoming": "incoming",
    "partition, outgoing": "outgoing",
}


class Fleet:
    """The machines of one stack."""

    def __init__(self, root: Path, stack: str) -> None:
        self.place: Place = place_of(find(root, stack))

    @property
    def exists(self) -> bool:
        """Whether the stack has machines."""
        return self.place.folder.exists()

    @cached_property
    def instances(self) -> dict[str, Instance]:
        """The instances by name."""
        found = inventory.read(self.place.store).instances.values()
        return {one.name: one for one in sorted(found, key=lambda one: one.name)}

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The members of each group."""
        groups: dict[str, list[str]] = {}
        for name in self.instances:
            groups.setdefault(group_of(name), []).append(name)
        return groups

    @cached_property
    def databases(self) -> list[str]:
        """The groups that have a leader."""
        return [group for group in self.groups if is_database(group)]

    def machine(self, name: str) -> Machine:
        """Return a machine."""
        return Machine(self.place, self.instances[name].id)

    def shell(self, name: str, words: str) -> subprocess.CompletedProcess[str]:
        """Run shell commands on a machine, with its settings. The status is 124 if it does not answer in time."""
        script = f". /etc/default/backbuild; {words}"
        try:
            return self.machine(name).run(["sh", "-c", script], seconds=CHECK_SECONDS)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", f"no answer within {CHECK_SECONDS} s")
        except MachineError as error:
            return subprocess.CompletedProcess(words, 1, "", str(error))

    def everywhere(self, function: Callable[[str], Any], names: Sequence[str]) -> dict[str, Any]:
        """Call a function for several machines at once."""
        with ThreadPoolExecutor(len(names)) as pool:
            return dict(zip(names, pool.map(function, names), strict=True))

    # Questions.

    def reason(self, name: str) -> str:
        """Return why a machine is not healthy, or an empty text."""
        done = self.shell(name, "backbuild-healthy")
        return "" if done.returncode == 0 else (done.stderr.strip() or f"status {done.returncode}")

    def unhealthy(self) -> dict[str, str]:
        """Return the reason for each machine that is not healthy."""
        return {name: why for name, why in self.everywhere(self.reason, list(self.instances)).items() if why}

    def primaries(self, group: str) -> list[str]:
        """Return the members that say that they lead their group."""

        def leads(name: str) -> bool:
            ask = f"{PATRONI} -o /dev/null -w '%{{http_code}}' https://$ADDRESS:8008/primary"
            return self.shell(name, ask).stdout == "200"

        return [name for name, yes in self.everywhere(leads, self.groups[group]).items() if yes]

    def situation(self) -> Situation:
        """Return the present roles of the machines."""
        leaders = {group: found[0] for group in self.databases if (found := self.primaries(group))}
        return Situation(self.groups, leaders, {name: one.zone for name, one in self.instances.items()})

    def lease(self) -> dict[str, int]:
        """Return Patroni's `ttl`, `loop_wait` and `retry_timeout` in seconds."""
        done = self.shell(self.groups[self.databases[0]][0], f"{PATRONI} https://$ADDRESS:8008/config")
        settings = json.loads(done.stdout)
        return {name: int(settings[name]) for name in ("ttl", "loop_wait", "retry_timeout")}

    def journal(self, name: str, lines: int = 40) -> str:
        """Return the end of a machine's journal, also if it does not run."""
        folder = self.machine(name).folder / "upper/var/log/journal"
        command = ["journalctl", f"--directory={folder}", "--no-pager", f"--lines={lines}", "--output=short-iso"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    # Ways of the clients to the databases.

    def routes(self, folder: Path) -> dict[tuple[str, str], list[Route]]:
        """Return the routes of each writer, by its group and its name. `folder` gets the direct writers' certificates.

        A client of the API enters through one gateway, and through another one if its gateway fails, as a tunnel's
        connections do. The coordinators connect to the leaders of the worker groups themselves.
        """
        gateways = [self._through(name) for name in self.groups["gateway"]]
        found = {
            ("coordinator", name): gateways[index:] + gateways[:index]
            for index, name in enumerate(self.groups["gateway"])
        }
        for group in self.databases[1:]:
            for name in self.groups["coordinator"]:
                found[group, f"{group} from {name}"] = [self._direct(group, name, folder)]
        return found

    def _through(self, gateway: str) -> Route:
        versions = inventory.read(self.place.store).of_type("aws:secretsmanager/secretVersion:SecretVersion")
        password = next(
            str(one.outputs["secretString"]) for one in versions if one.urn.endswith("::access-application")
        )
        user = f"user=application dbname=backbuild password={password}"
        return Route(self.place.namespace(self.instances[gateway].id), f"host=127.0.0.1 sslmode=require {user}")

    def _direct(self, group: str, client: str, folder: Path) -> Route:
        own = folder / client
        own.mkdir(mode=0o700, exist_ok=True)
        for part in ("certificate", "key", "authorities"):
            file = own / f"{part}.pem"
            file.touch(mode=0o600)
            file.write_text(self.shell(client, f"cat /run/backbuild/tls/{part}.pem").stdout, encoding="utf-8")
        hosts = ",".join(self.instances[name].address for name in self.groups[group])
        tls = f"sslrootcert={own}/authorities.pem sslcert={own}/certificate.pem sslkey={own}/key.pem"
        return Route(
            self.place.namespace(self.instances[client].id),
            f"host={hosts} user=application dbname=backbuild target_session_attrs=read-write sslmode=verify-full {tls}",
        )

    # Faults.

    def begin(self, action: str, name: str, machines: Sequence[str]) -> None:
        """Let a fault begin."""
        if action == "power loss":
            self.everywhere(lambda one: self.machine(one).kill(), machines)
        elif action == "reboot":
            self.everywhere(lambda one: self.machine(one).stop(), machines)
        elif action in ONLY:
            addresses = [self.instances[one].address for one in machines]
            partitions.cut(self.place, name, addresses, ONLY[action])
        else:
            self.everywhere(lambda one: self.shell(one, SHELL[action][0]), machines)

    def end(self, action: str, name: str, machines: Sequence[str]) -> None:
        """End a fault as somebody outside the platform would: give power, reconnect, continue, free the disk."""
        if action in {"power loss", "reboot"}:
            self.boot(machines)
        elif action in ONLY:
            partitions.heal(self.place, name)
        elif SHELL[action][1]:
            self.everywhere(lambda one: self.shell(one, SHELL[action][1]), machines)

    def boot(self, names: Sequence[str]) -> None:
        """Boot machines that do not run."""
        for name in names:
            self.machine(name).start(self.instances[name], *self.image)
        network.enforce(self.place, inventory.read(self.place.store))

    @cached_property
    def image(self) -> tuple[Path, str]:
        """The machines' image and the authority that they trust. The first use takes seconds."""
        return image.ensure(self.place.images), start.ensure(self.place)

    def mend(self) -> None:
        """End every fault that an interrupted drill may have left. Raises `MachineError` if that fails on a machine."""
        with suppress(MachineError):
            partitions.heal(self.place)
        self.boot(list(self.instances))
        undo = f'pkill -CONT -x postgres; pkill -CONT -x patroni; rm -f "{FILLER}" && systemctl start patroni'
        done = self.everywhere(
            lambda one: self.shell(one, undo), [name for group in self.databases for name in self.groups[group]]
        )
        failed = [f"{name}: {one.stderr.strip()}" for name, one in done.items() if one.returncode != 0]
        if failed:
            raise MachineError(f"the faults are not undone on {'; '.join(failed)}")
