"""An S3 server on the loopback (moto), for AWS and for other stores. It records requests and can simulate failures."""

import copy
import hashlib
import io
import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import FakeDeleteMarker, s3_backends
from werkzeug.serving import make_server

from harness.copies import BINDINGS, BUCKET, REGION
from harness.request_handler import SilentRequestHandler


@dataclass(frozen=True)
class Request:
    """A received request. `path` includes the query; the names of `headers` are in lower case."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def signed(self) -> list[str]:
        """Return the names of the headers that the signature covers."""
        return self.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")


class Offsite:
    """An S3 server with one bucket, which runs until it is closed. `options` are miniflare's, for a backup Worker."""

    def __init__(self, bucket: str = BUCKET, region: str = REGION) -> None:
        self.bucket, self.region = bucket, region
        self.others: dict[str, Offsite] = {}  # other stores by host; they use path-style requests
        self.fail = False
        self.failing: Callable[[], bool] = lambda: False
        self.requests: list[Request] = []
        self.locks: dict[str, str] = {}
        self.hooks: list[dict[str, Any]] = []  # webhooks: requests to hosts that are no store
        # S3 only, because moto's dispatcher would search all services for each request.
        self._application = create_backend_app("s3")
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=SilentRequestHandler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._backend.buckets.pop(bucket, None)
        self._bucket = self._backend.create_bucket(bucket, region)
        # As OffsiteCopy declares the bucket: with object lock, which needs versioning.
        self._bucket.object_lock_enabled = True
        self._bucket.versioning_status = "Enabled"
        self._bucket.default_lock_mode = "GOVERNANCE"
        self._bucket.default_lock_days = 8

    @property
    def options(self) -> dict[str, Any]:
        """Return miniflare's options for a backup Worker that writes to this server."""
        return {
            "bindings": BINDINGS,
            "outboundService": {"external": {"address": f"127.0.0.1:{self._server.server_port}", "http": {}}},
        }

    def get(self, key: str) -> tuple[bytes, str]:
        """Return an object's bytes, and the SHA-256 in its metadata."""
        found = self._backend.get_object(self.bucket, key)
        return found.value, found.metadata["x-amz-meta-sha256"]

    def put(self, key: str, body: bytes) -> None:
        """Store an object as the Workers do, with its SHA-256 in the metadata."""
        stored = self._backend.put_object(self.bucket, key, body)
        stored.set_metadata({"x-amz-meta-sha256": hashlib.sha256(body).hexdigest()})

    def relabel(self, key: str, sha256: str) -> None:
        """Set the SHA-256 in an object's metadata."""
        self._bucket.keys[key].set_metadata({"x-amz-meta-sha256": sha256})

    def delete(self, key: str) -> None:
        """Delete an object. Its older versions are kept."""
        self._backend.delete_object(self.bucket, key)

    def keys(self) -> list[str]:
        """Return the keys of all objects, in order."""
        return sorted(key for key, found in self._bucket.keys.items() if not isinstance(found, FakeDeleteMarker))

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every object, by key."""
        return {key: hashlib.sha256(self._bucket.keys[key].value).hexdigest() for key in self.keys()}

    def flaky(self, share: float, seed: int) -> None:
        """Let a random share (0 to 1) of the requests fail from now on."""
        source = random.Random(seed)
        self.failing = lambda: source.random() < share

    def empty(self) -> None:
        """Delete all objects and recorded requests, and end simulated failures."""
        self.fail = False
        self.failing = lambda: False
        self.requests.clear()
        self.locks.clear()
        self.hooks.clear()
        self._bucket.keys.clear()

    def save(self) -> list[tuple[str, list[Any]]]:
        """Return all objects with their versions, for `restore`."""
        return [(key, list(versions)) for key, versions in copy.deepcopy(self._bucket.keys).lists()]

    def restore(self, saved: list[tuple[str, list[Any]]]) -> None:
        """Replace all objects by those that `save` returned."""
        self._bucket.keys.clear()
        for key, versions in copy.deepcopy(saved):
            self._bucket.keys.setlist(key, versions)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        host = environ["HTTP_HOST"]
        if host in self.others:
            return self.others[host].serve(environ, start, f"/{self.others[host].bucket}/")
        if not host.endswith(".amazonaws.com"):
            self.hooks.append(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
            start("204 No Content", [])
            return []
        return self.serve(environ, start, "/")

    def serve(self, environ: dict[str, Any], start: Any, root: str) -> Any:
        """Respond to a request for the bucket. `root` is the part of the path before the key."""
        self.requests.append(_request(environ))
        if root != "/":
            environ["HTTP_HOST"] = f"s3.{self.region}.amazonaws.com"  # moto's host name for path-style requests
        if until := environ.get("HTTP_X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE"):
            self.locks[environ["PATH_INFO"].removeprefix(root)] = until
        if self.fail or self.failing():
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        if environ["REQUEST_METHOD"] == "PUT":
            # S3 checks the body against its signed SHA-256; moto does not.
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            if hashlib.sha256(body).hexdigest() != environ["HTTP_X_AMZ_CONTENT_SHA256"]:
                start("400 XAmzContentSHA256Mismatch", [("Content-Length", "0")])
                return [b""]
            environ["wsgi.input"] = io.BytesIO(body)
        return self._application(environ, start)


def _request(environ: dict[str, Any]) -> Request:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    return Request(environ["REQUEST_METHOD"], environ["RAW_URI"], headers)
