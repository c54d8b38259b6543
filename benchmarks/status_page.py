"""Time and size of the status page with 90 days of 20 components: `python -m benchmarks.status_page [--json]`.

Runs the status Worker (a Cloudflare Worker) in workerd with a full database. Each view probes the API and 14 added
components. The baseline is a page that does not exist (404) in the same run. One incident is open, three are recent,
and maintenance is planned. Targets: a median of 25 ms for each view, 15 KB, and 4.25 KB compressed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import time

from harness.status import MINUTE, Status
from harness.status_rows import announcements
from harness.status_world import COMPONENTS, World, start_status
from harness.workerd import Host

ADDED = 14
DAYS = 90
VIEWS = 100
WARM_UP = 20
TARGET_MS, TARGET_BYTES, TARGET_COMPRESSED = 25, 15 * 1024, 4352  # 4.25 KiB


def fill(status: Status, components: list[str]) -> int:
    """Store a sample of each component for every minute of the last 90 days, a few of them down. Return the number."""
    minutes = DAYS * 24 * 60 - MINUTE % (24 * 60)
    for number, component in enumerate(components):
        status.host.sql(
            f"WITH RECURSIVE m(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM m WHERE i < {minutes}) "  # noqa: S608
            f"INSERT OR IGNORE INTO samples SELECT {MINUTE} - i, '{component}', "
            f"iif((i * 7919 + {number * 977}) % 20011 < 3, 'down', 'ok') FROM m"
        )
    return minutes * len(components)


def median_ms(status: Status, path: str) -> float:
    """Return the median time of a view in milliseconds, after `WARM_UP` views."""
    times: list[float] = []
    for _ in range(WARM_UP + VIEWS):
        began = time.perf_counter()
        status.get(path)
        times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(times[WARM_UP:])


def main() -> None:
    """Run the benchmark and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = options.parse_args()
    added = [{"id": f"c{n}", "name": f"Component {n}", "url": f"http://c{n}.example/"} for n in range(ADDED)]
    world = World(components={f"c{n}.example": 200 for n in range(ADDED)})
    host = Host()
    with world.serving() as address:
        start_status(host, address, COMPONENTS=added)
        status = Status(host, world)
        status.cron(0)
        samples = fill(status, ["platform", "api", *COMPONENTS, *(component["id"] for component in added)])
        announcements(status)
        page = status.get("/")["body"].encode()
        view, nothing = median_ms(status, "/"), median_ms(status, "/nothing")
    host.close()
    result = {
        "samples": samples,
        "viewMs": round(view, 1),
        "nothingMs": round(nothing, 1),
        "ratio": round(view / nothing, 1),
        "bytes": len(page),
        "compressed": len(gzip.compress(page)),
    }
    if chosen.json:
        print(json.dumps(result))
    else:
        print(f"{samples:,} samples stored, {ADDED + 6} components shown, {ADDED + 1} of them probed in each view")
        print(f"a view: {result['viewMs']} ms, median of {VIEWS} (target: at most {TARGET_MS})")
        print(f"a page that does not exist: {result['nothingMs']} ms; ratio {result['ratio']}")
        print(f"the page: {result['bytes']:,} bytes (at most {TARGET_BYTES:,}), {result['compressed']:,} compressed "
              f"(at most {TARGET_COMPRESSED:,})")  # fmt: skip


if __name__ == "__main__":
    main()
