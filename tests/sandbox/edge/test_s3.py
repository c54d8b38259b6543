"""R2's S3 interface with boto3."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.sandbox.edge.edges import BUCKET, READER, STRANGER, WRITER, Edge, bucket, empty

MIB = 1 << 20


@pytest.fixture
def client(edge: Edge) -> Any:
    return edge.client()


def refused(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(Bucket=BUCKET, **parameters)
    return caught.value.response["Error"]["Code"]


def keys(client: Any, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", ())]


@pytest.mark.parametrize("key", ["plain", "a folder/ü + & <x> 'y' (z)!*", "a//b", "100%/50%25", "日本/𐍈"])
def test_an_object_is_read_as_it_was_written(client: Any, key: str):
    body = os.urandom(1_000)
    put = client.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="x/y", Metadata={"one": "1"})
    got = client.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == body
    assert got["ETag"] == put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert (got["ContentType"], got["Metadata"]) == ("x/y", {"one": "1"})
    head = client.head_object(Bucket=BUCKET, Key=key)
    assert (head["ContentLength"], head["ETag"]) == (1_000, put["ETag"])
    assert keys(client, key) == [key]


def test_an_empty_object_is_stored(client: Any):
    client.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    assert client.get_object(Bucket=BUCKET, Key="empty")["Body"].read() == b""


@pytest.mark.parametrize(
    ("range_", "expected"),
    [
        ("bytes=2-4", b"cde"),
        ("bytes=7-", b"hij"),
        ("bytes=-3", b"hij"),
        ("bytes=8-99", b"ij"),
        ("bytes=-99", b"abcdefghij"),
    ],
)
def test_a_range_is_read(client: Any, range_: str, expected: bytes):
    client.put_object(Bucket=BUCKET, Key="ranges", Body=b"abcdefghij")
    got = client.get_object(Bucket=BUCKET, Key="ranges", Range=range_)
    assert got["Body"].read() == expected
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_range_behind_the_end_is_refused(client: Any):
    client.put_object(Bucket=BUCKET, Key="ranges", Body=b"abcdefghij")
    assert refused(client.get_object, Key="ranges", Range="bytes=10-") == "InvalidRange"


def test_preconditions_are_checked(client: Any):
    etag = client.put_object(Bucket=BUCKET, Key="conditions", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refused(client.put_object, Key="conditions", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert refused(client.get_object, Key="conditions", IfMatch='"other"') == "PreconditionFailed"
    assert refused(client.get_object, Key="conditions", IfNoneMatch=etag) == "304"
    assert client.get_object(Bucket=BUCKET, Key="conditions", IfMatch=etag)["Body"].read() == b"1"


def test_objects_are_deleted(client: Any):
    for key in ("gone/1", "gone/<2>", "gone/3"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"")
    client.delete_object(Bucket=BUCKET, Key="gone/1")
    client.delete_object(Bucket=BUCKET, Key="never was there")
    done = client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "gone/<2>"}, {"Key": "gone/9"}]})
    assert [one["Key"] for one in done["Deleted"]] == ["gone/<2>", "gone/9"]
    assert keys(client, "gone/") == ["gone/3"]
    assert refused(client.get_object, Key="gone/1") == "NoSuchKey"
    assert refused(client.head_object, Key="gone/1") == "404"


def test_a_listing_continues_and_sums_up_folders(client: Any):
    names = [f"list/{folder}/{number}" for folder in "abc" for number in range(5)] + ["list/x", "list/y"]
    for name in names:
        client.put_object(Bucket=BUCKET, Key=name, Body=b"")
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 3}
    )
    assert [one["Key"] for page in pages for one in page["Contents"]] == sorted(names)
    first = client.list_objects_v2(Bucket=BUCKET, Prefix="list/", Delimiter="/", MaxKeys=2)
    assert [one["Prefix"] for one in first["CommonPrefixes"]] == ["list/a/", "list/b/"]
    token = first["NextContinuationToken"]
    rest = client.list_objects_v2(Bucket=BUCKET, Prefix="list/", Delimiter="/", ContinuationToken=token)
    assert [one["Prefix"] for one in rest["CommonPrefixes"]] == ["list/c/"]
    assert [one["Key"] for one in rest["Contents"]] == ["list/x", "list/y"]
    assert not rest["IsTruncated"]
    after = client.list_objects_v2(Bucket=BUCKET, Prefix="list/", StartAfter="list/c/4")
    assert [one["Key"] for one in after["Contents"]] == ["list/x", "list/y"]


def test_an_object_is_uploaded_in_parts(client: Any, tmp_path: Path):
    body = os.urandom(12 * MIB + 1)
    (tmp_path / "file").write_bytes(body)
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    client.upload_file(str(tmp_path / "file"), BUCKET, "parts", Config=parts)
    head = client.head_object(Bucket=BUCKET, Key="parts")
    assert head["ContentLength"] == len(body)
    assert head["ETag"].endswith('-3"')
    assert client.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == body
    across = client.get_object(Bucket=BUCKET, Key="parts", Range=f"bytes={5 * MIB - 2}-{10 * MIB + 2}")
    assert across["Body"].read() == body[5 * MIB - 2 : 10 * MIB + 3]


def test_small_parts_and_unknown_uploads_are_refused(client: Any):
    id = client.create_multipart_upload(Bucket=BUCKET, Key="small")["UploadId"]
    sent = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(Bucket=BUCKET, Key="small", UploadId=id, PartNumber=number, Body=b"x")["ETag"],
        }
        for number in (1, 2)
    ]
    assert (
        refused(client.complete_multipart_upload, Key="small", UploadId=id, MultipartUpload={"Parts": sent})
        == "EntityTooSmall"
    )
    client.abort_multipart_upload(Bucket=BUCKET, Key="small", UploadId=id)
    assert refused(client.upload_part, Key="small", UploadId=id, PartNumber=1, Body=b"x") == "NoSuchUpload"
    assert keys(client, "small") == []


def test_checksums_in_headers_and_trailers_are_verified(edge: Edge):
    chunked = edge.client(request_checksum_calculation="when_supported")
    chunked.put_object(Bucket=BUCKET, Key="checked", Body=b"content", ChecksumAlgorithm="SHA256")
    got = edge.client(response_checksum_validation="when_supported").get_object(Bucket=BUCKET, Key="checked")
    assert got["Body"].read() == b"content"
    assert refused(edge.client().put_object, Key="checked", Body=b"other", ChecksumSHA256="A" * 43 + "=") == "BadDigest"
    assert edge.client().get_object(Bucket=BUCKET, Key="checked")["Body"].read() == b"content"


def test_a_body_that_was_not_signed_is_refused(client: Any):
    def change(request: Any, **_: Any) -> None:
        request.body = b"other content"

    client.meta.events.register("before-send.s3", change)
    assert refused(client.put_object, Key="changed", Body=b"same  content") == "BadDigest"
    assert keys(client, "changed") == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_body_in_chunks_is_decoded_and_its_checksum_verified(edge: Edge):
    """Over TLS, boto3 sends aws-chunked without a signature of the body, and its CRC-32 behind it."""
    body = os.urandom(3 * MIB + 7)
    sent: list[str] = []

    def look(request: Any, **_: Any) -> None:
        sent.append(request.headers["x-amz-content-sha256"].decode())

    def corrupt(request: Any, **_: Any) -> None:
        request.body = request.body.read().replace(body[:100], bytes(100))

    with edge.tls() as port:
        client = edge.client(tls=port, request_checksum_calculation="when_supported")
        client.meta.events.register("before-send.s3", look)
        client.put_object(Bucket=BUCKET, Key="chunks", Body=body)
        assert sent == ["STREAMING-UNSIGNED-PAYLOAD-TRAILER"]
        assert client.get_object(Bucket=BUCKET, Key="chunks")["Body"].read() == body
        client.meta.events.register("before-send.s3", corrupt)
        assert refused(client.put_object, Key="chunks", Body=body) == "BadDigest"
    assert edge.client().get_object(Bucket=BUCKET, Key="chunks")["Body"].read() == body


@pytest.mark.parametrize(
    ("token", "secret", "reads", "writes"),
    [
        (WRITER, None, None, None),
        (READER, None, None, "AccessDenied"),
        (STRANGER, None, "AccessDenied", "AccessDenied"),
        (WRITER, "wrong", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        ("unknown", None, "InvalidAccessKeyId", "InvalidAccessKeyId"),
    ],
)
def test_a_token_allows_what_its_policies_say(
    edge: Edge, token: str, secret: str | None, reads: str | None, writes: str | None
):
    edge.client().put_object(Bucket=BUCKET, Key="rights", Body=b"")
    client = edge.client(token, secret=secret)
    for call, expected in ((client.get_object, reads), (client.put_object, writes), (client.delete_object, writes)):
        if expected is None:
            call(Bucket=BUCKET, Key="rights")
        else:
            assert refused(call, Key="rights") == expected
            assert keys(edge.client(), "rights") == ["rights"]
        edge.client().put_object(Bucket=BUCKET, Key="rights", Body=b"")


def test_another_bucket_does_not_exist(client: Any):
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.put_object(Bucket="other", Key="key", Body=b"")


def test_an_operation_that_is_missing_says_so(client: Any):
    assert refused(client.list_objects) == "NotImplemented"
    assert refused(client.copy_object, Key="copy", CopySource=f"{BUCKET}/plain") == "NotImplemented"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Edge]:
    rules = [{"prefix": "locked/", "condition": {"type": "Age", "maxAgeSeconds": 3_600}}]
    with Edge(tmp_path / "edge", empty(buckets=[bucket(locks=rules)])) as made:
        yield made


def test_a_locked_object_is_neither_overwritten_nor_deleted(locked: Edge):
    client = locked.client()
    client.put_object(Bucket=BUCKET, Key="locked/1", Body=b"first")
    client.put_object(Bucket=BUCKET, Key="free", Body=b"first")
    assert refused(client.put_object, Key="locked/1", Body=b"second") == "ObjectLockedByBucketPolicy"
    assert refused(client.delete_object, Key="locked/1") == "ObjectLockedByBucketPolicy"
    done = client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "locked/1"}, {"Key": "free"}]})
    assert [one["Key"] for one in done["Deleted"]] == ["free"]
    assert [one["Code"] for one in done["Errors"]] == ["ObjectLockedByBucketPolicy"]
    assert client.get_object(Bucket=BUCKET, Key="locked/1")["Body"].read() == b"first"

    # When the rules are removed, the lock ends, without a restart.
    locked.document = empty()
    locked.settle()
    client.delete_object(Bucket=BUCKET, Key="locked/1")


def test_objects_survive_a_kill_and_files_of_interrupted_uploads_do_not(tmp_path: Path):
    with Edge(tmp_path / "edge") as edge:
        client = edge.client()
        client.put_object(Bucket=BUCKET, Key="kept", Body=b"content")
        (edge.folder / "blobs/half-written").write_bytes(b"con")
        edge.kill()
        edge.begin()
        assert client.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"content"
        assert not (edge.folder / "blobs/half-written").exists()
        assert len(list((edge.folder / "blobs").iterdir())) == 1


@pytest.mark.long  # the next attempt to read a plan is 15 s later
def test_before_its_plan_is_known_no_bucket_is_said_to_be_missing(tmp_path: Path):
    with Edge(tmp_path / "edge") as edge:
        edge.kill()
        edge.refused = []
        edge.launch()
        edge.wait_for(lambda: edge.refused)
        time.sleep(1)
        with pytest.raises(EndpointConnectionError):
            edge.client().list_objects_v2(Bucket=BUCKET)
        edge.refused = None
        edge.settle()
        assert edge.client().list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


@pytest.mark.long
def test_memory_does_not_grow_with_an_object(tmp_path: Path):
    with Edge(tmp_path / "edge") as edge:
        client = edge.client()
        client.put_object(Bucket=BUCKET, Key="warm", Body=b"x" * (16 * MIB))
        before = resident(edge.process.pid)
        body = b"x" * (512 * MIB)
        client.put_object(Bucket=BUCKET, Key="large", Body=body)
        assert sum(
            len(chunk) for chunk in client.get_object(Bucket=BUCKET, Key="large")["Body"].iter_chunks(MIB)
        ) == len(body)
        assert resident(edge.process.pid) - before < 128 * MIB


def resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1_024
