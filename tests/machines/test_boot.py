"""The boot script as a process, with a metadata service and an S3 server that checks signatures with botocore."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness.waiting import TIMEOUT_SECONDS
from machines.archive import Archive, archive_of
from machines.files import TEMPLATES, File

KEYS = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "sEcReT/+", "Token": "session=="}
INSTALL = File(
    "/usr/local/sbin/backbuild-install", '#!/bin/sh\necho "installed" >"$(dirname "$0")/log"\n', "0755", "root:root"
)
BUCKET = "backbuild-staging-machine-files"


@dataclass
class Clouds:
    """The simulated services: objects by path, and the number of requests that fail at first."""

    objects: dict[str, bytes] = field(default_factory=dict)
    failing: int = 0
    url: str = ""

    def answer(self, method: str, path: str, headers: dict[str, str]) -> bytes | None:
        if path == "/latest/api/token":
            return b"token" if method == "PUT" and "x-aws-ec2-metadata-token-ttl-seconds" in headers else None
        if path.startswith("/latest/meta-data/iam/security-credentials/"):
            if headers.get("x-aws-ec2-metadata-token") != "token":
                return None
            return str(KEYS).replace("'", '"').encode() if path.endswith("/the-role") else b"the-role\n"
        if self.failing:
            self.failing -= 1
            return None
        return self.objects.get(path) if headers["authorization"] == self.authorization(path, headers) else None

    def authorization(self, path: str, headers: dict[str, str]) -> str:
        names = ("host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token")
        request = AWSRequest("GET", self.url + path, headers={name: headers[name] for name in names})
        request.context["timestamp"] = headers["x-amz-date"]
        keys = Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"], KEYS["Token"])
        signer = S3SigV4Auth(keys, "s3", "eu-central-1")
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={';'.join(names)}, "
            f"Signature={signature}"
        )


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    held = Clouds()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = held.answer(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(403 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        do_PUT = do_GET  # noqa: N815 (the name that http.server calls)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield held
    server.shutdown()
    thread.join()
    server.server_close()


def boot(root: Path, clouds: Clouds, sha256: str) -> subprocess.CompletedProcess[str]:
    """Run the boot script with `root` as the machine's root folder and without pauses."""
    (root / "usr/local/sbin").mkdir(parents=True, exist_ok=True)
    script = (TEMPLATES / "boot.py").read_text()
    for there, here in (
        ('"/usr/local/sbin/', f'"{root}/usr/local/sbin/'),
        ('"-C", "/"', f'"-C", "{root}"'),
        ("(5, 15, 30, 60, 120)", "(0, 0, 0, 0, 0)"),
    ):
        assert there in script
        script = script.replace(there, here)
    environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": clouds.url, "AWS_ENDPOINT_URL_S3": clouds.url}
    return subprocess.run(
        [sys.executable, "-c", script, "eu-central-1", BUCKET, sha256],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


@pytest.fixture
def archive(clouds: Clouds) -> Archive:
    """An archive in the bucket with a program that writes a log when it runs."""
    made = archive_of([INSTALL])
    clouds.objects[f"/{BUCKET}/{made.key}"] = made.content
    return made


def test_the_archive_is_unpacked_and_installed(tmp_path: Path, clouds: Clouds, archive: Archive):
    done = boot(tmp_path, clouds, archive.sha256)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "usr/local/sbin/log").read_text() == "installed\n"
    assert not (tmp_path / "usr/local/sbin/backbuild-healthy").exists()


def test_a_failed_request_is_tried_again(tmp_path: Path, clouds: Clouds, archive: Archive):
    clouds.failing = 5
    done = boot(tmp_path, clouds, archive.sha256)
    assert done.returncode == 0
    assert done.stderr.count("HTTP Error 403: Forbidden; next attempt in 0 s") == 5


def gate(root: Path) -> tuple[int, str]:
    """Run the health gate's command on the machine. Return its exit code and its error output."""
    done = subprocess.run(
        [root / "usr/local/sbin/backbuild-healthy", "--wait", "60"], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.strip()


def test_an_archive_with_another_hash_is_refused_in_log_and_gate(tmp_path: Path, clouds: Clouds, archive: Archive):
    clouds.objects[f"/{BUCKET}/{archive.key}"] = archive_of([INSTALL, INSTALL]).content
    done = boot(tmp_path, clouds, archive.sha256)
    assert done.returncode == 1
    assert f"{archive.key} has the SHA-256 " in done.stderr
    assert "pulumi up --refresh" in done.stderr
    assert gate(tmp_path) == (1, done.stderr.strip())
    assert not (tmp_path / "usr/local/sbin/log").exists()

    clouds.objects[f"/{BUCKET}/{archive.key}"] = archive.content
    assert boot(tmp_path, clouds, archive.sha256).returncode == 0
    assert (tmp_path / "usr/local/sbin/log").exists()


def test_an_archive_that_cannot_be_read_is_named_in_log_and_gate(tmp_path: Path, clouds: Clouds):
    done = boot(tmp_path, clouds, "0" * 64)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"cannot read s3://{BUCKET}/{'0' * 64}.tar.gz: HTTP Error 403" in last
    assert gate(tmp_path) == (1, last)
