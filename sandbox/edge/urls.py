"""The Cloudflare Workers' custom domains at ports of this computer's loopback interface, each with a port of its own.

The ports are opened here, outside of the stack's namespaces, and HAProxy inherits them in the namespace of the Workers.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from sandbox.edge import plan, start
from sandbox.machines import inventory
from sandbox.machines.network import inside
from sandbox.machines.place import Place
from sandbox.machines.processes import Group

_HEAD = """\
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 5m

backend workers
    server workers 127.0.0.1:{port}
"""
_FRONTEND = """
frontend {host}
    bind fd@{socket}
    http-request set-header host {host}
    default_backend workers
"""


def known(place: Place) -> dict[str, str]:
    """Return the URL of each custom domain, if the stack has been brought up."""
    return {host: f"http://127.0.0.1:{port}/" for host, port in _ports(place).items()}


def ensure(place: Place) -> None:
    """Serve every custom domain. A domain keeps its port as long as no other program takes it."""
    hosts = plan.hostnames(inventory.read(place.store))
    group, ports = Group(f"{place.prefix}/urls"), _ports(place)
    if group.running and sorted(ports) == hosts:
        return
    group.kill()
    folder = start.folder(place)
    with ExitStack() as stack:
        sockets = {host: stack.enter_context(_listen(ports.get(host, 0))) for host in hosts}
        configuration = folder / "urls.cfg"
        configuration.write_text(configured({host: each.fileno() for host, each in sockets.items()}), encoding="utf-8")
        command = [*inside(place.cloud), "haproxy", "-db", "-f", configuration]
        group.start(command, folder / "urls.log", [each.fileno() for each in sockets.values()])
        opened = {host: each.getsockname()[1] for host, each in sockets.items()}
    _file(place).write_text(json.dumps(opened), encoding="utf-8")


def configured(sockets: Mapping[str, int]) -> str:
    """Return HAProxy's configuration: the file descriptor of each host name's socket. Pure."""
    return _HEAD.format(port=start.WORKERS_PORT) + "".join(
        _FRONTEND.format(host=host, socket=number) for host, number in sockets.items()
    )


def _listen(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:  # another program has taken the port
        made.bind(("127.0.0.1", 0))
    made.listen()
    return made


def _file(place: Place) -> Path:
    return start.folder(place) / "urls.json"


def _ports(place: Place) -> dict[str, int]:
    file = _file(place)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def lines(place: Place) -> Iterator[str]:
    """Yield a line for each URL."""
    for host, url in known(place).items():
        yield f"{host}  {url}"
