"""What a cloud gives a machine before its first boot: user data, a resolver, and the authorities that it trusts."""

from __future__ import annotations

from pathlib import Path

from sandbox.machines.inventory import Instance
from sandbox.machines.network import RESOLVER

SEED = "var/lib/cloud/seed/nocloud"
TRUSTED = "etc/ssl/certs/ca-certificates.crt"
CA = "usr/local/share/ca-certificates/sandbox.crt"


def write(upper: Path, image: Path, instance: Instance, ca: str) -> None:
    """Write the files into a machine's layer above the image. cloud-init gets exactly the bytes of the user data."""
    files = {
        f"{SEED}/user-data": instance.user_data,
        f"{SEED}/meta-data": f"instance-id: {instance.id}\n".encode(),
        "etc/resolv.conf": f"nameserver {RESOLVER}\n".encode(),
        "etc/hosts": b"127.0.0.1 localhost\n",
        CA: ca.encode(),
        TRUSTED: (image / TRUSTED).read_bytes() + ca.encode(),
    }
    for path, content in files.items():
        file = upper / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
