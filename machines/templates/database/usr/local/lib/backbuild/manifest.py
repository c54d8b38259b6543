"""Sign for what a group's finished backup runs stored: write the manifests that are missing, the oldest first.

Usage: manifest.py GROUP, after each backup and under its lock. Writes nothing but new objects below manifests/GROUP/,
a run's manifest last, and overwrites none: so it may end at any point, and the next time goes on from there.
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
from collections.abc import Callable, Iterator
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
MOST_BYTES = 16 << 20  # no reader takes a larger envelope
CLOCK_TOLERANCE = timedelta(hours=1)
UPLOAD_TIME = timedelta(minutes=15)  # an object may bear the time at which its upload began
AT_ONCE = 4
PAUSES = (1, 2, 4, 8, 16)  # seconds

Json = dict[str, Any]


class RefusedError(Exception):
    """Why there is no manifest, and the remedy."""


def begun(label: str) -> str:
    """When a run began, by its label, in a form that sorts by time."""
    return label[-16:-1]


def utc(time: datetime) -> str:
    """ISO 8601 in whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_of(backup: Json) -> Json:
    """What a manifest says of a run, from what `pgbackrest info` says."""
    label, archive = backup["label"], backup["archive"]
    started, finished = (utc(datetime.fromtimestamp(backup["timestamp"][end], UTC)) for end in ("start", "stop"))
    needed = {label[:16], backup["prior"], *(backup["reference"] or ())} - {label, None}
    return {
        "run": label,
        "kind": "incremental" if needed else "full",
        "startedAt": started,
        "finishedAt": finished,
        "dependsOn": sorted(needed, key=begun),
        "wal": {"first": archive["start"], "last": archive["stop"]},
        # Which of the databases that have had the group's name: no part of the manifest.
        "history": backup["database"]["id"],
    }


def segments(first: str, last: str) -> set[str]:
    """Name the WAL segments from one to the other; a backup never leaves its timeline."""
    low, high = (int(name[8:16], 16) << 8 | int(name[16:], 16) for name in (first, last))
    return {f"{first[:8]}{number >> 8:08X}{number & 0xFF:08X}" for number in range(low, high + 1)}


class Keys:
    """The signing keys, made from a line each: the first signs, all of them are believed."""

    def __init__(self, lines: str) -> None:
        seeds = (hashlib.sha256(line.encode()).digest() for line in lines.split())
        keys = [Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds]
        self._keys = {hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]: key for key in keys}

    def seal(self, manifest: Json) -> bytes:
        """Put a manifest into an envelope (DSSE)."""
        payload = _json(manifest)
        name, key = next(iter(self._keys.items()))
        signature = {"keyid": name, "sig": base64.b64encode(key.sign(_signed(payload))).decode()}
        return _json({"payload": base64.b64encode(payload).decode(), "payloadType": TYPE, "signatures": [signature]})

    def open(self, envelope: bytes) -> Json:
        """Take the manifest out. Raises ValueError unless one of the keys has signed it."""
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
    """The primary bucket, as pgBackRest is told to use it. Objects are as S3 lists them."""

    def __init__(self, settings: configparser.SectionProxy, keys: dict[str, str]) -> None:
        self._bucket = settings["repo1-s3-bucket"]
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=f"https://{settings['repo1-s3-endpoint']}",
            region_name=settings["repo1-s3-region"],
            aws_access_key_id=keys["accessKeyId"],
            aws_secret_access_key=keys["secretAccessKey"],
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": len(PAUSES) + 1},
                # R2 knows only some of the checksums that clients add by themselves.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def below(self, prefix: str) -> list[Json]:
        """List what there is below a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [one for page in pages for one in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """Read a small object."""
        return _again(lambda: b"".join(self._chunks(key)))

    def sha256(self, one: Json) -> str:
        """Hash an object as the store gives it back. Raises `RefusedError` if it is not what was listed."""
        return _again(lambda: self._sha256(one))

    def create(self, key: str, body: bytes) -> None:
        """Write an object unless there is one: what is there counts."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) != "PreconditionFailed":
                raise

    def _sha256(self, one: Json) -> str:
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(one["Key"], IfMatch=one["ETag"]):
            digest.update(chunk)
            size += len(chunk)
        if size != one["Size"]:
            raise _changed(one["Key"])
        return digest.hexdigest()

    def _chunks(self, key: str, **conditions: str) -> Iterator[bytes]:
        try:
            yield from self._client.get_object(Bucket=self._bucket, Key=key, **conditions)["Body"].iter_chunks(1 << 20)
        except ClientError as error:
            raise _changed(key) if _code(error) in ("NoSuchKey", "PreconditionFailed") else error from None


