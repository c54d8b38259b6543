"""A machine checks a new certificate before programs use it, and keeps the former one if the new one is invalid."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.stacks import contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS
from tests.machines.certificates import authority, issue

PROD = topology_of("prod")
SCRIPT = contents(PROD, member(PROD, "coordinator-0"))["/usr/local/lib/backbuild/install-certificate"]


def install(folder: Path, secret: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script on the machine 10.0.0.1, whose files are below `folder`."""
    script = SCRIPT
    for there in ("/etc/default/backbuild", "/run/backbuild"):
        assert there in script
        script = script.replace(there, f"{folder}{there}")
    for made in ("etc/default", "run/backbuild/secrets"):
        (folder / made).mkdir(parents=True, exist_ok=True)
    (folder / "etc/default/backbuild").write_text("MEMBER=m\nADDRESS=10.0.0.1\nCERTIFICATE_OWNER=$(id -un)\n")
    (folder / "run/backbuild/secrets/certificate").write_text(json.dumps(secret))
    return subprocess.run(
        ["sh", "-s"], input=script, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )


def test_certificate_key_and_authorities_are_installed_for_their_owner_only(tmp_path: Path):
    secret = issue(tmp_path, authority(tmp_path, "first"), "coordinator")
    done = install(tmp_path, secret)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    tls = tmp_path / "run/backbuild/tls"
    assert {file.name: file.read_text() for file in tls.iterdir()} == {
        "certificate.pem": secret["certificate"],
        "key.pem": secret["key"],
        "authorities.pem": secret["authorities"],
        "both.pem": secret["certificate"] + secret["key"],
    }
    assert {file.stat().st_mode & 0o777 for file in tls.iterdir()} == {0o600}
    assert tls.resolve().stat().st_mode & 0o777 == 0o711  # root's; nobody else lists or changes it
    assert tls.resolve().stat().st_uid == os.getuid()


def test_files_in_use_are_never_written_again(tmp_path: Path):
    """Services read them at any moment, and root must not write through a link that their owner has put there."""
    secret = issue(tmp_path, authority(tmp_path, "first"), "coordinator")
    assert install(tmp_path, secret).returncode == 0
    tls, victim = tmp_path / "run/backbuild/tls", tmp_path / "victim"
    victim.write_text("unchanged")
    (tls / "both.pem").unlink()
    (tls / "both.pem").symlink_to(victim)
    before = [(file.name, file.stat().st_ino, file.stat().st_mtime_ns) for file in sorted(tls.iterdir())]
    assert install(tmp_path, secret).returncode == 0
    assert [(file.name, file.stat().st_ino, file.stat().st_mtime_ns) for file in sorted(tls.iterdir())] == before
    assert victim.read_text() == "unchanged"
    assert {file.name for file in tls.parent.iterdir()} == {"secrets", "tls", tls.resolve().name}


def test_a_new_certificate_gets_a_new_path_and_the_former_one_is_removed(tmp_path: Path):
    tls = tmp_path / "run/backbuild/tls"
    first = authority(tmp_path, "first")
    paths: list[Path] = []
    for name in ("one", "two"):
        assert install(tmp_path, issue(tmp_path, first, name)).returncode == 0
        paths.append(tls.resolve())
    assert paths[0] != paths[1]
    assert [path.exists() for path in paths] == [False, True]


def expired(folder: Path) -> dict[str, str]:
    return issue(folder, "first", "late", days=-1)


def of_another_authority(folder: Path) -> dict[str, str]:
    return {**issue(folder, authority(folder, "other"), "foreign"), "authorities": (folder / "first.crt").read_text()}


def for_another_machine(folder: Path) -> dict[str, str]:
    return issue(folder, "first", "elsewhere", address="10.0.0.2")


def with_another_key(folder: Path) -> dict[str, str]:
    return {**issue(folder, "first", "mixed"), "key": issue(folder, "first", "wrong")["key"]}


def without_key(folder: Path) -> dict[str, str]:
    return {name: text for name, text in issue(folder, "first", "half").items() if name != "key"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (expired, "certificate has expired"),
        (of_another_authority, "unable to get local issuer certificate"),
        (for_another_machine, "IP address mismatch"),
        (with_another_key, "its key belongs to another certificate"),
        (without_key, "it has no key"),
    ],
)
def test_an_invalid_certificate_is_reported_and_the_former_one_stays_in_use(
    tmp_path: Path, wrong: Callable[[Path], dict[str, str]], reason: str
):
    good = issue(tmp_path, authority(tmp_path, "first"), "good")
    assert install(tmp_path, good).returncode == 0
    done = install(tmp_path, wrong(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        f"backbuild-secrets: the certificate of m cannot be used: {reason}; "
        "remedy: run `pulumi up`, which issues another one\n"
    )
    assert (tmp_path / "run/backbuild/tls/certificate.pem").read_text() == good["certificate"]
    assert len(list((tmp_path / "run/backbuild").glob("tls[-.]*"))) == 1  # nothing is left of the wrong one
    assert install(tmp_path, good).returncode == 0  # a valid certificate is accepted again
