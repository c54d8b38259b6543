"""The component that builds the image, and first boots with and without it: `backbuild-install` with stub programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from harness.stacks import contents, members, topology_of
from harness.waiting import TIMEOUT_SECONDS
from machines.files import HELD_VERSIONS, held_of, packages_of
from machines.image import CHECK, PINS, component, user_data, version_of
from model.topology import Member, Role

PROD = topology_of("prod")
DOCUMENT = component(PROD)
# Stubs of programs that use the network or change the machine. Each writes its name and arguments to a log.
NETWORK = ("apt-get", "curl", "gpg")
STUBS = (*NETWORK, "apt-mark", "dpkg", "systemctl", "sysctl", "sleep")


def first(role: Role) -> Member:
    return next(one for _, one in members(PROD) if one.role is role)


@dataclass(frozen=True)
class Machine:
    """A machine in a folder: the files of a member, and stubs in place of the programs."""

    folder: Path
    role: Role

    @classmethod
    def of(cls, folder: Path, role: Role, missing: str = "") -> Machine:
        """Write the member's files. `missing`: a package that is not in the image."""
        machine = cls(folder, role)
        for path, content in contents(PROD, first(role)).items():
            if path.startswith(("/usr/local/", "/etc/default/")):
                machine.write(path, machine.here(content))
        for path in ("/usr/sbin", "/run", "/etc/apt/keyrings", "/etc/apt/sources.list.d"):
            (folder / path.removeprefix("/")).mkdir(parents=True, exist_ok=True)
        machine.write("/usr/lib/postgresql/17/lib/citus.so", "")
        status = f'#!/bin/sh\nfor name; do :; done\n[ "$name" = "{missing}" ] || echo installed\n'
        machine.write("/bin/dpkg-query", status)
        for name in ("amazon-ssm-agent", "cloudflared"):
            machine.write(f"/bin/{name}", "#!/bin/sh\n")
        for name in STUBS:
            fails = "exit 1" if name in NETWORK and not missing else ""
            machine.write(f"/bin/{name}", f'#!/bin/sh\necho "{name} $*" >>"{folder}/log"\n{fails}\n')
        return machine

    def here(self, text: str) -> str:
        """Return a script with the machine's folder in front of its absolute paths."""
        for path in (
            "/etc/default/",
            "/etc/apt/",
            "/usr/local/",
            "/usr/sbin/",
            "/usr/lib/postgresql",
            "/run/backbuild",
        ):
            text = text.replace(path, f"{self.folder}{path}")
        return text

    def write(self, path: str, content: str) -> None:
        file = self.folder / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755)

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", self.folder / "usr/local/sbin/backbuild-install", *options],
            env=os.environ | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )

    @property
    def log(self) -> list[str]:
        return (self.folder / "log").read_text().splitlines()

    def called(self, *names: str) -> list[str]:
        return [line for line in self.log if line.startswith(tuple(f"{name} " for name in names))]


@pytest.mark.parametrize("role", list(Role))
def test_a_machine_of_the_image_downloads_nothing(tmp_path: Path, role: Role) -> None:
    machine = Machine.of(tmp_path, role)
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert machine.called(*NETWORK, "dpkg", "sleep") == []
    assert [line.split()[-1] for line in machine.called("apt-mark")] == list(held_of(role))
    assert any("enable --now --no-block" in line for line in machine.called("systemctl"))
    assert not (tmp_path / "run/backbuild-install").exists()
    assert not (tmp_path / "usr/sbin/policy-rc.d").exists()


@pytest.mark.parametrize("role", list(Role))
def test_a_plain_image_gets_the_packages_that_are_missing(tmp_path: Path, role: Role) -> None:
    machine = Machine.of(tmp_path, role, missing=packages_of(role)[0])
    assert machine.install().returncode == 0
    update, install = machine.called("apt-get")
    assert update == "apt-get update -q"
    assert install.endswith(f" install {packages_of(role)[0]}")


