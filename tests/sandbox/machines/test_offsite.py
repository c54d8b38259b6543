"""Amazon S3 for IAM users: real signatures, the users' policies, object lock."""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.serving import make_server
from werkzeug.wrappers import Request

from harness.request_handler import SilentRequestHandler
from sandbox.clouds.store import CloudObject
from sandbox.machines.inventory import Inventory
from sandbox.machines.services import offsite
from sandbox.machines.services.amazon import BUCKET
from sandbox.machines.services.offsite import Offsite, needed
from sandbox.values import Properties

NAME, REGION = "copies", "eu-north-1"
ARN, KMS = f"arn:aws:s3:::{NAME}", "arn:aws:kms:eu-north-1:1:key/k"
HOST = f"{NAME}.s3.{REGION}.amazonaws.com"
WRITE = ["s3:PutObject", "s3:PutObjectRetention", "s3:GetObject", "s3:DeleteObject"]


def thing(type: str, id: str, outputs: Properties) -> CloudObject:
    return CloudObject(type, id, f"urn:pulumi:s::p::{type}::{id}", "", (), outputs)


def policy(*statements: tuple[list[str], str]) -> str:
    listed = [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": listed})


def known() -> Inventory:
    full = policy((WRITE, f"{ARN}/*"), (["s3:ListBucket"], ARN), (["kms:GenerateDataKey", "kms:Decrypt"], KMS))
    without_key = policy((WRITE, f"{ARN}/*"), (["s3:ListBucket"], ARN))
    default = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KMS}
    users: list[tuple[str, str]] = [("writer", full), ("keyless", without_key), ("nobody", policy())]
    return Inventory(
        [
            thing(BUCKET, NAME, {"bucket": NAME, "arn": ARN, "region": REGION, "objectLockEnabled": True}),
            thing(offsite.VERSIONING, NAME, {"bucket": NAME, "versioningConfiguration": {"status": "Enabled"}}),
            thing(
                offsite.LOCK, NAME, {"bucket": NAME, "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 8}}}
            ),
            thing(
                offsite.ENCRYPTION, NAME, {"bucket": NAME, "rules": [{"applyServerSideEncryptionByDefault": default}]}
            ),
            *(thing(offsite.KEY, f"AKIA{user}", {"user": user, "secret": f"secret of {user}"}) for user, _ in users),
            *(thing(offsite.POLICY, user, {"user": user, "policy": text}) for user, text in users),
        ]
    )


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    store, inventory = Offsite(), known()

    def serve(environ: Any, start: Any) -> Any:
        request = Request(environ)
        key = store.key(request, inventory)
        assert key is not None
        return store.answer(request.host, request, key, inventory)(environ, start)

    server = make_server("127.0.0.1", 0, serve, threaded=True, request_handler=SilentRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", tempfile.tempdir)
        patch.setenv("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", "")
        offsite.keep_large_objects_in(tmp_path_factory.mktemp("offsite"))
        yield server.server_port
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    server.shutdown()


def client(port: int, user: str = "writer", secret: str | None = None) -> Any:
    """Return a client whose requests go to the server, whatever host they name."""
    made: Any = boto3.client(
        "s3",
        endpoint_url=f"http://s3.{REGION}.amazonaws.com",
        region_name=REGION,
        aws_access_key_id=f"AKIA{user}",
        aws_secret_access_key=secret or f"secret of {user}",
        config=Config(s3={"addressing_style": "virtual"}, retries={"total_max_attempts": 1}),
    )

    def redirect(request: Any, **_: Any) -> None:
        host = request.url.split("/")[2]
        request.url = request.url.replace(host, f"127.0.0.1:{port}")
        request.headers["host"] = host

    made.meta.events.register("before-send.s3", redirect)
    return made


def refused(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(Bucket=NAME, **parameters)
    return caught.value.response["Error"]["Code"]


def test_the_writer_writes_lists_reads_and_deletes(port: int):
    store = client(port)
    sha256 = base64.b64encode(hashlib.sha256(b"content").digest()).decode()
    checked = {"ChecksumSHA256": sha256, "ChecksumAlgorithm": "SHA256"}
    store.put_object(Bucket=NAME, Key="a b/ü", Body=b"content", Metadata={"sha256": "x"}, **checked)
    got = store.get_object(Bucket=NAME, Key="a b/ü")
    assert (got["Body"].read(), got["Metadata"]) == (b"content", {"sha256": "x"})
    assert [one["Key"] for one in store.list_objects_v2(Bucket=NAME, Prefix="a ")["Contents"]] == ["a b/ü"]
    store.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": "a b/ü"}]})
    assert refused(store.get_object, Key="a b/ü") == "NoSuchKey"


def test_a_new_object_is_locked_by_default(port: int):
    store = client(port)
    store.put_object(Bucket=NAME, Key="locked", Body=b"1")
    assert store.head_object(Bucket=NAME, Key="locked")["ObjectLockMode"] == "GOVERNANCE"


def test_policies_and_signatures_are_checked(port: int):
    client(port).put_object(Bucket=NAME, Key="there", Body=b"1")
    for user, secret, code in (
        ("keyless", None, "AccessDenied"),
        ("nobody", None, "AccessDenied"),
        ("writer", "wrong", "SignatureDoesNotMatch"),
    ):
        store = client(port, user, secret)
        assert refused(store.put_object, Key="there", Body=b"2") == code
        assert refused(store.get_object, Key="there") == code
    assert [one["Key"] for one in client(port, "keyless").list_objects_v2(Bucket=NAME, Prefix="there")["Contents"]] == [
        "there"
    ]
    assert refused(client(port, "nobody").list_objects_v2) == "AccessDenied"
    # The policy allows no deletion of versions.
    version = client(port).head_object(Bucket=NAME, Key="there")["VersionId"]
    assert refused(client(port).delete_object, Key="there", VersionId=version) == "AccessDenied"


def test_a_body_that_was_not_signed_is_refused(port: int):
    store = client(port)

    def change(request: Any, **_: Any) -> None:
        request.body = b"other content"

    store.meta.events.register("before-send.s3", change)
    assert refused(store.put_object, Key="changed", Body=b"same  content") == "XAmzContentSHA256Mismatch"


def asked(method: str, path: str = "/key", headers: dict[str, str] | None = None, body: str = "") -> Request:
    return Request.from_values(path, method=method, headers=headers, data=body)


@pytest.mark.parametrize(
    ("request_", "key", "expected"),
    [
        (asked("GET"), "key", [("s3:GetObject", f"{ARN}/key"), ("kms:Decrypt", KMS)]),
        (asked("HEAD"), "key", [("s3:GetObject", f"{ARN}/key"), ("kms:Decrypt", KMS)]),
        (asked("PUT"), "key", [("s3:PutObject", f"{ARN}/key"), ("kms:GenerateDataKey", KMS)]),
        (
            asked("PUT", headers={"x-amz-object-lock-retain-until-date": "2027-01-01T00:00:00Z"}),
            "key",
            [("s3:PutObject", f"{ARN}/key"), ("s3:PutObjectRetention", f"{ARN}/key"), ("kms:GenerateDataKey", KMS)],
        ),
        (asked("DELETE"), "key", [("s3:DeleteObject", f"{ARN}/key")]),
        (asked("DELETE", "/key?versionId=1"), "key", [("s3:DeleteObjectVersion", f"{ARN}/key")]),
        (asked("GET", "/?list-type=2"), "", [("s3:ListBucket", ARN)]),
        (
            asked(
                "POST",
                "/?delete",
                body="<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object></Delete>",
            ),
            "",
            [("s3:DeleteObject", f"{ARN}/a&b"), ("s3:DeleteObject", f"{ARN}/c")],
        ),
    ],
)
def test_a_request_needs_the_actions_of_its_operation(request_: Request, key: str, expected: list[tuple[str, str]]):
    assert needed(request_, ARN, key, KMS) == expected


def test_large_objects_are_on_disk(port: int):
    body = bytes(offsite.LARGEST_IN_MEMORY + 1)
    before = temporary_files()
    client(port).put_object(Bucket=NAME, Key="large", Body=body)
    assert client(port).get_object(Bucket=NAME, Key="large")["Body"].read() == body
    assert temporary_files() == before + 1


def temporary_files() -> int:
    """Return how many files in the folder of the objects this process has open."""
    return sum("/offsite" in str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink())
