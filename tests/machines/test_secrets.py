"""The scripts that fetch a machine's secrets, run as processes; Secrets Manager is moto's, over HTTP."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

from harness.stacks import contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS

PROD = topology_of("prod")
FILES = contents(PROD, member(PROD, "coordinator-0"))
VALUE = 'back\\slash "quotes" \'n line\nsecond line $HOME %s'


def script(folder: Path) -> str:
    text = FILES["/usr/local/sbin/backbuild-secrets"]
    for there in ("/etc/default/backbuild", "/run/backbuild", "/usr/local/lib/backbuild"):
        assert there in text
        text = text.replace(there, f"{folder}{there}")
    return text


def fetch(folder: Path, values: dict[str, str], listed: str) -> subprocess.CompletedProcess[str]:
    """Run backbuild-secrets with a command that prints `values`."""
    (folder / "etc/default").mkdir(parents=True, exist_ok=True)
    (folder / "values").write_text(json.dumps(values))
    (folder / "command").write_text(f'#!/bin/sh\necho "$@" >{folder}/asked\ncat {folder}/values\n')
    (folder / "command").chmod(0o755)
    (folder / "etc/default/backbuild").write_text(f'SECRETS="\n{listed}"\nSECRETS_COMMAND={folder}/command\n')
    library = folder / "usr/local/lib/backbuild"
    library.mkdir(parents=True, exist_ok=True)
    for name in ("install-certificate", "apply-secrets"):
        (library / name).write_text(f"#!/bin/sh\necho {name} >>{folder}/called\n[ ! -e {folder}/{name}-fails ]\n")
        (library / name).chmod(0o755)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/chown").write_text(f'#!/bin/sh\necho "$@" >>{folder}/owners\n')
    (folder / "bin/chown").chmod(0o755)
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-s"],
        input=script(folder),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


def test_each_secret_gets_its_own_file_with_exactly_its_value(tmp_path: Path):
    done = fetch(tmp_path, {"a/b": VALUE, "c": "plain"}, "a/b first postgres\nc second root\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    directory = tmp_path / "run/backbuild/secrets"
    assert {file.name: file.read_text() for file in directory.iterdir()} == {"first": VALUE, "second": "plain"}
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}
    assert (tmp_path / "asked").read_text() == "a/b c\n"  # one call for all
    assert (tmp_path / "owners").read_text() == f"postgres {directory}/.first\nroot {directory}/.second\n"


def test_a_value_that_was_not_returned_is_an_error(tmp_path: Path):
    done = fetch(tmp_path, {"a/b": VALUE}, "a/b first postgres\nc second root\n")
    assert done.returncode == 1
    assert done.stderr == "backbuild-secrets: c has no value; remedy: store one in Secrets Manager\n"
    assert not (tmp_path / "run/backbuild/secrets/second").exists()


def test_changed_secrets_are_applied_and_a_failed_application_is_repeated(tmp_path: Path):
    def called(values: dict[str, str], status: int = 0) -> list[str]:
        (tmp_path / "called").unlink(missing_ok=True)
        assert fetch(tmp_path, values, "c second root\n").returncode == status
        return (tmp_path / "called").read_text().split()

    assert called({"c": "one"}) == ["install-certificate"]  # the services have not started yet
    assert called({"c": "one"}) == ["install-certificate"]
    (tmp_path / "apply-secrets-fails").touch()
    assert called({"c": "two"}, status=1) == ["install-certificate", "apply-secrets"]
    (tmp_path / "apply-secrets-fails").unlink()
    assert called({"c": "two"}) == ["install-certificate", "apply-secrets"]
    assert called({"c": "two"}) == ["install-certificate"]
    (tmp_path / "install-certificate-fails").touch()
    assert called({"c": "three"}, status=1) == ["install-certificate"]  # an invalid certificate: nothing is applied


def test_two_runs_wait_for_each_other(tmp_path: Path):
    assert fetch(tmp_path, {"c": "one"}, "c second root\n").returncode == 0
    with (tmp_path / "run/backbuild/secrets.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(fetch, tmp_path, {"c": "two"}, "c second root\n")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            assert (tmp_path / "run/backbuild/secrets/second").read_text() == "one"
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert waiting.result().returncode == 0
    assert (tmp_path / "run/backbuild/secrets/second").read_text() == "two"


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_backend_app("secretsmanager"), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def values_of(endpoint: str, folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    program = folder / "secret_values.py"
    program.write_text(FILES["/usr/local/lib/backbuild/secret_values.py"])
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-central-1"}
    environment = os.environ | keys | {"AWS_ENDPOINT_URL": endpoint}
    return subprocess.run(
        [sys.executable, program, *names],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


def test_one_process_reads_all_values(endpoint: str, tmp_path: Path):
    import boto3  # noqa: PLC0415 (slow to load)

    client = boto3.client(
        "secretsmanager",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )
    for name, value in {"backbuild-prod/one": VALUE, "backbuild-prod/two": "2"}.items():
        client.create_secret(Name=name, SecretString=value)
    done = values_of(endpoint, tmp_path, "backbuild-prod/one", "backbuild-prod/two")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"backbuild-prod/one": VALUE, "backbuild-prod/two": "2"}

    missing = values_of(endpoint, tmp_path, "backbuild-prod/one", "backbuild-prod/three")
    assert missing.returncode == 1
    assert missing.stdout == ""
    assert missing.stderr.startswith("secret_values: cannot read backbuild-prod/three: ")
    assert missing.stderr.endswith("; remedy: check the instance profile and that the secret exists\n")
    assert VALUE not in missing.stderr
