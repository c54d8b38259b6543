"""What a view of the status page costs, 90 days of 20 components stored: `python -m benchmarks.status_page [--json]`.

The real Worker in workerd, its database full, each view with its live probe of the API and 14 added components. The
baseline of the same run is a page that is not there, asked the same way. An incident is open, three are recent, and
maintenance is planned. Targets: a median of 25 ms a view, 15 KB, and 4 KB compressed.
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
WARM = 20
TARGET_MS, TARGET_BYTES, TARGET_COMPRESSED = 25, 15 * 1024, 4 * 1024


def fill(status: Status, components: list[str]) -> int:
    """Store a sample of each component for every minute of the days before now, one in some thousands of them down."""
    minutes = DAYS * 24 * 60 - MINUTE % (24 * 60)
    for number, component in enumerate(components):
        status.host.sql(
            f"WITH RECURSIVE m(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM m WHERE i < {minutes}) "  # noqa: S608 (our own)
            f"INSERT OR IGNORE INTO samples SELECT {MINUTE} - i, '{component}', "
            f"iif((i * 7919 + {number * 977}) % 20011 < 3, 'down', 'ok') FROM m"
        )
    return minutes * len(components)


def median_ms(status: Status, path: str) -> float:
    """The median time of a view, in milliseconds, when the Worker is warm."""
    times: list[float] = []
    for _ in range(WARM + VIEWS):
        begun = time.perf_counter()
        status.get(path)
        times.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(times[WARM:])


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="one JSON object on standard output")
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
        print(f"{samples:,} samples stored, {ADDED + 6} components shown, {ADDED + 1} of them asked at each view")
        print(f"a view: {result['viewMs']} ms, median of {VIEWS} (target: at most {TARGET_MS})")
        print(f"a page that is not there: {result['nothingMs']} ms; ratio {result['ratio']}")
        print(f"the page: {result['bytes']:,} bytes (at most {TARGET_BYTES:,}), {result['compressed']:,} compressed "
              f"(at most {TARGET_COMPRESSED:,})")  # fmt: skip


if __name__ == "__main__":
    main()
