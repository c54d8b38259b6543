"""The rendered files in the hands of the programs that read them, which `make test` installs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.patience import GENEROUS
from harness.stacks import contents, member, stack
from machines.files import File, files_for

PROD = stack("prod")
ONE_OF_EACH = ("consensus-0", "coordinator-0", "worker-1-0", "gateway-0")
SCRIPTS = sorted(
    {
        (name, file.path): file
        for name in ONE_OF_EACH
        for file in files_for(PROD, member(PROD, name))
        if file.mode == "0755"
    }.items()
)


def run(*command: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=GENEROUS, check=False, **options)


@pytest.mark.parametrize("script", [pytest.param(file, id="".join(key)) for key, file in SCRIPTS])
def test_scripts_parse(script: File):
    shell = "bash" if script.content.startswith("#!/bin/bash") else "sh"
    outcome = run(shell, "-n", input=script.content)
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("script", [pytest.param(file, id="".join(key)) for key, file in SCRIPTS])
def test_values_are_never_echoed_into_a_program(script: File):
    # Debian's sh expands backslashes in what `echo` prints: a password with one in it would arrive as another.
    assert not re.search(r"echo [^\n]*\$(\w+|\([^\n]*\))\"? *\|", script.content)
    assert not re.search(r"echo [^\n]*\$\(cat", script.content)


def test_scripts_are_free_of_common_mistakes(tmp_path: Path):
    for (name, path), script in SCRIPTS:
        target = tmp_path / name / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(script.content)
    # The files that scripts source are on the machine, not here.
    outcome = run("shellcheck", "--exclude=SC1091", *(str(path) for path in tmp_path.rglob("*") if path.is_file()))
    assert outcome.returncode == 0, outcome.stdout


def test_haproxy_accepts_its_configuration(tmp_path: Path):
    text = contents(PROD, member(PROD, "gateway-0"))["/etc/haproxy/haproxy.cfg"]
    # The account comes with the package, which may be unpacked without it.
    lines = [line for line in text.splitlines(keepends=True) if line.split()[:1] not in (["user"], ["group"])]
    (tmp_path / "haproxy.cfg").write_text("".join(lines))
    outcome = run("/usr/sbin/haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg"))
    assert outcome.returncode == 0, outcome.stderr
    assert "warning" not in outcome.stderr.lower()


def test_patroni_finds_nothing_wrong_but_what_it_cannot_know(tmp_path: Path):
    files = contents(PROD, member(PROD, "worker-1-0"))
    (tmp_path / "10.yml").write_text(files["/etc/backbuild/patroni.yml"])
    (tmp_path / "20.yml").write_text(files["/etc/backbuild/citus.yml"])
    names = "".join(f"    {role}: {{username: {role}, password: x}}\n" for role in ("superuser", "replication"))
    (tmp_path / "30.yml").write_text(f"postgresql:\n  authentication:\n{names}")
    outcome = run(str(Path(sys.executable).with_name("patroni")), "--validate-config", str(tmp_path))
    # Off the machine: no such address, no PostgreSQL. And 4.0 itself does not know its own `quorum`.
    beside_the_point = ("listen", "bin_dir", "data_dir", "synchronous_mode quorum is not a boolean")
    findings = [line for line in outcome.stdout.splitlines() if not any(known in line for known in beside_the_point)]
    assert findings == []
