"""Read one copy of the backups with its read-only keys. Machines may read these keys only while they restore."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError
from manifest import ManifestError, Store, retried

Json = dict[str, Any]
READ_ERRORS = (BotoCoreError, ClientError, ManifestError)


class RestoreError(Exception):
    """A restore cannot go on. The message contains the reason and the remedy."""


class Copy(Store):
    """One copy of the backups."""

    def __init__(self, name: str, fields: Json) -> None:
        super().__init__(fields["bucket"], fields["endpoint"], fields["region"], fields)
        self.name = name

    def objects(self, prefix: str) -> list[Json]:
        """Return all objects whose keys begin with a prefix. Raises `RestoreError`."""
        return self._listed(prefix, lambda: super(Copy, self).objects(prefix))

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below a prefix. Raises `RestoreError`."""
        return self._listed(prefix, lambda: self._folders(prefix))

    def _folders(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        return [one["Prefix"][len(prefix) : -1] for page in pages for one in page.get("CommonPrefixes", ())]

    def _listed(self, prefix: str, read: Callable[[], list[Any]]) -> list[Any]:
        try:
            return retried(read)
        except READ_ERRORS as error:
            raise RestoreError(
                f"{prefix} in {self.name} cannot be listed: {reason_of(error)}; restore from another copy"
            ) from None

    def download(self, key: str, path: Path) -> str:
        """Write an object into a file, which exists only once it is complete. Returns the SHA-256 of its bytes."""
        return retried(lambda: self._download(key, path))

    def _download(self, key: str, path: Path) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        digest = hashlib.sha256()
        with partial.open("wb") as file:
            for chunk in self.chunks(key):
                digest.update(chunk)
                file.write(chunk)
        partial.rename(path)
        return digest.hexdigest()


def secret(file: str) -> str:
    """Return the value of one of the secrets that the machine fetches at boot."""
    return (Path(os.environ["SECRETS_FOLDER"]) / file).read_text(encoding="utf-8").strip()


def readers() -> dict[str, Json]:
    """Return the address and the read-only keys of each copy, by name. Raises `RestoreError`."""
    name = os.environ["READERS"]
    command = [*shlex.split(os.environ["SECRETS_COMMAND"]), name]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RestoreError(
            f"{found.stderr.strip()}. Machines may read it only during a restore; begin one with `python -m drills "
            "restore`"
        )
    return json.loads(json.loads(found.stdout)[name])["copies"]


def copy_of(name: str) -> Copy:
    """Return the copy with a name. Raises `RestoreError`."""
    known = readers()
    if name not in known:
        raise RestoreError(f"there is no copy {name}; copies with read-only keys: {', '.join(known)}")
    return Copy(name, known[name])


def reason_of(error: Exception) -> str:
    """Return why a copy could not be read, without its keys."""
    if isinstance(error, ClientError):
        response = cast(Any, error).response
        return f"{response['Error']['Code']} (status {response['ResponseMetadata']['HTTPStatusCode']})"
    return str(error) if isinstance(error, ManifestError) else type(error).__name__
