"""Amazon S3 for the access keys of IAM users: moto, with the buckets that the simulated S3 has.

Signatures and the users' policies are checked. Moto keeps small objects in memory and large ones in temporary files;
they are lost when the process ends.
"""

from __future__ import annotations

import hashlib
import html
import io
import os
import re
import resource
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.wrappers import Request, Response

from sandbox.clouds.store import CloudObject
from sandbox.machines.inventory import Inventory
from sandbox.machines.services.amazon import BUCKET
from sandbox.machines.services.permissions import allowed
from sandbox.machines.services.signatures import access_key, is_signed

KEY = "aws:iam/accessKey:AccessKey"
POLICY = "aws:iam/userPolicy:UserPolicy"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LARGEST_IN_MEMORY = 64 * 1024  # bytes of one object
_HOST = re.compile(r"(?:(?P<bucket>[a-z0-9][a-z0-9.-]+)\.)?s3\.(?P<region>[a-z0-9-]+)\.amazonaws\.com")
_UNSIGNED = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def keep_large_objects_in(folder: Path) -> None:
    """Let moto keep objects above LARGEST_IN_MEMORY bytes in `folder`. It changes this whole process."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(folder)
    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(LARGEST_IN_MEMORY)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # moto keeps the file of each large object open


class Offsite:
    """Answers requests to `s3.REGION.amazonaws.com` and `BUCKET.s3.REGION.amazonaws.com`."""

    def __init__(self) -> None:
        self._moto: Any = create_backend_app("s3")
        self._backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def key(self, request: Request, inventory: Inventory) -> CloudObject | None:
        """Return the IAM user's access key with which a request claims to be signed."""
        id = access_key(request)
        return next((one for one in inventory.of_type(KEY) if one.id == id), None)

    def answer(self, host: str, request: Request, key: CloudObject, inventory: Inventory) -> Wsgi:
        """Return the application that answers a request that is signed with a user's key."""
        place = _HOST.fullmatch(host)
        if place is None:
            return _error(400, "InvalidRequest", f"the keys of IAM users are for S3, not for {host}")
        if not is_signed(request, str(key.outputs["secret"])):
            return _error(403, "SignatureDoesNotMatch", "the signature is not that of this request with this key")
        path = request.path.removeprefix("/")
        name, _, object_key = (place["bucket"], "", path) if place["bucket"] else path.partition("/")
        bucket: Any = next((one.outputs for one in inventory.of_type(BUCKET) if one.outputs["bucket"] == name), None)
        if bucket is None or bucket["region"] != place["region"]:
            return _error(404, "NoSuchBucket", f"{place['region']} has no bucket {name}")
        user = key.outputs["user"]
        policies = [str(one.outputs["policy"]) for one in inventory.of_type(POLICY) if one.outputs["user"] == user]
        for action, resource_arn in needed(request, bucket["arn"], object_key, _encryption_key(name, inventory)):
            if not allowed(policies, action, resource_arn, {}):
                return _error(403, "AccessDenied", f"{user} may not {action} on {resource_arn}")
        if (refusal := _checksum_error(request)) is not None:
            return refusal
        self._ensure(name, place["region"], inventory)
        request.environ["wsgi.input"] = io.BytesIO(request.get_data())  # it was read above
        return self._moto

    def _ensure(self, name: str, region: str, inventory: Inventory) -> None:
        """Make moto's bucket as the simulated S3 has it."""
        if name not in self._backend.buckets:
            self._backend.create_bucket(name, region)
        bucket = self._backend.buckets[name]
        for one in _settings(VERSIONING, name, inventory):
            bucket.versioning_status = one["versioningConfiguration"]["status"]
        for one in _settings(LOCK, name, inventory):
            bucket.object_lock_enabled = True
            rule: Mapping[str, Any] = one.get("rule") or {}
            retention: Mapping[str, Any] = rule.get("defaultRetention") or {}
            bucket.default_lock_mode = retention.get("mode", "")
            bucket.default_lock_days = retention.get("days", 0)


def needed(request: Request, bucket: str, key: str, encryption_key: str | None) -> list[tuple[str, str]]:
    """Return the IAM actions that a request needs, each with the ARN of its resource. Pure."""
    target = f"{bucket}/{key}"
    version = "Version" if "versionId" in request.args else ""
    if not key:
        if request.method == "POST" and "delete" in request.args:
            return [("s3:DeleteObject", f"{bucket}/{each}") for each in _keys(request.get_data().decode())]
        kind = "ListBucketVersions" if "versions" in request.args else "ListBucket"
        return [(f"s3:{kind}" if request.method in {"GET", "HEAD"} else f"s3:{request.method}Bucket", bucket)]
    if request.method in {"GET", "HEAD"}:
        decrypt = [("kms:Decrypt", encryption_key)] if encryption_key else []
        return [(f"s3:GetObject{version}", target), *decrypt]
    if request.method == "DELETE":
        return [("s3:AbortMultipartUpload" if "uploadId" in request.args else f"s3:DeleteObject{version}", target)]
    locks = any(name.lower().startswith("x-amz-object-lock-retain") for name in request.headers.keys())  # noqa: SIM118
    retention = [("s3:PutObjectRetention", target)] if locks or "retention" in request.args else []
    encrypt = [("kms:GenerateDataKey", encryption_key)] if encryption_key else []
    return [("s3:PutObject", target), *retention, *encrypt]


def _keys(document: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r"<Key>([^<]*)</Key>", document)]


def _settings(type: str, bucket: str, inventory: Inventory) -> list[Mapping[str, Any]]:
    return [one.outputs for one in inventory.of_type(type) if one.outputs["bucket"] == bucket]


def _encryption_key(bucket: str, inventory: Inventory) -> str | None:
    for setting in _settings(ENCRYPTION, bucket, inventory):
        for rule in setting["rules"]:
            default: Mapping[str, Any] = rule.get("applyServerSideEncryptionByDefault") or {}
            if default.get("kmsMasterKeyId"):
                return str(default["kmsMasterKeyId"])
    return None


def _checksum_error(request: Request) -> Wsgi | None:
    """Return an error if the body is not what its signed SHA-256 says: S3 checks that, moto does not."""
    announced = request.headers.get("x-amz-content-sha256", "")
    if request.method not in {"PUT", "POST"} or announced in _UNSIGNED:
        return None
    if hashlib.sha256(request.get_data()).hexdigest() != announced:
        return _error(400, "XAmzContentSHA256Mismatch", "the body is not the one that was signed")
    return None


def _error(status: int, code: str, message: str) -> Wsgi:
    return Response(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", status, content_type="text/xml")