@pytest.mark.parametrize(("role", "program", "host"), [
    (Role.CONSENSUS, "bin/amazon-ssm-agent", "amazonaws.com"),
    (Role.WORKER, "usr/lib/postgresql/17/lib/citus.so", "citusdata.com"),
    (Role.GATEWAY, "bin/cloudflared", "pkg.cloudflare.com"),
])  # fmt: skip
def test_a_plain_image_gets_the_vendors_packages(tmp_path: Path, role: Role, program: str, host: str) -> None:
    machine = Machine.of(tmp_path, role, missing="nothing")
    (tmp_path / program).unlink()
    machine.install()
    assert any(host in line for line in machine.called("curl"))


@pytest.mark.parametrize("role", [Role.WORKER, Role.GATEWAY])
def test_a_failed_download_of_the_agent_is_tried_again(tmp_path: Path, role: Role) -> None:
    machine = Machine.of(tmp_path, role)
    (tmp_path / "bin/amazon-ssm-agent").unlink()
    done = machine.install()
    assert done.returncode == 1
    assert len(machine.called("curl")) == 6
    assert "install_vendors failed six times" in done.stderr


def test_the_image_is_built_without_starting_a_service(tmp_path: Path) -> None:
    machine = Machine.of(tmp_path, Role.GATEWAY)
    assert machine.install("--packages").returncode == 0
    assert machine.called("systemctl") == []
    assert machine.called("apt-mark") != []


# -- the component


def build_script() -> str:
    (command,) = yaml.safe_load(DOCUMENT)["phases"][0]["steps"][0]["inputs"]["commands"]
    return command


def test_the_component_is_small_enough_to_be_passed_inline() -> None:
    assert len(DOCUMENT) <= 16000


def test_the_component_contains_no_expression_of_image_builder() -> None:
    """Image Builder would replace text in double braces."""
    assert "{{" not in DOCUMENT


def test_the_component_runs_the_same_scripts_as_a_first_boot() -> None:
    script = build_script()
    for role in Role:
        files = contents(PROD, first(role))
        for path in ("/usr/local/lib/backbuild/repositories", "/usr/local/lib/backbuild/vendors"):
            assert files[path] in script
        assert files["/usr/local/sbin/backbuild-install"] in script
        for line in files["/etc/default/backbuild"].splitlines():
            if line.startswith(("PACKAGES=", "HELD=", "DISABLED=")):
                assert line in script


def test_the_check_covers_the_packages_of_every_role() -> None:
    _, _, check = build_script().partition(f"cat >{CHECK} ")
    for role in Role:
        for package in (*packages_of(role), *held_of(role)):
            assert f" {package}" in check


def test_held_packages_of_debian_are_pinned() -> None:
    script = build_script()
    vendors = {"cloudflared", "postgresql-17-citus-13.0"}
    assert {package for role in Role for package in held_of(role)} - vendors == set(HELD_VERSIONS)
    for package, version in HELD_VERSIONS.items():
        assert f"Package: {package}\nPin: version {version}\nPin-Priority: 1001\n" in script
    assert PINS in script


def test_the_component_is_the_same_for_every_size_of_the_stack() -> None:
    assert component(topology_of("prod", {"database.workers.groups": 9})) == DOCUMENT


def test_the_versions_depend_on_the_content() -> None:
    versions = [version_of(DOCUMENT), version_of(DOCUMENT, "ami-01234567"), version_of(f"{DOCUMENT} ")]
    assert len(set(versions)) == 3
    assert version_of(DOCUMENT) == version_of(component(PROD))
    for version in versions:
        assert all(int(number) < 2**30 for number in version.split("."))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@pytest.mark.parametrize("script", [build_script(), user_data(PROD)], ids=["build", "user-data"])
def test_the_scripts_pass_shellcheck(script: str) -> None:
    done = subprocess.run(["shellcheck", "-"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
