"""Signed manifests for tests, and a Node process that reads manifests with the Cloudflare Workers' module."""

from __future__ import annotations

import base64
import json
import runpy
import subprocess
from typing import Any

from harness.waiting import TIMEOUT_SECONDS
from harness.workerd import WORKERS
from machines.files import TEMPLATES
from model.signing import public_key

PRODUCER = runpy.run_path(str(TEMPLATES / "database/usr/local/lib/backbuild/manifest.py"))
PASSWORD = "0123456789abcdefghijABCDEFGHIJ0123456789"
RUN = "20261124-013005F_20261124-023005I"
KEY = f"manifests/worker-1/{RUN}.json"
SCRIPT = """
import { createInterface } from "node:readline";
import { importKeys, readManifest } from "./backups/manifest.js";
for await (const line of createInterface({ input: process.stdin })) {
  const { envelopes, keys, key } = JSON.parse(line);
  const imported = await importKeys(keys);
  const answers = envelopes.map(async (envelope) => {
    try {
      return { manifest: await readManifest(Buffer.from(envelope, "base64"), imported, key) };
    } catch (error) {
      return { name: error.name, reason: error.reason, message: error.message };
    }
  });
  process.stdout.write(`${JSON.stringify(await Promise.all(answers))}\\n`);
}
"""


class Reader:
    """A Node process that calls `readManifest` and returns `{manifest}`, or its error as `{name, reason, message}`."""

    def __init__(self) -> None:
        command = ["node", "--input-type=module", "--eval", SCRIPT]
        self.process = subprocess.Popen(command, cwd=WORKERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, *envelopes: bytes, keys: tuple[str, ...] = (PASSWORD,), key: str = KEY) -> list[dict[str, Any]]:
        """Read envelopes as the Workers do, with the public keys of these passwords."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        texts = [base64.b64encode(envelope).decode() for envelope in envelopes]
        request = {"envelopes": texts, "keys": [public_key(password) for password in keys], "key": key}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=TIMEOUT_SECONDS)


def sealed(manifest: Any, password: str = PASSWORD) -> bytes:
    """Return a signed envelope of any JSON value, as a machine writes it."""
    return PRODUCER["Keys"](password).seal(manifest)


def object_of(
    key: str = f"hourly/backup/worker-1/{RUN}/bundle/1", kind: str = "backup", **changes: Any
) -> dict[str, Any]:
    """Return one entry of a manifest's `objects`."""
    return {"key": key, "size": 5, "sha256": "ab" * 32, "kind": kind, "storedAt": "2026-11-24T02:30:41Z", **changes}


def manifest_of(**changes: Any) -> dict[str, Any]:
    """Return the manifest of an incremental run, with some fields replaced."""
    return {
        "version": 1,
        "group": "worker-1",
        "run": RUN,
        "kind": "incremental",
        "startedAt": "2026-11-24T02:30:05Z",
        "finishedAt": "2026-11-24T02:30:47Z",
        "previous": {"run": RUN[:16], "sha256": "cd" * 32},
        "dependsOn": [RUN[:16]],
        "wal": {"first": "0000000100000000000000FF", "last": "000000010000000100000001"},
        "objects": [
            object_of(
                "hourly/archive/worker-1/17-1/0000000100000000/0000000100000000000000FF-" + "a" * 40 + ".zst", "wal"
            ),
            object_of(),
            object_of(f"manifests/worker-1/{RUN}/backup.info", "index"),
        ],
        **changes,
    }
