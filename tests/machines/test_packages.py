"""Every program that a machine's scripts call is in a package that the machine lists: apt installs no recommends."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness.stacks import contents, member, members, topology_of
from machines.files import files_for
from model.topology import Member

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
    "patroni": "patroni",
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


def test_pgpass_contains_every_role_that_runs_distributed_statements(tmp_path: Path) -> None:
    """Citus connects to the other groups as the role that runs a statement."""
    script = contents(PROD, member(PROD, "worker-1-0"))["/usr/local/lib/backbuild/patroni-configure"]
    for there in (
        "/etc/default/backbuild",
        "/run/backbuild",
        "/etc/backbuild",
        "/var/lib/postgresql",
        "/etc/pgbackrest",
    ):
        assert there in script
        script = script.replace(there, f"{tmp_path}{there}")
    made = ("etc/default", "etc/backbuild/tls", "etc/pgbackrest", "run/backbuild/secrets", "var/lib/postgresql", "bin")
    for folder in made:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/default/backbuild").write_text(
        f"MEMBER=m\nADDRESS=127.0.0.1\nDATA={tmp_path}/data\nCITUS=optional\n"
    )
    for name in ("patroni.yml", "citus.yml", "tls/postgresql.crt"):
        (tmp_path / "etc/backbuild" / name).write_text("{}\n")
    passwords = {name: f"{name}:with\\signs" for name in ("superuser", "replication", "rewind", "application")}
    secrets = {**passwords, "backup-cipher": "x", "backup-storage": '{"accessKeyId": "i", "secretAccessKey": "k"}'}
    for name, value in secrets.items():
        (tmp_path / "run/backbuild/secrets" / name).write_text(value)
    stubs = {
        "install": 'case "$1" in -d) shift 7; mkdir -p "$@";; *) cat "$7" >"$8";; esac',
        "chown": "",
        "modprobe": "",
    }
    for name, body in stubs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-s"], input=script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var/lib/postgresql/.pgpass").read_text().splitlines() == [
        r"*:*:*:postgres:superuser\:with\\signs",
        r"*:*:*:application:application\:with\\signs",
    ]
    assert not any(password in done.stdout + done.stderr for password in passwords.values())
