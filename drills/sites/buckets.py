"""The buckets of the live sandbox, as a disaster or an intruder reaches them: behind the interfaces with rules."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import boto3
from botocore.config import Config

from drills.failover.writers import enter
from model.copies import AwsCopy, R2Copy
from model.topology import Topology
from sandbox.edge import start
from sandbox.edge.plan import bucket_id
from sandbox.machines import inventory
from sandbox.machines.place import Place

SERVICES = "127.0.0.1:8000"  # in the namespace of the services
KEY = "aws:iam/accessKey:AccessKey"
Result = TypeVar("Result")


class Bucket(Protocol):
    """One copy's bucket."""

    def objects(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with a prefix, sorted."""
        ...

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        ...

    def damage(self, key: str, content: bytes) -> None:
        """Give an object other bytes, and leave everything that is known about it as far as possible."""
        ...

    def duplicate(self, key: str, to: str) -> None:
        """Store the bytes of an object under another key, too."""
        ...

    def remove(self, *keys: str) -> None:
        """Remove objects, whatever locks say."""
        ...

    def keep(self, key: str) -> Any:
        """Return everything that `put_back` needs."""
        ...

    def put_back(self, key: str, kept: Any) -> None:
        """Undo `damage` or `remove`."""
        ...


def bucket_of(topology: Topology, place: Place, copy: str) -> Bucket:
    """Return the bucket of a copy. Raises `LookupError` for a copy that the sandbox does not have."""
    found = next(one for one in topology.copies if one.name == copy)
    if isinstance(found, R2Copy):
        return R2Bucket(place, found)
    if isinstance(found, AwsCopy):
        return S3Bucket(place, found)
    raise LookupError(f"the sandbox has no bucket for the copy {copy}")


def manifest_in(envelope: bytes) -> dict[str, Any]:
    """Return the manifest in an envelope, without verifying its signature."""
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


class R2Bucket:
    """A bucket of the sandbox's R2: objects are rows, and their bytes are files."""

    def __init__(self, place: Place, copy: R2Copy) -> None:
        self._folder: Path = start.folder(place)
        account = copy.endpoint.partition(".")[0]
        self._id: str = bucket_id(account, copy.jurisdiction, copy.bucket)

    def objects(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with a prefix, sorted."""
        rows = self._run("SELECT key FROM objects WHERE bucket = ? AND substr(key, 1, ?) = ?", len(prefix), prefix)
        return sorted(str(key) for (key,) in rows)

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        return b"".join(file.read_bytes() for file in self._files(key))

    def damage(self, key: str, content: bytes) -> None:
        """Give an object other bytes; its recorded checksums stay, as with damage on a disk."""
        first, *others = self._files(key)
        first.write_bytes(content)
        for file in others:
            file.write_bytes(b"")
        blobs = json.dumps([{"name": first.name, "size": len(content)}])
        self._run("UPDATE objects SET size = ?2, blobs = ?3 WHERE bucket = ?1 AND key = ?4", len(content), blobs, key)

    def duplicate(self, key: str, to: str) -> None:
        """Store the bytes of an object under another key, too."""
        (row,) = self._run("SELECT * FROM objects WHERE bucket = ? AND key = ?", key)
        content, name = self.read(key), f"drill-{uuid4().hex}"
        (self._folder / "blobs" / name).write_bytes(content)
        blobs = json.dumps([{"name": name, "size": len(content)}])
        self._insert((row[0], to, *row[2:-1], blobs))

    def remove(self, *keys: str) -> None:
        """Remove objects, whatever locks say."""
        for key in keys:
            self._run("DELETE FROM objects WHERE bucket = ? AND key = ?", key)

    def keep(self, key: str) -> Any:
        """Return everything that `put_back` needs."""
        (row,) = self._run("SELECT * FROM objects WHERE bucket = ? AND key = ?", key)
        return row, [(file, file.read_bytes()) for file in self._files(key)]

    def put_back(self, key: str, kept: Any) -> None:
        """Undo `damage` or `remove`."""
        row, files = kept
        for file, content in files:
            file.write_bytes(content)
        self.remove(key)
        self._insert(row)

    def _insert(self, row: Sequence[Any]) -> None:
        places = ", ".join("?" * (len(row) - 1))
        self._run(f"INSERT INTO objects VALUES (?, {places})", *row[1:])

    def _files(self, key: str) -> list[Path]:
        ((blobs,),) = self._run("SELECT blobs FROM objects WHERE bucket = ? AND key = ?", key)
        return [self._folder / "blobs" / one["name"] for one in json.loads(blobs)]

    def _run(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self._folder / "edge.sqlite", timeout=30)) as database, database:
            return database.execute(statement, [self._id, *values]).fetchall()


class S3Bucket:
    """A bucket of the sandbox's S3, with the keys of the backup Workers: each change makes a new version."""

    def __init__(self, place: Place, copy: AwsCopy) -> None:
        self._place: Place = place
        self._copy: AwsCopy = copy

    def objects(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with a prefix, sorted."""

        def ask(client: Any) -> list[str]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._copy.bucket, Prefix=prefix)
            return sorted(one["Key"] for page in pages for one in page.get("Contents", ()))

        return self._inside(ask)

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        return self._inside(lambda client: client.get_object(Bucket=self._copy.bucket, Key=key)["Body"].read())

    def damage(self, key: str, content: bytes) -> None:
        """Give an object a newer version with other bytes."""
        _, metadata = self.keep(key)
        self._put(key, content, metadata)

    def duplicate(self, key: str, to: str) -> None:
        """Store the bytes of an object under another key, too."""
        self._put(to, *self.keep(key))

    def remove(self, *keys: str) -> None:
        """Hide objects behind delete markers: with object lock, that is all that an intruder can do."""
        for key in keys:
            self._inside(lambda client, key=key: client.delete_object(Bucket=self._copy.bucket, Key=key))

    def keep(self, key: str) -> Any:
        """Return everything that `put_back` needs."""
        metadata = self._inside(lambda client: client.head_object(Bucket=self._copy.bucket, Key=key)["Metadata"])
        return self.read(key), metadata

    def put_back(self, key: str, kept: Any) -> None:
        """Undo `damage` or `remove`: make a newer version with the former bytes."""
        self._put(key, *kept)

    def _put(self, key: str, content: bytes, metadata: dict[str, str]) -> None:
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        given = {
            "Bucket": self._copy.bucket,
            "Key": key,
            "Metadata": metadata,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": digest,
        }
        self._inside(lambda client: client.put_object(Body=content, **given))

    def _inside(self, ask: Callable[[Any], Result]) -> Result:
        """Call a function with a client, on a thread that is in the network of the services."""

        def call() -> Result:
            enter(self._place.cloud)
            return ask(self._client())

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(call).result()

    def _client(self) -> Any:
        known = inventory.read(self._place.store).of_type(KEY)
        key = next(one for one in known if one.outputs["user"] == self._copy.writer)
        client = cast(Any, boto3).client(
            "s3",
            endpoint_url=f"http://s3.{self._copy.region}.amazonaws.com",
            region_name=self._copy.region,
            aws_access_key_id=key.id,
            aws_secret_access_key=str(key.outputs["secret"]),
            config=Config(s3={"addressing_style": "path"}),
        )
        client.meta.events.register("before-send.s3", _send_to_services)
        return client


def _send_to_services(request: Any, **_: Any) -> None:
    """Send a signed request to the services: here, names do not resolve to them."""
    place = urlsplit(str(request.url))
    request.headers["Host"] = place.netloc
    request.url = urlunsplit(("http", SERVICES, place.path, place.query, ""))
