"""Start the process of a stack's edge, and wait until it runs what the simulated Cloudflare contains."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from sandbox.edge import plan
from sandbox.machines import inventory
from sandbox.machines.errors import MachineError
from sandbox.machines.network import INTERNET, inside
from sandbox.machines.place import Place
from sandbox.machines.processes import Group

HOST = Path(__file__).with_name("host.mjs")
MINIFLARE = Path(__file__).parents[2] / "workers/node_modules/miniflare"
# In the namespace of the services; haproxy.cfg has the same ports.
PLAN, S3_PORT, WORKERS_PORT = "127.0.0.1:8000", "8001", "8002"
WAIT_SECONDS = 120
PAUSE = 0.2


def node() -> str | None:
    """Return the path of Node.js: the development packages put it beside the interpreter."""
    return shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")


def folder(place: Place) -> Path:
    """Return the folder of the edge: its buckets, databases, queues, e-mails, webhooks and log."""
    return place.folder / "edge"


def ensure(place: Place) -> None:
    """Start the process in the stack's `cloud` namespace, unless it runs. It follows the simulated Cloudflare."""
    group = Group(f"{place.prefix}/edge")
    if group.running:
        return
    folder(place).mkdir(parents=True, exist_ok=True)
    (folder(place) / "applied").unlink(missing_ok=True)
    # With a process namespace of its own: workerd ends when this process ends, however that happens.
    alone = ("unshare", "--pid", "--fork", "--kill-child")
    command = [*inside(place.cloud), *alone, str(node()), HOST, folder(place), PLAN, S3_PORT, WORKERS_PORT, INTERNET]
    group.start(command, folder(place) / "log")


def wait(place: Place) -> None:
    """Wait until the process has applied the present plan."""
    wanted = plan.version(plan.encoded(plan.plan(inventory.read(place.store))))
    applied, log = folder(place) / "applied", folder(place) / "log"
    deadline = time.monotonic() + WAIT_SECONDS
    while not applied.exists() or applied.read_text(encoding="utf-8") != wanted:
        if not Group(f"{place.prefix}/edge").running:
            raise MachineError(f"the process of the edge has ended; read {log}")
        if time.monotonic() > deadline:
            raise MachineError(f"the edge did not start its Cloudflare Workers within {WAIT_SECONDS} s; read {log}")
        time.sleep(PAUSE)
