"""A machine's boot: the cloud-config in its user data, and the archive of files that the cloud-config installs."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import yaml

from policies.graph import Graph, Resource
from policies.views.shared import once

OBJECT: Final = "aws:s3/bucketObjectv2:BucketObjectv2"
BOOT: Final = "/usr/local/sbin/backbuild-boot"
REVIEWED_BOOT: Final = "350af4c1ae7685597e5a1c475a03098e8c9254f9a766c5c673dec1749ee76ec3"
"""SHA-256 of the reviewed boot script. That script installs only an archive with the SHA-256 in the user data."""
_KEYS: Final = {"hostname", "ssh_pwauth", "write_files", "runcmd"}


@dataclass(frozen=True)
class Boot:
    """The archive that a machine installs at its first boot: the bucket it comes from and its SHA-256."""

    bucket: str
    sha256: str


@once
def archives(graph: Graph) -> dict[str, Resource]:
    """Return every S3 object of the stack, by its key."""
    return {one.text("key"): one for one in graph.of(OBJECT) if one.known("key")}


@cache
def boot_of(user_data: str) -> Boot:
    """Parse user data. Raises `ValueError` if it does more or less than run the reviewed boot script."""
    document = _document(user_data)
    if unexpected := sorted(document.keys() - _KEYS):
        raise ValueError(f"its key {unexpected[0]} may change the machine's files; remove it")
    written = document.get("write_files")
    scripts = cast("list[dict[str, Any]]", written) if isinstance(written, list) else []
    if [script.get("path") for script in scripts] != [BOOT]:
        raise ValueError(f"write_files must write {BOOT} and no other file")
    script = str(scripts[0].get("content", "")).strip()
    if (found := hashlib.sha256(script.encode()).hexdigest()) != REVIEWED_BOOT:
        raise ValueError(
            f"{BOOT} has the SHA-256 {found}; review it, then set REVIEWED_BOOT (policies/views/booted.py)"
        )
    commands = document.get("runcmd")
    first = (
        cast("list[Any]", commands)[0] if isinstance(commands, list) and len(cast("list[Any]", commands)) == 1 else None
    )
    words = cast("list[Any]", first) if isinstance(first, list) else []
    if len(words) != 4 or words[0] != BOOT:
        raise ValueError(f"runcmd is {commands}; {BOOT} with a region, a bucket and a SHA-256 is expected")
    return Boot(str(words[2]), str(words[3]))


def _document(user_data: str) -> dict[str, Any]:
    if not user_data.startswith("#cloud-config\n"):
        raise ValueError("it is not a cloud-config")
    try:
        document = yaml.load(user_data, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if not isinstance(document, dict):
        raise ValueError("it is not a cloud-config")
    return cast("dict[str, Any]", document)


@cache
def files_of(encoded: str, sha256: str) -> Mapping[str, str]:
    """Return the files of a base64-encoded archive, by path. Raises `ValueError` on damage or a wrong SHA-256."""
    return {path: text for path, (_, text) in _entries(encoded, sha256).items()}


@cache
def modes_of(encoded: str, sha256: str) -> Mapping[str, str]:
    """Return the type, mode and owner of the files of an archive, by path: `0755 root:root`."""
    return {path: mode for path, (mode, _) in _entries(encoded, sha256).items()}


@cache
def _entries(encoded: str, sha256: str) -> Mapping[str, tuple[str, str]]:
    try:
        content = base64.b64decode(encoded, validate=True)
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise ValueError(f"its SHA-256 is {found}, but the machine expects {sha256}")
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
            members = tar.getmembers()
            names = [one.name for one in members]
            if len(set(names)) != len(names) or any(not one.isreg() or ".." in one.name.split("/") for one in members):
                raise ValueError("it contains a path twice, or something else than regular files")
            entries = {f"/{entry.name}": (entry, tar.extractfile(entry)) for entry in members}
            return {path: (_mode(entry), b"".join(file or ()).decode()) for path, (entry, file) in entries.items()}
    except (binascii.Error, OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _mode(entry: tarfile.TarInfo) -> str:
    return f"{entry.mode:04o} {entry.uname or entry.uid}:{entry.gname or entry.gid}"
