"""A member's files as one compressed archive, the same bytes for the same files."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from machines.files import File


@dataclass(frozen=True)
class Archive:
    """A `.tar.gz` of files at their absolute paths. Its name is its SHA-256."""

    content: bytes

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """The key of the object that holds the archive."""
        return f"{self.sha256}.tar.gz"


def archive_of(files: Iterable[File]) -> Archive:
    """Pack `files` in their order, with modes and owners, without time stamps."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            content = file.content.encode()
            entry = tarfile.TarInfo(file.path.removeprefix("/"))
            entry.size, entry.mode = len(content), int(file.mode, 8)
            entry.uname, _, entry.gname = file.owner.partition(":")
            tar.addfile(entry, io.BytesIO(content))
    return Archive(gzip.compress(packed.getvalue(), mtime=0))