def _again(read: Callable[[], Any]) -> Any:
    """Begin anew what breaks off in the middle; calls that fail as such are repeated by the client itself."""
    for pause in PAUSES:
        try:
            return read()
        except BotoCoreError:
            time.sleep(pause)
    return read()


def _code(error: Any) -> str:
    return error.response["Error"]["Code"]


def _changed(key: str) -> RefusedError:
    return RefusedError(f"{key} vanished or changed; remedy: find out who writes there, then make a full backup")


class Group:
    """One group's repository, and the manifests of its runs."""

    def __init__(self, name: str, repository: str, store: Store, keys: Keys) -> None:
        self._name, self._store, self._keys = name, store, keys
        self._backup, self._archive = f"{repository}/backup/{name}/", f"{repository}/archive/{name}/"
        self._manifests = f"manifests/{name}/"

    def complete(self, runs: list[Json]) -> Iterator[str]:
        """Write the manifests that are missing; yields why one cannot be, raises `RefusedError` when none can."""
        names = (one["Key"].removeprefix(self._manifests) for one in self._store.below(self._manifests))
        made = {name[:-5] for name in names if name.endswith(".json") and LABEL.fullmatch(name[:-5])}
        newest = max(made, key=begun, default=None)
        previous, reference = self._read(newest) if newest else (None, None)
        if previous and datetime.now(UTC) < datetime.fromisoformat(previous["finishedAt"]) - CLOCK_TOLERANCE:
            raise RefusedError(f"by the clock here, {newest} is yet to end; remedy: set the clock (chronyc tracking)")
        # The first manifest of all is that of the newest full backup.
        since = begun(newest or max((run["run"] for run in runs if run["kind"] == "full"), default=""))
        for run in sorted(runs, key=lambda run: begun(run["run"])):
            label = run["run"]
            if begun(label) < since or label in made:
                continue
            try:
                if absent := [needed for needed in run["dependsOn"] if needed not in made]:
                    raise RefusedError(
                        f"{label} needs {', '.join(absent)}, of which there is no manifest; remedy: bring "
                        f"{self._manifests} back from the replica, or make a full backup, which needs no other"
                    )
                previous, reference = self._write(run, previous, reference)
            except RefusedError as refused:  # the others may do without it
                yield str(refused)
            else:
                made.add(label)
                print(f"{self._key(label)}: {len(previous['objects'])} objects", flush=True)

    def _write(self, run: Json, previous: Json | None, reference: Json | None) -> tuple[Json, Json]:
        objects = self._objects(run, previous["objects"] if previous else [])
        said = {field: value for field, value in run.items() if field != "history"}
        manifest = {"version": 1, "group": self._name, **said, "previous": reference, "objects": objects}
        envelope = self._keys.seal(manifest)
        if len(envelope) > MOST_BYTES:
            raise RefusedError(f"{run['run']} has {len(objects)} objects, too many; remedy: split the group")
        self._store.create(self._key(run["run"]), envelope)
        return self._read(run["run"])  # another leader's, if that was faster

    def _key(self, label: str) -> str:
        return f"{self._manifests}{label}.json"

    def _read(self, label: str) -> tuple[Json, Json]:
        """A manifest that is there, and how the next one names it."""
        envelope = self._store.read(self._key(label))
        try:
            manifest = self._keys.open(envelope)
            if (manifest["group"], manifest["run"]) != (self._name, label):
                raise ValueError("signed for another place")
        except ValueError as error:
            raise RefusedError(
                f"{self._key(label)} is {error}; remedy: find out who wrote it, and bring it back from the replica"
            ) from error
        return manifest, {"run": label, "sha256": hashlib.sha256(envelope).hexdigest()}

    def _objects(self, run: Json, before: list[Json]) -> list[Json]:
        label = run["run"]
        history = f"{self._backup}backup.history/{label[:4]}/{label}.manifest"
        backup = [*self._store.below(f"{self._backup}{label}/"), *self._store.below(history)]
        if f"{self._backup}{label}/backup.manifest" not in {one["Key"] for one in backup}:
            raise _changed(f"{self._backup}{label}/backup.manifest")
        kinds = {"backup": backup, "wal": self._wal(run, backup, before), "index": self._indexes(label)}
        found = sorted(((one, kind) for kind, those in kinds.items() for one in those), key=lambda pair: pair[0]["Key"])
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
        """What was archived since the previous manifest; by the store's clock, never by ours."""
        archive = [one for one in self._store.below(self._archive) if "/archive.info" not in one["Key"]]
        own = re.compile(re.escape(self._archive) + rf"[\d.]+-{run['history']}/.*/" + r"([0-9A-F]{24})-")
        if absent := segments(**run["wal"]) - {found[1] for one in archive if (found := own.match(one["Key"]))}:
            raise RefusedError(f"{run['run']} needs {min(absent)}, not archived yet; remedy: see archive_command")
        times = [datetime.fromisoformat(one["storedAt"]) for one in before if one["kind"] == "backup"]
        since = min(times or (one["LastModified"] for one in backup)) - UPLOAD_TIME
        known = {one["key"] for one in before}
        return [one for one in archive if one["LastModified"] >= since and one["Key"] not in known]

    def _indexes(self, label: str) -> list[Json]:
        """Copy what pgBackRest writes anew with each run; a copy that is there is locked, and not to be tried again."""
        folder = f"{self._manifests}{label}/"
        there = {one["Key"] for one in self._store.below(folder)}
        for source in (f"{self._backup}backup.info", f"{self._archive}archive.info"):
            key = folder + source.rpartition("/")[2]
            if key not in there:
                self._store.create(key, self._store.read(source))
        return self._store.below(folder)

    def _hashes(self, objects: list[Json]) -> list[str]:
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            return list(pool.map(self._store.sha256, objects))
        finally:
            pool.shutdown(cancel_futures=True)


def main(name: str) -> int:
    """Return 0 when every run has its manifest."""
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read_string(CONFIGURATION.read_text())
    settings = configuration["global"]
    store = Store(settings, json.loads((SECRETS / "backup-storage").read_text()))
    group = Group(name, settings["repo1-path"].strip("/"), store, Keys((SECRETS / "manifest-keys").read_text()))
    ask = ["pgbackrest", f"--stanza={name}", "--log-level-console=off", "--output=json", "info"]
    problems = 0
    try:
        information = json.loads(subprocess.run(ask, check=True, stdout=subprocess.PIPE).stdout)
        for problem in group.complete([run_of(backup) for stanza in information for backup in stanza["backup"]]):
            problems += _complain(problem)
    except RefusedError as refused:
        problems += _complain(refused)
    except subprocess.CalledProcessError as error:
        problems += _complain(f"pgbackrest info ended with {error.returncode}; remedy: run it, and see what it says")
    except (BotoCoreError, ClientError) as error:
        what = _code(error) if isinstance(error, ClientError) else type(error).__name__
        problems += _complain(f"the store fails again and again: {what}; remedy: see that it is up and knows our keys")
    return min(problems, 1)


def _complain(problem: object) -> int:
    print(f"manifest: {problem}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
