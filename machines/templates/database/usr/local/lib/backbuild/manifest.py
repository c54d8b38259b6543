"""Write a signed manifest of the stored objects for each finished backup run that has none, oldest run first.

Usage: manifest.py GROUP DATABASE, after each backup and under the backup's lock. The program creates objects below
manifests/GROUP/ and never overwrites one. A run's manifest is written last. If the program is interrupted, the next
call continues. DATABASE has the table of the restore points, which manifests list, too.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONFIGURATION = Path("/etc/pgbackrest/pgbackrest.conf")
SECRETS = Path("/run/backbuild/secrets")
TYPE = "application/vnd.backbuild.backup-manifest+json"
LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?")
MAX_ENVELOPE_BYTES = 16 << 20  # readers refuse larger envelopes
CLOCK_TOLERANCE = timedelta(hours=1)
UPLOAD_TIME = timedelta(minutes=15)  # LastModified may be the time at which an upload began
PARALLEL_READS = 4
PAUSES = (1, 2, 4, 8, 16)  # seconds

Json = dict[str, Any]


class ManifestError(Exception):
    """A manifest cannot be written. The message contains the reason and the remedy."""


def start_of(label: str) -> str:
    """Return the start time in a run's label, in a form that sorts by time."""
    return label[-16:-1]


def utc(time: datetime) -> str:
    """Return a time in ISO 8601, UTC, in whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_of(backup: Json) -> Json:
    """Return a run's fields for the manifest, from an entry of `pgbackrest info`."""
    label, archive = backup["label"], backup["archive"]
    started, finished = (utc(datetime.fromtimestamp(backup["timestamp"][end], UTC)) for end in ("start", "stop"))
    needed = {label[:16], backup["prior"], *(backup["reference"] or ())} - {label, None}
    return {
        "run": label,
        "kind": "incremental" if needed else "full",
        "startedAt": started,
        "finishedAt": finished,
        "dependsOn": sorted(needed, key=start_of),
        "wal": {"first": archive["start"], "last": archive["stop"]},
        # pgBackRest's number of the database: it changes when the group is recreated. Not part of the manifest.
        "history": backup["database"]["id"],
    }


def segments(first: str, last: str) -> set[str]:
    """Return the names of the WAL segments from `first` to `last`. A backup's segments are all on one timeline."""
    low, high = (int(name[8:16], 16) << 8 | int(name[16:], 16) for name in (first, last))
    return {f"{first[:8]}{number >> 8:08X}{number & 0xFF:08X}" for number in range(low, high + 1)}


class Keys:
    """The signing keys, one derived from each line. The first key signs; signatures of every key are accepted."""

    def __init__(self, lines: str) -> None:
        seeds = (hashlib.sha256(line.encode()).digest() for line in lines.split())
        keys = [Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds]
        self._keys = {hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]: key for key in keys}

    def seal(self, manifest: Json) -> bytes:
        """Sign a manifest and return it in a DSSE envelope."""
        payload = _json(manifest)
        name, key = next(iter(self._keys.items()))
        signature = {"keyid": name, "sig": base64.b64encode(key.sign(_signed(payload))).decode()}
        return _json({"payload": base64.b64encode(payload).decode(), "payloadType": TYPE, "signatures": [signature]})

    def open(self, envelope: bytes) -> Json:
        """Verify an envelope and return its manifest. Raises ValueError unless one of the keys signed it."""
        try:
            fields = json.loads(envelope)
            payload = base64.b64decode(fields["payload"], validate=True)
            (signature,) = fields["signatures"]
            key = self._keys[signature["keyid"]].public_key()
            key.verify(base64.b64decode(signature["sig"]), _signed(payload))
        except (ValueError, KeyError, TypeError, InvalidSignature) as error:
            raise ValueError("not signed with our keys") from error
        return json.loads(payload)


