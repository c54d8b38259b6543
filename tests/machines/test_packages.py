"""Every program that a machine's scripts call is in a package that the machine lists: apt installs no recommends."""

from __future__ import annotations

import re

import pytest

from harness.stacks import contents, members, topology_of
from machines.files import files_for, packages_of
from model.topology import Member, Role
from tests.machines.test_bare_root import STARTS

PROD = topology_of("prod")
# Command or Python module to the Debian 13 package that contains it. Every image has systemd, and the essential and
# required packages of Debian (coreutils, diffutils, util-linux, mawk, apt …).
COMMANDS = {
    "aws": "awscli",
    "curl": "curl",
    "etcdctl": "etcd-client",
    "gpg": "gpg",
    "jq": "jq",
    "mkfs.ext4": "e2fsprogs",
    "modprobe": "kmod",
    "openssl": "openssl",
    "bin/patroni": "patroni",
    "pgbackrest": "pgbackrest",
    "pgrep": "procps",
    "psql": "postgresql-17",
    "resize2fs": "e2fsprogs",
    "sysctl": "procps",
}
MODULES = {"boto3": "python3-boto3", "cryptography": "python3-cryptography", "yaml": "python3-yaml"}


def packages(one: Member) -> set[str]:
    text = contents(PROD, one)["/etc/default/backbuild"]
    return set(re.findall(r'^PACKAGES="(.*)"$', text, re.MULTILINE)[0].split())


@pytest.mark.parametrize("one", [one for _, one in members(PROD)], ids=lambda one: one.name)
def test_each_called_program_is_in_a_listed_package(one: Member) -> None:
    scripts = [file.content for file in files_for(PROD, one) if "/backbuild" in file.path]
    called = {
        name
        for text in scripts
        for name in COMMANDS
        if re.search(rf"(^|[\s|(&\"/]){re.escape(name)}\s", text, re.MULTILINE)
    }
    imported = {name for text in scripts for name in MODULES if re.search(rf"\b(from|import) (.*, )?{name}\b", text)}
    needed = {COMMANDS[name] for name in called} | {MODULES[name] for name in imported}
    assert {"curl", "jq"} <= called
    assert needed <= packages(one)


def test_patronis_etcd_client_is_listed() -> None:
    """Debian's patroni package accepts any of five clients, but Patroni's etcd3 module imports this one."""
    for group, one in members(PROD):
        assert ("python3-etcd" in packages(one)) == (group.citus_group is not None)
        if group.citus_group is not None:
            assert "etcd3:" in contents(PROD, one)["/etc/backbuild/patroni.yml"]


def test_the_bare_root_starts_every_package():
    assert {package for role in Role for package in packages_of(role)} == STARTS.keys()
