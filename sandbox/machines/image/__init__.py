"""The image that machines boot from: Debian 13 with `packages.txt` and `files/`, built once and then read only.

It holds what Debian requires (`minbase`) and the packages of all roles, so that a machine boots without a mirror. Their
services are not enabled: a machine's user data enables those of its role.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from sandbox.engine import lock
from sandbox.machines.errors import MachineError

HERE = Path(__file__).parent
FILES = HERE / "files"
SUITE = "trixie"
# Services that Debian's packages enable when they are installed.
DISABLED = ("chrony", "etcd", "haproxy", "patroni", "postgresql")


def packages() -> list[str]:
    """Return the names of the image's packages."""
    return (HERE / "packages.txt").read_text(encoding="utf-8").split()


def version() -> str:
    """Return a hash of everything that the image is made from, except the versions of the packages."""
    command = [word.replace(str(FILES), "") for word in _command(Path("root"), Path("cache"))]
    digest = hashlib.sha256("\n".join(command).encode())
    for file in sorted(path for path in FILES.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(FILES)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def ensure(images: Path) -> Path:
    """Return the root of the image, which is built first if it does not exist: some minutes, 900 MB."""
    root = images / version() / "root"
    if root.exists():
        return root
    images.mkdir(parents=True, exist_ok=True)
    with lock.hold(images / "lock", "build an image"):
        if not root.exists():
            _build(root, images / "packages")
    return root


def _build(root: Path, cache: Path) -> None:
    partial = root.parent.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    cache.mkdir(exist_ok=True)
    log = partial / "log"
    with log.open("wb") as output:
        done = subprocess.run(
            [*_command(partial / "root", cache), *mirror()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        raise MachineError(f"mmdebstrap could not build the image; read {log}, and check that apt reaches its mirror")
    shutil.rmtree(root.parent, ignore_errors=True)
    partial.rename(root.parent)


def _command(root: Path, cache: Path) -> list[str]:
    archives = "var/cache/apt/archives"
    units = " ".join(f"{unit}.service" for unit in DISABLED)
    hooks = {
        "setup": [f'mkdir -p "$1/{archives}"', f"sync-in {FILES} /", f"sync-in {cache} /{archives}"],
        "customize": [
            f"sync-out /{archives} {cache}",
            f'rm -f "$1/{archives}"/*.deb',
            # Empty, not absent: without the file, systemd takes the boot for the first one and enables every service.
            ': >"$1/etc/machine-id"',
            f'chroot "$1" systemctl disable {units}',
            # No mirror can be reached from a machine, so apt must not wait for one.
            'rm -f "$1/etc/apt/sources.list" "$1/etc/apt/sources.list.d"/*',
        ],
    }
    return [
        *("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages())}"),
        *('--aptopt=APT::Install-Recommends "false"', "--dpkgopt=force-unsafe-io"),
        # Keep the packages, which `cache` provides for the next image.
        *("--skip=download/empty", "--skip=essential/unlink"),
        *(f"--{stage}-hook={hook}" for stage, commands in hooks.items() for hook in commands),
        *(SUITE, str(root)),
    ]


def mirror() -> list[str]:
    """Return the mirror in this machine's apt sources; without one, mmdebstrap takes its default."""
    form = ("--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages")
    found = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, text=True, check=False).stdout
    return [line.split()[2] for line in found.splitlines() if line.startswith("Debian Debian ")][:1]
