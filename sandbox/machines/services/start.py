"""Start the stand-ins of a stack, unless they run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from sandbox.machines.errors import MachineError
from sandbox.machines.network import INTERNET, inside
from sandbox.machines.place import Place
from sandbox.machines.processes import Group
from sandbox.machines.services import certificates, packages, repository

AGENT = "amazon-ssm-agent"
PORT = "8000"  # in the namespace of the services, where nothing else listens
CONFIGURATION = Path(__file__).with_name("haproxy.cfg")
ROOT = Path(__file__).parents[3]
START_SECONDS = 120  # until the services listen; loading them takes seconds


def ensure(place: Place) -> str:
    """Start the services in the stack's `cloud` namespace, wait until they answer, and return their authority."""
    folder = place.services
    place.metrics.mkdir(parents=True, exist_ok=True)
    authority = certificates.ensure(folder)
    packages.build(AGENT, folder / "vendors" / f"{AGENT}.deb")
    repository.build("cloudflared", folder / "vendors")
    services, front = Group(f"{place.prefix}/services"), Group(f"{place.prefix}/haproxy")
    if not services.running:
        module = ("-m", "sandbox.machines.services", place.store, folder, PORT)
        environment = ("env", f"PYTHONPATH={ROOT}")
        services.start([*inside(place.cloud), *environment, sys.executable, *map(str, module)], folder / "log")
    if not front.running:
        environment = ("env", f"SANDBOX_CERTIFICATE={folder / 'front.pem'}")
        front.start([*inside(place.cloud), *environment, "haproxy", "-db", "-f", CONFIGURATION], folder / "haproxy.log")
    _wait(place, services, front)
    return authority


def _wait(place: Place, *groups: Group) -> None:
    deadline = time.monotonic() + START_SECONDS
    probe = (*inside(place.cloud), sys.executable, "-c", _PROBE)
    while subprocess.run(probe, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline or not all(group.running for group in groups):
            raise MachineError(f"the stand-ins for the clouds' services do not answer; read {place.services}/*log")
        time.sleep(0.2)


# Any status will do: it shows that HAProxy and the services answer.
_PROBE = f"""
import http.client
connection = http.client.HTTPConnection({INTERNET!r}, timeout=5)
connection.request("GET", "/", headers={{"host": "s3.us-east-1.amazonaws.com"}})
raise SystemExit(connection.getresponse().status == 503)
"""
