"""User data, and the archive of files that it refers to."""

import gzip
import hashlib
import io
import tarfile

import yaml

from harness.stacks import member, members, topology_of
from machines.archive import archive_of
from machines.files import TEMPLATES, files_for
from machines.user_data import render
from model.topology import Member, Topology


def booted(topology: Topology, one: Member) -> tuple[str, bytes]:
    """Return the user data and the archive of a member."""
    archive = archive_of(files_for(topology, one))
    return render(topology, one, archive), archive.content


def test_user_data_contains_the_boot_script_and_the_hash_of_the_archive():
    topology = topology_of("prod", {"database.workers.groups": 64})
    for _, one in members(topology):
        text, archive = booted(topology, one)
        assert text.startswith("#cloud-config\n")
        document = yaml.load(text, Loader=yaml.CSafeLoader)
        assert document["hostname"] == one.name
        (script,) = document["write_files"]
        assert script["path"] == "/usr/local/sbin/backbuild-boot"
        assert script["content"].strip() == (TEMPLATES / "boot.py").read_text().strip()
        sha256 = hashlib.sha256(archive).hexdigest()
        assert document["runcmd"] == [[script["path"], "eu-central-1", "backbuild-prod-machine-files", sha256]]
        assert len(text) < 8 * 1024


def test_an_archive_contains_every_file_with_its_mode_and_owner():
    topology = topology_of("staging")
    for _, one in members(topology):
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(booted(topology, one)[1]))) as tar:
            found = {
                f"/{entry.name}": (tar.extractfile(entry).read().decode(), entry.mode, entry.uname, entry.gname)
                for entry in tar.getmembers()
            }
        assert found == {
            file.path: (file.content, int(file.mode, 8), *file.owner.split(":")) for file in files_for(topology, one)
        }
        assert f'MEMBER="{one.name}"' in found["/etc/default/backbuild"][0]


def test_only_scripts_are_executable():
    topology = topology_of("prod")
    for _, one in members(topology):
        for file in files_for(topology, one):
            script = file.content.startswith("#!")
            sourced = file.content.startswith("# shellcheck shell=sh")
            assert (file.mode == "0755") == (script or sourced), file.path


def test_the_same_topology_gives_the_same_bytes():
    first, again = topology_of("prod"), topology_of("prod")
    assert booted(first, member(first, "coordinator-1")) == booted(again, member(again, "coordinator-1"))


def test_adding_worker_groups_does_not_change_existing_machines():
    before, after = topology_of("prod"), topology_of("prod", {"database.workers.groups": 64})
    for _, one in members(before):
        assert booted(before, one) == booted(after, member(after, one.name))
