"""Pack a member's files into one compressed archive. The same files always produce the same bytes."""

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
    """A `.tar.gz` whose entries are relative to `/`. Its object in S3 is named by its SHA-256."""

    content: bytes

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """Return the key of the archive's object in S3."""
        return f"{self.sha256}.tar.gz"


def archive_of(files: Iterable[File]) -> Archive:
    """Pack `files` in the given order, with modes and owners but without timestamps."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            content = file.content.encode()
            entry = tarfile.TarInfo(file.path.removeprefix("/"))
            entry.size, entry.mode = len(content), int(file.mode, 8)
            entry.uname, _, entry.gname = file.owner.partition(":")
            tar.addfile(entry, io.BytesIO(content))
    return Archive(gzip.compress(packed.getvalue(), mtime=0))
