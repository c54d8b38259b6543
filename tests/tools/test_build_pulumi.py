"""`bin/build-pulumi` without Go, with an old Go, without a network, and with a build that fails half-way.

The tests use fake `go` and `pulumi` programs. `make conformance` runs the real build.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = (
    "sh",
    "sed",
    "sort",
    "head",
    "tail",
    "mktemp",
    "rm",
    "mkdir",
    "mv",
    "chmod",
    "awk",
    "wc",
    "grep",
    "cat",
    "touch",
)
NEEDED += ("dirname", "printf")
GO = """#!/bin/sh
case "$1" in
env) echo "go{version}" ;;
list) {list} ;;
build) {build} ;;
esac
"""
BUILDS = 'while [ "$1" != -o ]; do shift; done; echo compiled; echo binary >"$2"'


@dataclass
class Machine:
    """A copy of the script and the files that it needs, with its own PATH."""

    root: Path

    def install(self, name: str, text: str) -> None:
        file = self.root / "path" / name
        file.write_text(text)
        file.chmod(0o755)

    def go(self, *, version: str = "1.99.0", list: str = "echo one; echo two", build: str = BUILDS) -> None:
        self.install("go", GO.format(version=version, list=list, build=build))

    def build(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.root / "bin" / "build-pulumi")],
            env={"PATH": str(self.root / "path"), "TMPDIR": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installed(self) -> list[str]:
        return sorted(file.name for file in (self.root / ".venv" / "bin").iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for folder in ("bin", "path", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "bin" / "build-pulumi", tmp_path / "bin")
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for name in NEEDED:
        if (found := shutil.which(name)) is not None:
            (tmp_path / "path" / name).symlink_to(found)
    return Machine(tmp_path)


def pinned(machine: Machine) -> str:
    lines = (machine.root / "tools" / "pulumi" / "go.mod").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.strip().startswith("github.com/pulumi/pulumi/pkg/v3 "))


def test_the_cli_is_built_into_the_environment(machine: Machine) -> None:
    machine.go()
    done = machine.build()
    assert done.returncode == 0, done.stderr
    assert "about ten minutes" in done.stdout
    assert machine.installed == ["pulumi"]


def test_a_cli_of_the_pinned_version_on_the_path_is_enough(machine: Machine) -> None:
    machine.install("pulumi", f"#!/bin/sh\necho {pinned(machine)}\n")
    done = machine.build()
    assert done.returncode == 0
    assert "is installed" in done.stdout
    assert machine.installed == []


def test_a_cli_of_another_version_is_named_and_the_pinned_one_built(machine: Machine) -> None:
    machine.install("pulumi", "#!/bin/sh\necho v3.1.7\n")
    machine.go()
    done = machine.build()
    assert done.returncode == 0
    assert "v3.1.7" in done.stdout
    assert pinned(machine) in done.stdout
    assert machine.installed == ["pulumi"]


def test_without_go_the_error_has_a_remedy(machine: Machine) -> None:
    done = machine.build()
    assert done.returncode == 1
    assert "go is not on the PATH; install Go 1." in done.stderr
    assert "only `make conformance` and ENGINE=pulumi need it" in done.stderr


def test_an_old_go_is_an_error_with_its_version(machine: Machine) -> None:
    machine.go(version="1.9.7")
    done = machine.build()
    assert done.returncode == 1
    assert "Go 1.9.7" in done.stderr
    assert "is too old; install Go 1." in done.stderr


def test_a_missing_network_is_reported_before_the_build(machine: Machine) -> None:
    machine.go(list="echo 'dial tcp: no such host' >&2; exit 1")
    done = machine.build()
    assert done.returncode == 1
    assert "no such host" in done.stderr
    assert "the Go modules could not be downloaded; check the network" in done.stderr
    assert "Building" not in done.stdout
    assert machine.installed == []


def test_a_failed_build_leaves_no_partial_binary(machine: Machine) -> None:
    half = 'while [ "$1" != -o ]; do shift; done; echo half >"$2"; echo "x.go:1:2: undefined: y" >&2; exit 1'
    machine.go(build=half)
    done = machine.build()
    assert done.returncode == 1
    assert "undefined: y" in done.stderr
    assert "was not built" in done.stderr
    assert machine.installed == []


def test_an_interrupted_build_leaves_no_partial_binary(machine: Machine) -> None:
    machine.go(build='while [ "$1" != -o ]; do shift; done; echo half >"$2"; kill -INT $PPID; sleep 1; exit 1')
    assert machine.build().returncode != 0
    assert machine.installed == []


def test_no_registry_address_is_in_the_files() -> None:
    for file in ("go.mod", "go.sum"):
        text = (ROOT / "tools" / "pulumi" / file).read_text()
        assert "://" not in text
