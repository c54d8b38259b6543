"""What this computer must have to run a live stack: root, programs, namespaces and loop devices."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess

from sandbox.edge import start as edge
from sandbox.engine.errors import InputError

# Program to the Debian package that contains it.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "losetup": "mount",
    "nsenter": "util-linux",
    "haproxy": "haproxy",
    "dpkg-deb": "dpkg",
    "gpg": "gpg",
    "gpg-agent": "gpg-agent",
}
# Command to what it tries; in some containers even root may not do that.
PROBES = {
    ("unshare", "--mount", "--net", "true"): "network and mount namespaces",
    ("losetup", "--find"): "loop devices",
}


def missing() -> str | None:
    """Return in one line why machines cannot run here, with the remedy; None if they can."""
    if os.geteuid() != 0:
        return "--live needs root: it makes network namespaces, mounts and containers; run it with sudo"
    if absent := sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None}):
        return f"--live needs Debian packages that are not installed; run `apt-get install {' '.join(absent)}`"
    if importlib.util.find_spec("moto") is None:
        return (
            "--live needs moto for object storage; run `make live`, which installs it, or install requirements-dev.txt"
        )
    if edge.node() is None or not edge.MINIFLARE.exists():
        return "--live needs Node.js and miniflare for Cloudflare Workers; run `make live`, which installs them"
    for command, need in PROBES.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (
                f"--live needs {need}, which this computer does not allow ({done.stderr.strip()}); use another computer"
            )
    return None


def require() -> None:
    """Raise an `InputError` if machines cannot run here."""
    if reason := missing():
        raise InputError(reason)
