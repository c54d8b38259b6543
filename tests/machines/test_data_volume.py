"""The script that mounts the data volume, with real blkid, mkfs and resize2fs on files instead of disks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.stacks import contents, member, topology_of

SCRIPT = "/usr/local/sbin/backbuild-data-volume"
ID = "vol-0123456789abcdef0"
SIZE = 16 << 20
STUBS = {
    # The instance metadata service: a PUT returns a token, and a GET with the token returns the tag.
    "curl": """case "$*" in
        *PUT*api/token) echo secret;;
        *"token: secret"*tags/instance/DataVolume) cat tag;;
        *) exit 22;;
    esac""",
    "mountpoint": "exit 1",
    "mount": 'echo "$3" >>mounted',
    "sleep": "[ ! -e arrives ] || mv arrives/* by-id/",
}


@dataclass(frozen=True)
class Machine:
    """A machine whose disks are files, each with the link by id that udev would create."""

    folder: Path

    def disk(self, name: str, link: str, content: bytes = b"", where: str = "by-id") -> Path:
        disk = self.folder / name
        disk.write_bytes(content)
        os.truncate(disk, SIZE)
        (self.folder / where).mkdir(exist_ok=True)
        (self.folder / where / link).symlink_to(disk)
        return disk

    def ebs(self, name: str, id: str, content: bytes = b"", where: str = "by-id") -> Path:
        return self.disk(name, f"nvme-Amazon_Elastic_Block_Store_{id.replace('-', '')}", content, where)

    def boot(self) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", self.folder / "script"],
            cwd=self.folder,
            env={"PATH": f"{self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr

    @property
    def mounted(self) -> list[str]:
        return (self.folder / "mounted").read_text().split() if (self.folder / "mounted").exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    topology = topology_of("prod")
    script = contents(topology, member(topology, "coordinator-0"))[SCRIPT]
    for there, here in (
        ("/etc/default/backbuild", f"{tmp_path}/default"),
        ("/dev/disk/by-id/", f"{tmp_path}/by-id/"),
        ("SECONDS + 600", "SECONDS + 1"),
    ):
        assert there in script
        script = script.replace(there, here)
    (tmp_path / "script").write_text(script)
    (tmp_path / "default").write_text(f"DATA={tmp_path}/data\n")
    (tmp_path / "tag").write_text(ID)
    (tmp_path / "by-id").mkdir()
    (tmp_path / "bin").mkdir()
    for name, body in STUBS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return Machine(tmp_path)


def label(disk: Path) -> str:
    command = ["blkid", "-p", "-s", "LABEL", "-o", "value", disk]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def local(machine: Machine) -> Path:
    """Add a blank instance store disk, which is present at boot and empty after each stop."""
    return machine.disk("nvme1n1", "nvme-Amazon_EC2_NVMe_Instance_Storage_AWS0123456789ABCDEF0")


def test_a_blank_volume_is_formatted_and_a_local_disk_is_not(machine: Machine) -> None:
    store, volume = local(machine), machine.ebs("nvme2n1", ID)
    code, errors = machine.boot()
    assert code == 0, errors
    assert machine.mounted == [str(volume)]
    assert (label(volume), store.read_bytes().count(0)) == ("backbuild-data", SIZE)


def test_the_script_waits_for_a_volume_that_is_attached_late(machine: Machine) -> None:
    store, volume = local(machine), machine.ebs("nvme2n1", ID, where="arrives")
    code, errors = machine.boot()
    assert code == 0, errors
    assert machine.mounted == [str(volume)]
    assert store.read_bytes().count(0) == SIZE


def test_the_volume_is_not_formatted_again_after_a_stop(machine: Machine) -> None:
    volume = machine.ebs("nvme2n1", ID)
    assert machine.boot()[0] == 0
    before = subprocess.run(
        ["blkid", "-p", "-s", "UUID", "-o", "value", volume], capture_output=True, check=True
    ).stdout
    store = local(machine)
    assert machine.boot()[0] == 0
    after = subprocess.run(["blkid", "-p", "-s", "UUID", "-o", "value", volume], capture_output=True, check=True).stdout
    assert before == after
    assert machine.mounted == [str(volume)] * 2
    assert store.read_bytes().count(0) == SIZE


@pytest.mark.parametrize("absent", ["volume", "tag"])
def test_without_its_own_volume_a_machine_writes_to_no_disk(machine: Machine, absent: str) -> None:
    store, other = local(machine), machine.ebs("nvme3n1", "vol-0fedcba9876543210")
    if absent == "tag":
        machine.ebs("nvme2n1", ID)
        (machine.folder / "tag").unlink()
    code, errors = machine.boot()
    assert code == 1
    assert errors.count("remedy: ") == 1
    assert machine.mounted == []
    assert all(disk.read_bytes().count(0) == SIZE for disk in (store, other))


def xfs(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.write(b"XFSB\x00\x00\x10\x00")


def swap(disk: Path) -> None:
    subprocess.run(["mkswap", disk], capture_output=True, check=True)


def partitions(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(446)
        file.write(bytes.fromhex("80202100830a08000008000000700000") + bytes(48) + b"\x55\xaa")


def foreign_ext4(disk: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-L", "home", disk], capture_output=True, check=True)


def unknown(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(3 << 20)
        file.write(b"something that has no signature")


@pytest.mark.parametrize("fill", [xfs, swap, partitions, foreign_ext4, unknown])
def test_a_volume_with_foreign_content_is_refused_and_not_changed(
    machine: Machine, fill: Callable[[Path], None]
) -> None:
    volume = machine.ebs("nvme2n1", ID)
    fill(volume)
    before = volume.read_bytes()
    code, errors = machine.boot()
    assert code == 1
    why, remedy = (
        "neither blank nor ext4 labelled backbuild-data",
        "replace the volume, or empty it with wipefs and blkdiscard",
    )
    assert errors == f"backbuild-data-volume: {ID} ({volume}) is {why}; remedy: {remedy}\n"
    assert machine.mounted == []
    assert volume.read_bytes() == before
