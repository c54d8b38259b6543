"""Real packages in minimal Debian 13 roots: each role's list is complete, and the build of the image succeeds.

The vendors' packages are stand-ins. No service runs, because systemd does not run in these roots.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.stacks import contents, members, topology_of
from machines.files import HELD_VERSIONS, held_of, packages_of
from machines.image import CHECK, component
from model.topology import Member, Role, Topology
from sandbox.machines import prerequisites
from tests.machines.bare_root import Root, Vendors, ensure_base, images, memory, serving

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(prerequisites.missing()), reason=prerequisites.missing() or "")]

STAGING = topology_of("staging")
OUTSIDE = "AGENT=optional CITUS=optional TUNNEL=optional\n"
# For each package, a command that starts its program or loads its module, and needs nothing else.
STARTS = {
    "awscli": "aws --version",
    "ca-certificates": "grep -q BEGIN /etc/ssl/certs/ca-certificates.crt",
    "chrony": "chronyd --version",
    "curl": "curl --version",
    "e2fsprogs": "mkfs.ext4 -V",
    "etcd-client": "etcdctl version",
    "etcd-server": "etcd --version",
    "gpg": "gpg --version",
    "haproxy": "haproxy -v",
    "jq": "jq --version",
    "kmod": "modprobe --version",
    "openssl": "openssl version",
    "patroni": "patroni --version; patronictl version; python3 -c 'import patroni.psycopg, patroni.dcs.etcd3'",
    "pgbackrest": "pgbackrest version",
    "postgresql-17": "for name in postgres initdb pg_amcheck pg_basebackup pg_checksums pg_rewind psql; do"
    " /usr/lib/postgresql/17/bin/$name --version; done",
    "procps": "sysctl --version; pgrep --version",
    "python3-boto3": "python3 -c 'import boto3'",
    "python3-cryptography": "python3 -c 'import cryptography.hazmat.primitives.asymmetric.ed25519'",
    "python3-etcd": "python3 -c 'import etcd'",
    "python3-yaml": "python3 -c 'import yaml'",
    "zstd": "zstd --version",
}


def first(role: Role) -> Member:
    return next(one for _, one in members(STAGING) if one.role is role)


def unpack(root: Root, topology: Topology, one: Member) -> None:
    """Write a member's files, as backbuild-boot does."""
    for path, content in contents(topology, one).items():
        root.write(path, content, 0o755 if path.startswith(("/usr/local/sbin/", "/usr/local/lib/")) else 0o644)


@pytest.fixture(scope="module")
def base() -> Path:
    return ensure_base(images())


@pytest.fixture(scope="module")
def cache() -> Path:
    """The downloaded packages, which all roots share and the next run uses again."""
    folder = images() / "bare-packages"
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    with serving(tmp_path_factory.mktemp("vendors")) as servers:
        yield servers


@pytest.fixture
def root(base: Path, cache: Path) -> Iterator[Root]:
    with memory() as folder:
        yield Root.over(base, folder, cache)


@pytest.fixture(scope="module")
def baked(base: Path, cache: Path, vendors: Vendors) -> Iterator[Root]:
    """A root in which the component's build phase has run, with the versions that Debian has today."""
    with memory() as folder:
        root = Root.over(base, folder, cache)
        vendors.enter(root)
        known = root.ran("apt-get -q update >&2; apt-cache policy " + " ".join(HELD_VERSIONS))
        candidates = [line.split()[1] for line in known.splitlines() if "Candidate:" in line]
        versions = dict(zip(HELD_VERSIONS, candidates, strict=True))
        (command,) = yaml.safe_load(component(STAGING, versions))["phases"][0]["steps"][0]["inputs"]["commands"]
        # The cache of packages is this computer's, so the build must not empty it.
        root.write("/usr/local/bin/bake", command.replace("apt-get clean\n", ""), 0o755)
        root.ran("bake && rm /usr/local/bin/bake")
        yield root


@pytest.mark.parametrize("role", list(Role))
def test_every_program_of_a_roles_own_packages_starts(root: Root, role: Role) -> None:
    """The root has only this role's packages, so a program that needs another role's or a recommended package fails."""
    unpack(root, STAGING, first(role))
    root.write("/etc/default/backbuild-local", OUTSIDE)
    root.ran("backbuild-install --packages")
    root.ran("\n".join(["set -x", *(STARTS[package] for package in packages_of(role))]), network=False)
    assert not root.exists("/usr/sbin/policy-rc.d")


def test_the_image_has_the_packages_of_every_role(baked: Root) -> None:
    listed = baked.ran(CHECK)
    for role in Role:
        for package in held_of(role):
            assert f"{package} " in listed
    baked.ran("\n".join(f"{command} >/dev/null" for command in STARTS.values()), network=False)


def test_the_image_has_no_keys_and_no_traces_of_the_build(baked: Root) -> None:
    assert baked.ran("cat /etc/machine-id", network=False) == ""
    baked.ran(
        "test -z \"$(ls /etc/ssl/private /etc/apt/sources.list.d /etc/apt/preferences.d | grep -v ':$')\"",
        network=False,
    )
    baked.ran("! ls /etc/ssh/ssh_host_* /var/lib/postgresql/*/main 2>/dev/null", network=False)
    for path in (
        "/usr/sbin/policy-rc.d",
        "/etc/default/backbuild",
        "/usr/local/lib/backbuild",
        "/var/lib/dbus/machine-id",
    ):
        assert not baked.exists(path), path


def test_the_check_reports_another_version(baked: Root) -> None:
    there = "postgresql-17 17"
    done = baked.run(
        f"sed 's/^{there}/postgresql-17 16/' {CHECK} >/tmp/check; sh /tmp/check; rm /tmp/check", network=False
    )
    assert done.returncode == 1
    assert "postgresql-17 has the version 17." in done.stderr
    assert "set HELD_VERSIONS" in done.stderr


@pytest.mark.parametrize("role", list(Role))
def test_a_machine_of_the_image_installs_without_a_network(baked: Root, role: Role) -> None:
    """The first boot installs no package, so it succeeds while Debian's mirror and the vendors are unreachable."""
    with memory() as folder:
        machine = Root.over(f"{baked.folder}/upper:{baked.base}", folder, baked.cache)
        unpack(machine, STAGING, first(role))
        printed = machine.ran("backbuild-install --packages 2>&1", network=False)
        assert set(printed.splitlines()) == {f"{package} was already set on hold." for package in held_of(role)}
        # backbuild-install also starts the services, which needs systemd.
        machine.ran(". /etc/default/backbuild; systemctl enable $SERVICES", network=False)
        services = machine.ran("systemctl is-enabled etcd patroni haproxy || true", network=False).split()
    expected = {Role.CONSENSUS: "etcd", Role.GATEWAY: "haproxy"}.get(role, "patroni")
    assert services == ["enabled" if name == expected else "disabled" for name in ("etcd", "patroni", "haproxy")]
