"""Minimal Debian 13 root file systems in which tests install real packages, and stand-ins for vendors' servers."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from machines.files import CITUS_PACKAGE
from sandbox.engine import lock
from sandbox.machines import image
from sandbox.machines.services import packages, repository

SUITE = image.SUITE
LIMIT_SECONDS = 1200  # for one installation on a loaded computer
ADDRESS = "127.77.0.1"  # of the vendors' servers, on this computer only
AGENT_HOST, CITUS_HOST, TUNNEL_HOST = "s3.eu-central-1.amazonaws.com", "repos.citusdata.com", "pkg.cloudflare.com"
# Runs the script $4 in its own mount namespace: an overlay in the folder $1 over the root $2, the file systems that
# packages' scripts need, and the downloaded packages of the folder $3.
_SETUP = """
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
mkdir -p "$1/root/var/cache/apt/archives/partial"
mount --bind "$3" "$1/root/var/cache/apt/archives"
cp /etc/resolv.conf "$1/root/etc/resolv.conf"
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \\
    chroot "$1/root" /bin/sh -euc "$4"
"""


@dataclass(frozen=True)
class Root:
    """A copy-on-write copy of a root: its folder contains only the changed files."""

    folder: Path
    base: str
    cache: Path

    @classmethod
    def over(cls, base: Path | str, folder: Path, cache: Path) -> Root:
        """Create a copy in an empty folder. `base`: a root, or several joined by colons, the top layer first."""
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        return cls(folder, str(base), cache)

    def run(self, script: str, *, network: bool = True) -> subprocess.CompletedProcess[str]:
        """Run shell commands in the root. Without `network`, no address can be reached, not even this computer's."""
        namespaces = ["--mount", "--pid", "--fork", *([] if network else ["--net"])]
        places = (str(self.folder), self.base, str(self.cache))
        return subprocess.run(
            ["unshare", *namespaces, "sh", "-euc", _SETUP, "sh", *places, script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )

    def ran(self, script: str, *, network: bool = True) -> str:
        """Run shell commands that must succeed, and return what they print."""
        done = self.run(script, network=network)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        """Write a file into the root."""
        file = self.folder / "upper" / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)

    def exists(self, path: str) -> bool:
        """Whether a file exists in the root."""
        return self.run(f"test -e {path}", network=False).returncode == 0


@contextmanager
def memory() -> Generator[Path]:
    """Create a folder in memory, so that dpkg does not wait for a disk. The packages of all roles need about 600 MB."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def images() -> Path:
    """Return the folder of the sandbox's images, which keeps the root and its packages between runs."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("SANDBOX_IMAGES") or root / ".sandbox/images")


def ensure_base(folder: Path) -> Path:
    """Return a root with Debian's required packages, apt and systemd only. It is built once."""
    base = folder / f"bare-{SUITE}"
    folder.mkdir(parents=True, exist_ok=True)
    with lock.hold(folder / "bare-lock", "build a bare root"):
        if not base.exists():
            partial = base.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            command = [
                *("mmdebstrap", "--mode=root", "--variant=minbase", "--include=systemd", "--dpkgopt=force-unsafe-io"),
                *('--aptopt=APT::Install-Recommends "false"', SUITE, str(partial), *image.mirror()),
            ]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            partial.rename(base)
    return base


@dataclass(frozen=True)
class Vendors:
    """The running stand-ins for the vendors' servers, and the certificate that they present."""

    certificate: str

    def enter(self, root: Root) -> None:
        """Add the servers' addresses and their certificate to a root."""
        hosts = f"{AGENT_HOST} {CITUS_HOST} {TUNNEL_HOST}"
        root.write("/etc/hosts", f"127.0.0.1 localhost\n{ADDRESS} {hosts}\n")
        root.write("/usr/local/share/ca-certificates/vendors.crt", self.certificate)


@contextmanager
def serving(folder: Path) -> Generator[Vendors]:
    """Serve stand-ins of the agent, Citus and cloudflared by HTTPS under their vendors' URLs."""
    _build(folder)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ",".join(f"DNS:{host}" for host in (AGENT_HOST, CITUS_HOST, TUNNEL_HOST))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=vendors", "-addext", f"subjectAltName={names}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def translate_path(self, path: str) -> str:
            return str(folder / self.headers["Host"].partition(":")[0] / path.lstrip("/"))

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    class Server(ThreadingHTTPServer):
        def shutdown_request(self, request: ssl.SSLSocket) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Close the TLS session before the connection. Otherwise apt reports a truncated response."""
            with suppress(OSError, ValueError):
                request.unwrap()
            self.close_request(request)

    server = Server((ADDRESS, 443), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Vendors(certificate.read_text())
    server.shutdown()
    thread.join()
    server.server_close()


def _build(folder: Path) -> None:
    sources = folder / "sources"
    shutil.copytree(packages.HERE, sources)
    library = sources / CITUS_PACKAGE / "usr/lib/postgresql/17/lib/citus.so"
    library.parent.mkdir(parents=True)
    library.write_text("a stand-in for Citus\n")
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    agent = f"amazon-ssm-eu-central-1/latest/debian_{architecture.stdout.strip()}/amazon-ssm-agent.deb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packages, "HERE", sources)
        packages.build("amazon-ssm-agent", folder / AGENT_HOST / agent)
        repository.build("cloudflared", folder / TUNNEL_HOST)
        community = folder / CITUS_HOST / "community"
        repository.build(CITUS_PACKAGE, community, "bookworm", "gpgkey")
        (community / CITUS_PACKAGE).rename(community / "debian")