def _json(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _signed(payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)


class Store:
    """A bucket. `endpoint` is a hostname. Objects are dictionaries as S3 lists them."""

    def __init__(self, bucket: str, endpoint: str, region: str, keys: dict[str, str]) -> None:
        self._bucket = bucket
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=f"https://{endpoint}",
            region_name=region,
            aws_access_key_id=keys["accessKeyId"],
            aws_secret_access_key=keys["secretAccessKey"],
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": len(PAUSES) + 1},
                # R2 does not support all checksums that boto3 adds by default.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def objects(self, prefix: str) -> list[Json]:
        """Return all objects whose keys begin with a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [one for page in pages for one in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """Return the content of a small object."""
        return retried(lambda: b"".join(self.chunks(key)))

    def sha256(self, one: Json) -> str:
        """Return the SHA-256 of an object's stored bytes. Raises `ManifestError` if it changed since it was listed."""
        return retried(lambda: self._sha256(one))

    def create(self, key: str, body: bytes) -> None:
        """Create an object. An object that already exists stays unchanged."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) != "PreconditionFailed":
                raise

    def _sha256(self, one: Json) -> str:
        digest, size = hashlib.sha256(), 0
        for chunk in self.chunks(one["Key"], IfMatch=one["ETag"]):
            digest.update(chunk)
            size += len(chunk)
        if size != one["Size"]:
            raise _changed(one["Key"])
        return digest.hexdigest()

    def chunks(self, key: str, **conditions: str) -> Iterator[bytes]:
        """Yield the content of an object, at most 1 MiB at a time. Raises `ManifestError` if a condition fails."""
        try:
            yield from self._client.get_object(Bucket=self._bucket, Key=key, **conditions)["Body"].iter_chunks(1 << 20)
        except ClientError as error:
            raise _changed(key) if _code(error) in ("NoSuchKey", "PreconditionFailed") else error from None


def retried(read: Callable[[], Any]) -> Any:
    """Repeat a read whose response body breaks off. boto3 itself only retries requests that fail at once."""
    for pause in PAUSES:
        try:
            return read()
        except BotoCoreError:
            time.sleep(pause)
    return read()


def _code(error: Any) -> str:
    return error.response["Error"]["Code"]


def _changed(key: str) -> ManifestError:
    return ManifestError(
        f"{key} was deleted or changed while it was read; remedy: find out which program writes there, then make a "
        "full backup"
    )


class Group:
    """One group's pgBackRest repository and the manifests of its backup runs."""

    def __init__(self, name: str, repository: str, store: Store, keys: Keys, points: Sequence[Json] = ()) -> None:
        self._name, self._store, self._keys, self._points = name, store, keys, points
        self._backup, self._archive = f"{repository}/backup/{name}/", f"{repository}/archive/{name}/"
        self._manifests = f"manifests/{name}/"

    def complete(self, runs: list[Json]) -> Iterator[str]:
        """Write missing manifests; yield an error for each run that fails. Raises `ManifestError` if all must fail."""
        names = (one["Key"].removeprefix(self._manifests) for one in self._store.objects(self._manifests))
        existing = {name[:-5] for name in names if name.endswith(".json") and LABEL.fullmatch(name[:-5])}
        newest = max(existing, key=start_of, default=None)
        previous, reference = self._read(newest) if newest else (None, None)
        if previous and datetime.now(UTC) < datetime.fromisoformat(previous["finishedAt"]) - CLOCK_TOLERANCE:
            raise ManifestError(
                f"run {newest} ended in the future by this machine's clock; remedy: set the clock (chronyc tracking)"
            )
        # Without any manifest, begin with the newest full backup.
        since = start_of(newest or max((run["run"] for run in runs if run["kind"] == "full"), default=""))
        for run in sorted(runs, key=lambda run: start_of(run["run"])):
            label = run["run"]
            if start_of(label) < since or label in existing:
                continue
            try:
                if absent := [needed for needed in run["dependsOn"] if needed not in existing]:
                    raise ManifestError(
                        f"run {label} depends on {', '.join(absent)}, which has no manifest; remedy: restore "
                        f"{self._manifests} from the replica, or make a full backup, which depends on no other run"
                    )
                previous, reference = self._write(run, previous, reference)
            except ManifestError as error:  # later runs may not depend on this one
                yield str(error)
            else:
                existing.add(label)
                print(f"{self._key(label)}: {len(previous['objects'])} objects", flush=True)

    def _write(self, run: Json, previous: Json | None, reference: Json | None) -> tuple[Json, Json]:
        objects = self._objects(run, previous["objects"] if previous else [])
        fields = {field: value for field, value in run.items() if field != "history"}
        listed = max((point["name"] for point in (previous or {}).get("points", ())), default="")
        points = [point for point in self._points if point["name"] > listed]
        manifest = {"version": 1, "group": self._name, **fields, "previous": reference, "objects": objects}
        if points:
            manifest["points"] = points
        envelope = self._keys.seal(manifest)
        if len(envelope) > MAX_ENVELOPE_BYTES:
            raise ManifestError(
                f"run {run['run']} has {len(objects)} objects: its manifest exceeds {MAX_ENVELOPE_BYTES} bytes; "
                "remedy: split the group"
            )
        self._store.create(self._key(run["run"]), envelope)
        return self._read(run["run"])  # another leader may have created it first

    def _key(self, label: str) -> str:
        return f"{self._manifests}{label}.json"

    def _read(self, label: str) -> tuple[Json, Json]:
        """Return an existing manifest, and the reference to it for the next manifest."""
        envelope = self._store.read(self._key(label))
        try:
            manifest = self._keys.open(envelope)
            if (manifest["group"], manifest["run"]) != (self._name, label):
                raise ValueError("signed for another group or run")
        except ValueError as error:
            raise ManifestError(
                f"{self._key(label)} is {error}; remedy: find out what wrote it, and restore it from the replica"
            ) from error
        return manifest, {"run": label, "sha256": hashlib.sha256(envelope).hexdigest()}

    def _objects(self, run: Json, before: list[Json]) -> list[Json]:
        label = run["run"]
        history = f"{self._backup}backup.history/{label[:4]}/{label}.manifest"
        backup = [*self._store.objects(f"{self._backup}{label}/"), *self._store.objects(history)]
        if f"{self._backup}{label}/backup.manifest" not in {one["Key"] for one in backup}:
            raise _changed(f"{self._backup}{label}/backup.manifest")
        kinds = {"backup": backup, "wal": self._wal(run, backup, before), "index": self._indexes(label)}
        found = sorted(((one, kind) for kind, ones in kinds.items() for one in ones), key=lambda pair: pair[0]["Key"])
        hashes = self._hashes([one for one, _ in found])
        return [
            {
                "key": one["Key"],
                "size": one["Size"],
                "sha256": sha256,
                "kind": kind,
                "storedAt": utc(one["LastModified"]),
            }
            for (one, kind), sha256 in zip(found, hashes, strict=True)
        ]

    def _wal(self, run: Json, backup: list[Json], before: list[Json]) -> list[Json]:
        """Return the WAL objects archived since the previous manifest, by LastModified (the store's clock)."""
        archive = [one for one in self._store.objects(self._archive) if "/archive.info" not in one["Key"]]
        own = re.compile(re.escape(self._archive) + rf"[\d.]+-{run['history']}/.*/" + r"([0-9A-F]{24})-")
        if absent := segments(**run["wal"]) - {found[1] for one in archive if (found := own.match(one["Key"]))}:
            raise ManifestError(
                f"run {run['run']} needs WAL segment {min(absent)}, which is not archived yet; "
                "remedy: check archive_command"
            )
        times = [datetime.fromisoformat(one["storedAt"]) for one in before if one["kind"] == "backup"]
        since = min(times or (one["LastModified"] for one in backup)) - UPLOAD_TIME
        known = {one["key"] for one in before}
        return [one for one in archive if one["LastModified"] >= since and one["Key"] not in known]

    def _indexes(self, label: str) -> list[Json]:
        """Copy the index files that pgBackRest overwrites with each run; an existing copy is locked and is kept."""
        folder = f"{self._manifests}{label}/"
        copied = {one["Key"] for one in self._store.objects(folder)}
        for source in (f"{self._backup}backup.info", f"{self._archive}archive.info"):
            key = folder + source.rpartition("/")[2]
            if key not in copied:
                self._store.create(key, self._store.read(source))
        return self._store.objects(folder)

    def _hashes(self, objects: list[Json]) -> list[str]:
        pool = ThreadPoolExecutor(PARALLEL_READS)
        try:
            return list(pool.map(self._store.sha256, objects))
        finally:
            pool.shutdown(cancel_futures=True)


# Prints a line for each restore point. The table exists once there is a point.
POINTS = r"""
SELECT to_regclass('backbuild.restore_points') IS NOT NULL AS present \gset
\if :present
SELECT json_build_object('name', name, 'segments', segments) FROM backbuild.restore_points ORDER BY name;
\endif
"""


def points_of(database: str) -> list[Json]:
    """Return the recent restore points, oldest first, each with the last WAL segment that each group needs for it."""
    psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
    lines = subprocess.run(psql, input=POINTS, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def main(name: str, database: str) -> int:
    """Write a group's missing manifests. Returns 0 if every run has its manifest, otherwise 1."""
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read_string(CONFIGURATION.read_text())
    settings = configuration["global"]
    bucket, endpoint, region = (settings[f"repo1-s3-{part}"] for part in ("bucket", "endpoint", "region"))
    store = Store(bucket, endpoint, region, json.loads((SECRETS / "backup-storage").read_text()))
    keys = Keys((SECRETS / "manifest-keys").read_text())
    info = ["pgbackrest", f"--stanza={name}", "--log-level-console=off", "--output=json", "info"]
    errors = 0
    try:
        information = json.loads(subprocess.run(info, check=True, stdout=subprocess.PIPE).stdout)
        group = Group(name, settings["repo1-path"].strip("/"), store, keys, points_of(database))
        for message in group.complete([run_of(backup) for stanza in information for backup in stanza["backup"]]):
            errors += _report(message)
    except ManifestError as error:
        errors += _report(error)
    except subprocess.CalledProcessError as error:
        errors += _report(
            f"{' '.join(error.cmd)} failed with exit status {error.returncode}; remedy: run it by hand and read its "
            "output"
        )
    except (BotoCoreError, ClientError) as error:
        reason = _code(error) if isinstance(error, ClientError) else type(error).__name__
        errors += _report(
            f"the primary bucket still fails after {len(PAUSES) + 1} attempts: {reason}; remedy: check that its "
            "endpoint answers and that the secret backup-storage is valid"
        )
    return min(errors, 1)


def _report(message: object) -> int:
    print(f"manifest: {message}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
