"""EBS volumes: a sparse file for each, and the block device on a machine whose name contains the volume's id.

A volume outlives its machine: the file stays until the volume itself is deleted.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from sandbox.machines.errors import MachineError
from sandbox.machines.place import Place

# The name that udev gives a volume on EC2, from the serial number of its NVMe disk.
BY_ID = "nvme-Amazon_Elastic_Block_Store_{}"


def file_of(place: Place, volume: str) -> Path:
    """Return the file that holds a volume."""
    return place.folder / "volumes" / volume


def devices_of(place: Place, instance: str) -> Path:
    """Return the folder that the machine sees as /dev/disk/by-id."""
    return place.folder / "instances" / instance / "by-id"


def make(place: Place, volume: str, gib: int) -> None:
    """Make a volume's file, or extend it. Its blocks are allocated as they are written."""
    file = file_of(place, volume)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as opened:
        opened.truncate(max(gib << 30, file.stat().st_size))


def attach(place: Place, volume: str, instance: str) -> None:
    """Attach a volume to an instance, also while its machine runs."""
    device = _loop(file_of(place, volume)) or _losetup("--find", "--show", str(file_of(place, volume)))
    node = devices_of(place, instance) / BY_ID.format(volume.replace("-", ""))
    node.parent.mkdir(parents=True, exist_ok=True)
    node.unlink(missing_ok=True)
    os.mknod(node, 0o660 | stat.S_IFBLK, Path(device).stat().st_rdev)


def detach(place: Place, volume: str, instance: str) -> None:
    """Detach a volume from an instance whose machine is stopped."""
    (devices_of(place, instance) / BY_ID.format(volume.replace("-", ""))).unlink(missing_ok=True)
    _release(file_of(place, volume))


def snapshot(place: Place, volume: str, label: str) -> str:
    """Copy a volume's data into a snapshot, unless there is one with this label; return the snapshot's path."""
    kept = place.folder / "snapshots" / f"{volume}-{label}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", file_of(place, volume), partial], check=True)
        partial.rename(kept)
    return str(kept)


def delete(place: Place, volume: str) -> None:
    """Delete a volume with its data."""
    _release(file_of(place, volume))
    file_of(place, volume).unlink(missing_ok=True)


def release_all(place: Place) -> None:
    """Free the block devices of all volumes; the files stay."""
    for file in (place.folder / "volumes").glob("*"):
        _release(file)


def _release(file: Path) -> None:
    if file.exists() and (device := _loop(file)):
        _losetup("--detach", device)


def _loop(file: Path) -> str:
    """Return the loop device of a file, or an empty text."""
    return _losetup("--associated", str(file), "--noheadings", "--output", "NAME").partition("\n")[0]


def _losetup(*arguments: str) -> str:
    done = subprocess.run(["losetup", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MachineError(f"`losetup {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout.strip()
