"""Speed and memory of replication and verification: `python -m benchmarks.backups [--gib 5] [--json]`.

Runs the backup Workers (Cloudflare Workers) in workerd, with its own R2 and an S3 server that stores files. First it
replicates one object of 512 MiB whose SHA-256 is not known, which takes two reads, and one that a manifest lists, which
takes one read for both copies. The baseline is a copy from bucket to bucket without verification, in the same run.
Then it replicates a backup run of some GiB in objects of that size, and verifies every byte in all three stores.
Targets: 60 MiB/s for each stream, 128 MiB of memory in addition to idle workerd, and five minutes from the first
event until every object is verified.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.sink import Sink
from harness import copies
from harness.backup_manifests import PASSWORD, sealed
from harness.backup_world import GROUP, ROTATION, START, stamp
from harness.workerd import Host
from model.signing import public_key

MIB = 512
TARGET_MIB_S, TARGET_MEMORY_MIB, TARGET_SECONDS = 60, 128, 300


@dataclass(frozen=True)
class Result:
    """The rates of a plain copy, of replication to both copies at once and of verification of each copy; and totals."""

    plain_mib_s: float
    replicate_mib_s: float
    """Of an object that no manifest lists: read once for its SHA-256, and once for both copies."""
    listed_mib_s: float
    """Of a listed object: read once for both copies."""
    verify_mib_s: float
    peak_mib: float
    gib: int
    seconds: float


class Process:
    """The workerd process of a host, and its memory."""

    def __init__(self, host: Host) -> None:
        children = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split()
        (self.pid,) = (child for child in children if "workerd" in Path(f"/proc/{child}/comm").read_text())
        self.reset()

    def reset(self) -> None:
        """Reset the peak, and use the present memory as the baseline."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self.before = self._mib("VmRSS")

    def grown(self) -> float:
        """Return the peak since `reset`, in MiB above the baseline."""
        return self._mib("VmHWM") - self.before

    def _mib(self, name: str) -> float:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024


def main() -> None:
    """Run the benchmark and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gib", type=int, default=5, help="size of the backup run (default: 5)")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = options.parse_args()
    host, sink = Host(), Sink()
    try:
        result = measure(host, sink, chosen.gib)
    finally:
        host.close()
        sink.close()
    if chosen.json:
        print(json.dumps(asdict(result)))
        return
    print(f"plain copy, bucket to bucket     {result.plain_mib_s:7.0f} MiB/s")
    for name, rate in (("two reads", result.replicate_mib_s), ("one read", result.listed_mib_s)):
        compared = f"{rate:7.0f} MiB/s       (target {TARGET_MIB_S}); {rate / result.plain_mib_s:.2f} x"
        print(f"replication, {name:<20}{compared}")
    print(f"verification, for each copy      {result.verify_mib_s:7.0f} MiB/s")
    print(f"{result.gib} GiB replicated and verified   {result.seconds:7.0f} s           (target {TARGET_SECONDS})")
    print(f"memory above the baseline        {result.peak_mib:7.0f} MiB         (target {TARGET_MEMORY_MIB})")


def measure(host: Host, sink: Sink, gib: int) -> Result:
    """Measure the rates with one object, then replication and verification of a backup run of `gib` GiB."""
    bindings = {
        "ROTATION": ROTATION,
        "GROUPS": [GROUP],
        "MANIFEST_KEYS": [public_key(PASSWORD)],
        **copies.BINDINGS,
    }
    options: dict[str, Any] = {
        "r2Buckets": copies.BUCKETS,
        "d1Databases": {"DB": "backups"},
        "bindings": bindings,
        "outboundService": {"external": {"address": sink.address, "http": {}}},
    }
    host.start_all({"backups/replicate": options, "backups/verify": options})
    first = f"hourly/backup/{GROUP}/first"
    fill(host, first)
    plain = timed(lambda: bulk(host, "copy", key=first, to="COPY_REPLICA"))
    process = Process(host)
    replication = timed(lambda: deliver(host, first))
    listed = f"{START - timedelta(hours=2):%Y%m%d-%H%M%S}F_{START - timedelta(hours=1):%Y%m%d-%H%M%S}I"
    second = f"hourly/backup/{GROUP}/{listed}/bundle/1"
    write_manifest(host, listed, {second: fill(host, second)})
    deliver(host, f"manifests/{GROUP}/{listed}.json")
    one_read = timed(lambda: deliver(host, second))
    clock = START
    run = f"{clock:%Y%m%d-%H%M%S}F_{clock + timedelta(hours=1):%Y%m%d-%H%M%S}I"
    keys = [f"hourly/backup/{GROUP}/{run}/bundle/{number}" for number in range(gib * 1024 // MIB)]
    digests = {key: fill(host, key) for key in keys}
    process.reset()
    began = time.perf_counter()
    for key in keys:
        deliver(host, key)
    peak = process.grown()
    write_manifest(host, run, digests)
    process.reset()
    verification_began = time.perf_counter()
    for minutes in range(6, 600, 6):
        if verify(host, START + timedelta(minutes=minutes)) == len(keys) + 1:
            break
    ended = time.perf_counter()
    return Result(
        plain_mib_s=MIB / plain,
        replicate_mib_s=MIB / replication,
        listed_mib_s=MIB / one_read,
        # The three copies of an object are read at once.
        verify_mib_s=MIB * len(keys) / (ended - verification_began),
        peak_mib=max(peak, process.grown()),
        gib=gib,
        seconds=ended - began,
    )


def bulk(host: Host, operation: str, **parameters: Any) -> Any:
    """Run an operation of harness/buckets.js in the Worker's process."""
    return host.bulk(operation, "COPY_PRIMARY", worker="replicate", **parameters)


def fill(host: Host, key: str) -> str:
    """Write an object of `MIB` MiB. Return its SHA-256."""
    return bulk(host, "fill", key=key, mib=MIB)


def deliver(host: Host, key: str) -> None:
    """Deliver an object's event to the replicate Worker."""
    message = {"action": "PutObject", "object": {"key": key}}
    result = host.ask("queue", messages=[message], worker="replicate")
    assert result["explicitAcks"] == ["0"], result


def write_manifest(host: Host, run: str, digests: dict[str, str]) -> None:
    """Write a signed manifest of the objects, as the machine does."""
    manifest = {
        "version": 1,
        "group": GROUP,
        "run": run,
        "kind": "incremental",
        "startedAt": stamp(START),
        "finishedAt": stamp(START),
        "previous": None,
        "dependsOn": [run[:16]],
        "wal": {"first": "000000010000000000000001", "last": "000000010000000000000001"},
        "objects": [
            {"key": key, "size": MIB << 20, "sha256": sha256, "kind": "backup", "storedAt": stamp(START)}
            for key, sha256 in sorted(digests.items())
        ],
    }
    host.ask("put", bucket="COPY_PRIMARY", key=f"manifests/{GROUP}/{run}.json", text=sealed(manifest).decode())


def verify(host: Host, time: datetime) -> int:
    """Run the verify Worker once. Return the number of objects that are verified in all stores."""
    host.ask("scheduled", time=time.isoformat(), worker="verify", instruction={"clock": time.isoformat()})
    condition = f"kind = 'backup' AND {copies.OLDEST} NOTNULL"
    statement = f"SELECT COUNT(*) AS verified FROM objects WHERE {condition}"  # noqa: S608 (no input from outside)
    return host.ask("sql", statement=statement, worker="verify")[0]["verified"]


def timed(work: Any) -> float:
    """Call `work` and return its duration in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
