"""The process of the edge on loopback ports, without machines and namespaces. It follows a plan that tests change."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sandbox.edge import plan, start
from sandbox.machines.services import certificates

ACCOUNT = "0123456789abcdef0123456789abcdef"
LIMIT_SECONDS = 60
HOST = "127.0.0.1"  # of the bucket, in place of ACCOUNT.eu.r2.cloudflarestorage.com
BUCKET = "backups"
ID = plan.bucket_id(ACCOUNT, "eu", BUCKET)
WRITER, READER, STRANGER = "writer", "reader", "stranger"


def bucket(**changes: Any) -> plan.Json:
    return {"id": ID, "account": ACCOUNT, "name": BUCKET, "host": HOST, "locks": [], "events": [], **changes}


def tokens() -> plan.Json:
    rights = {WRITER: ([ID], [ID]), READER: ([ID], []), STRANGER: ([], [])}
    return {
        name: {"secret": f"secret of {name}", "read": read, "write": write} for name, (read, write) in rights.items()
    }


def empty(**changes: Any) -> plan.Json:
    known = {"buckets": [bucket()], "tokens": tokens(), "queues": [], "consumers": [], "triggers": [], "workers": []}
    known |= {"tunnels": [], "hyperdrives": []}
    return {**known, **changes}


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Edge:
    """A running process. `document` is its plan."""

    folder: Path
    document: plan.Json = field(default_factory=empty)
    refused: list[float] | None = None
    """While this is a list, the plan cannot be read, and the list gets the time of each attempt."""

    def __enter__(self) -> Edge:
        self.s3_port, self.workers_port = free_ports(2)
        # An address of the loopback interface for this process alone.
        self.internet = f"127.9.{self.s3_port >> 8}.{self.s3_port & 255}"
        edge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if edge.refused is not None:
                    edge.refused.append(time.monotonic())
                    self.send_error(503)
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(plan.encoded(edge.document))

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.begin()
        return self

    def begin(self) -> None:
        """Start the process, and wait until it has applied the plan."""
        self.launch()
        self.settle()

    def launch(self) -> None:
        """Start the process."""
        ports = [str(self.s3_port), str(self.workers_port)]
        command = [
            str(start.node()),
            start.HOST,
            self.folder,
            f"127.0.0.1:{self.server.server_port}",
            *ports,
            self.internet,
        ]
        (self.folder / "applied").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def settle(self) -> None:
        """Wait until the process has applied the present plan."""
        self.wait_for(lambda: self.applied() == plan.version(plan.encoded(self.document)))

    def applied(self) -> str:
        file = self.folder / "applied"
        return file.read_text() if file.exists() else ""

    def wait_for(self, condition: Any) -> Any:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (found := condition()):
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)
        return found

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def kill(self) -> None:
        """End the process, and with it workerd."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.server.shutdown()

    @contextmanager
    def tls(self) -> Generator[int]:
        """Serve the S3 interface behind TLS, as haproxy.cfg does, and yield the port."""
        certificates.ensure(self.folder)
        (port,) = free_ports(1)
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(
            "defaults\n mode http\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n"
            f"frontend tls\n bind 127.0.0.1:{port} ssl crt {self.folder}/front.pem\n default_backend r2\n"
            " http-request wait-for-body time 1s if { req.hdr(expect) -i 100-continue }\n"
            f"backend r2\n server r2 127.0.0.1:{self.s3_port}\n"
        )
        with subprocess.Popen(["haproxy", "-db", "-q", "-f", configuration]) as process:
            try:
                self.wait_for(lambda: _listens(port))
                yield port
            finally:
                process.kill()

    def client(self, token: str = WRITER, *, secret: str | None = None, tls: int | None = None, **config: Any) -> Any:
        """Return a client of the S3 interface; `tls` is the port of `tls()`."""
        made: Any = boto3.client(
            "s3",
            endpoint_url=f"http://{HOST}:{self.s3_port}" if tls is None else f"https://{HOST}:{tls}",
            verify=False,
            region_name="auto",
            aws_access_key_id=token,
            aws_secret_access_key=secret or f"secret of {token}",
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                **{"request_checksum_calculation": "when_required", **config},
            ),
        )
        return made
