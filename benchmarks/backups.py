"""How fast backups come to their copies, and in how much memory: `python -m benchmarks.backups [--gib 5] [--json]`.

The real Workers in workerd, before its own R2 and an S3 that keeps bytes in files. First one object of 512 MiB: the
baseline of the same run is a plain copy of it from bucket to bucket, without any proof. Then a run of so many GiB in
objects of that size: written, brought to both copies, and every byte of all three stores proven. Targets: 60 MiB/s a
stream, 128 MiB of memory beside what workerd has anyway, and five minutes from the last byte written to all proven.
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
from components.keys import public_key
from harness import copies
from harness.backup_manifests import PASSWORD, sealed
from harness.backup_world import GROUP, ROTATION, START, stamp
from harness.workerd import Host

MIB = 512
TARGET_MIB_S, TARGET_MEMORY_MIB, TARGET_SECONDS = 60, 128, 300


@dataclass(frozen=True)
class Result:
    """MiB a second: of a plain copy, of bringing an object to replica and S3 at once, and of proving each copy."""

    plain_mib_s: float
    replicate_mib_s: float
    verify_mib_s: float
    peak_mib: float
    gib: int
    seconds: float


class Process:
    """The process that the Workers run in, and its memory."""

    def __init__(self, host: Host) -> None:
        children = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split()
        (self.pid,) = (child for child in children if "workerd" in Path(f"/proc/{child}/comm").read_text())
        self.reset()

    def reset(self) -> None:
        """Forget the peak."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self.before = self._mib("VmRSS")

    def grown(self) -> float:
        """MiB at the peak, beyond what it had."""
        return self._mib("VmHWM") - self.before

    def _mib(self, name: str) -> float:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gib", type=int, default=5, help="of the run that is brought and proven (default: 5)")
    options.add_argument("--json", action="store_true", help="one JSON object on standard output")
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
    ratio = result.replicate_mib_s / result.plain_mib_s
    print(f"plain copy, bucket to bucket     {result.plain_mib_s:7.0f} MiB/s")
    rate = f"{result.replicate_mib_s:7.0f} MiB/s       (target {TARGET_MIB_S}); {ratio:.2f} x"
    print(f"to the replica and to S3, each   {rate}")
    print(f"proving all three copies, each   {result.verify_mib_s:7.0f} MiB/s")
    print(f"{result.gib} GiB brought and proven        {result.seconds:7.0f} s           (target {TARGET_SECONDS})")
    print(f"memory, beyond what there was    {result.peak_mib:7.0f} MiB         (target {TARGET_MEMORY_MIB})")


def measure(host: Host, sink: Sink, gib: int) -> Result:
    """One object for the rates, then a run for the whole way."""
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
    brought = timed(lambda: deliver(host, first))
    clock = START
    run = f"{clock:%Y%m%d-%H%M%S}F_{clock + timedelta(hours=1):%Y%m%d-%H%M%S}I"
    keys = [f"hourly/backup/{GROUP}/{run}/bundle/{number}" for number in range(gib * 1024 // MIB)]
    digests = {key: fill(host, key) for key in keys}
    process.reset()
    begun = time.perf_counter()
    for key in keys:
        deliver(host, key)
    peak = process.grown()
    write_manifest(host, run, digests)
    process.reset()
    proving = time.perf_counter()
    for minutes in range(6, 600, 6):
        if prove(host, START + timedelta(minutes=minutes)) == len(keys):
            break
    ended = time.perf_counter()
    return Result(
        plain_mib_s=MIB / plain,
        replicate_mib_s=MIB / brought,
        # The three copies of an object are read at once.
        verify_mib_s=MIB * len(keys) / (ended - proving),
        peak_mib=max(peak, process.grown()),
        gib=gib,
        seconds=ended - begun,
    )


def bulk(host: Host, operation: str, **parameters: Any) -> Any:
    """What the harness does in the Worker's own process."""
    return host.bulk(operation, "COPY_PRIMARY", worker="replicate", **parameters)


def fill(host: Host, key: str) -> str:
    """Write an object; returns its SHA-256."""
    return bulk(host, "fill", key=key, mib=MIB)


def deliver(host: Host, key: str) -> None:
    """Bring an object's event."""
    message = {"action": "PutObject", "object": {"key": key}}
    result = host.ask("queue", messages=[message], worker="replicate")
    assert result["explicitAcks"] == ["0"], result


def write_manifest(host: Host, run: str, digests: dict[str, str]) -> None:
    """Sign for the objects, as the machine does."""
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


def prove(host: Host, time: datetime) -> int:
    """Let verify's schedule come; returns how many objects are proven in all stores."""
    host.ask("scheduled", time=time.isoformat(), worker="verify", instruction={"clock": time.isoformat()})
    good = f"kind = 'backup' AND {copies.OLDEST} NOTNULL"
    proven = f"SELECT COUNT(*) AS proven FROM objects WHERE {good}"  # noqa: S608 (our own)
    return host.ask("sql", statement=proven, worker="verify")[0]["proven"]


def timed(work: Any) -> float:
    """Seconds that it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
