"""pgBackRest stores and reads files through R2's S3 interface."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.sandbox.edge.edges import BUCKET, HOST, WRITER, Edge

MIB = 1 << 20


def test_pgbackrest_writes_lists_reads_and_deletes_files(edge: Edge, tmp_path: Path):
    large, small = os.urandom(12 * MIB + 5), b"content"  # pgBackRest uploads in parts of 5 MiB
    with edge.tls() as port:
        configuration = tmp_path / "pgbackrest.conf"
        configuration.write_text(
            f"[global]\nrepo1-type=s3\nrepo1-path=/repository\nrepo1-s3-bucket={BUCKET}\nrepo1-s3-endpoint={HOST}\n"
            f"repo1-storage-port={port}\nrepo1-storage-verify-tls=n\nrepo1-s3-region=auto\nrepo1-s3-uri-style=path\n"
            f"repo1-s3-key={WRITER}\nrepo1-s3-key-secret=secret of {WRITER}\n"
            f"log-level-file=off\nlog-level-console=warn\nlock-path={tmp_path}\n"
        )

        def pgbackrest(command: str, *words: str, stdin: bytes = b"") -> bytes:
            program = ["pgbackrest", f"--config={configuration}", *words[1:], command, *words[:1]]
            done = subprocess.run(program, input=stdin, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr + done.stdout
            return done.stdout

        pgbackrest("repo-put", "folder/large", stdin=large)
        pgbackrest("repo-put", "folder/a +&file", stdin=small)
        assert pgbackrest("repo-ls", "folder").decode().splitlines() == ["a +&file", "large"]
        assert pgbackrest("repo-ls").decode().splitlines() == ["folder"]
        assert pgbackrest("repo-get", "folder/large") == large
        assert pgbackrest("repo-get", "folder/a +&file") == small
        head = edge.client().head_object(Bucket=BUCKET, Key="repository/folder/large")
        assert head["ETag"].endswith('-3"')
        pgbackrest("repo-rm", "folder", "--recurse")
        assert pgbackrest("repo-ls").decode() == ""
