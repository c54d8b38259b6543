"""The rendered files are valid for the programs that read them, which `make test` installs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.stacks import contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS
from machines.files import File, files_for
from tests.machines.certificates import authority, issue

PROD = topology_of("prod")
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
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, **options)


@pytest.mark.parametrize("script", [pytest.param(file, id="".join(key)) for key, file in SCRIPTS])
def test_scripts_parse(script: File):
    shell = "bash" if script.content.startswith("#!/bin/bash") else "sh"
    outcome = run(shell, "-n", input=script.content)
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("script", [pytest.param(file, id="".join(key)) for key, file in SCRIPTS])
def test_values_are_never_piped_with_echo(script: File):
    # `echo` in Debian's sh expands backslashes: it would change a password that contains one.
    assert not re.search(r"echo [^\n]*\$(\w+|\([^\n]*\))\"? *\|", script.content)
    assert not re.search(r"echo [^\n]*\$\(cat", script.content)


def test_scripts_pass_shellcheck(tmp_path: Path):
    for (name, path), script in SCRIPTS:
        target = tmp_path / name / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(script.content)
    # SC1091: the sourced files exist only on the machine.
    outcome = run("shellcheck", "--exclude=SC1091", *(str(path) for path in tmp_path.rglob("*") if path.is_file()))
    assert outcome.returncode == 0, outcome.stdout


def test_haproxy_accepts_its_configuration(tmp_path: Path):
    text = contents(PROD, member(PROD, "gateway-0"))["/etc/haproxy/haproxy.cfg"]
    # The user and group exist only where the package was installed, not where it was only unpacked.
    lines = [line for line in text.splitlines(keepends=True) if line.split()[:1] not in (["user"], ["group"])]
    certificate = issue(tmp_path, authority(tmp_path, "authority"), "leaf")
    (tmp_path / "authorities.pem").write_text((tmp_path / "authority.crt").read_text())
    (tmp_path / "both.pem").write_text(certificate["certificate"] + certificate["key"])
    lines = [line.replace("/run/backbuild/tls", str(tmp_path)) for line in lines]
    (tmp_path / "haproxy.cfg").write_text("".join(lines))
    outcome = run("/usr/sbin/haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg"))
    assert outcome.returncode == 0, outcome.stderr
    assert "warning" not in outcome.stderr.lower()


def test_patroni_accepts_its_configuration(tmp_path: Path):
    files = contents(PROD, member(PROD, "worker-1-0"))
    (tmp_path / "10.yml").write_text(files["/etc/backbuild/patroni.yml"])
    (tmp_path / "20.yml").write_text(files["/etc/backbuild/citus.yml"])
    (tmp_path / "30.yml").write_text("restapi: {authentication: {password: x}}\netcd3: {password: x}\n")
    outcome = run(str(Path(sys.executable).with_name("patroni")), "--validate-config", str(tmp_path))
    # The address and PostgreSQL exist only on the machine, and the validator of 4.0 does not know `quorum`.
    expected_findings = ("listen", "bin_dir", "data_dir", "synchronous_mode quorum is not a boolean")
    findings = [line for line in outcome.stdout.splitlines() if not any(known in line for known in expected_findings)]
    assert findings == []
