"""Serve the status page on this machine: `make page`.

Runs the status Worker (a Cloudflare Worker) in workerd with 90 days of samples, and calls its cron every minute. Enter
a word to change the API's health report: `down` (database), `degraded` (replication), `silent` (no report) or `well`.
"""

from __future__ import annotations

import json
import select
import sys
import time
from datetime import UTC, datetime, timedelta

from harness.status_world import COMPONENTS, World, report, start_status
from harness.workerd import Host

PORT = 8787
DAYS = 90


def fill(host: Host, now: datetime) -> None:
    """Store 90 days of samples with few failures, a resolved incident, and planned maintenance."""
    minute, minutes = int(now.timestamp()) // 60, DAYS * 24 * 60
    for number, component in enumerate(("platform", "api", *COMPONENTS)):
        bad = "'degraded'" if component == "replication" else "'down'"
        host.sql(
            f"WITH RECURSIVE m(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM m WHERE i < {minutes}) "
            f"INSERT OR IGNORE INTO samples SELECT {minute} - i, '{component}', "
            f"iif(i / 9 % 9973 = {1500 + number * 700}, {bad}, 'ok') FROM m"
        )
    began = int((now - timedelta(days=5)).timestamp() * 1_000)
    host.sql(
        f"INSERT INTO incidents VALUES ('past', 'Edge is not available', 3, 'resolved', '[\"edge\"]', 1, {began}, "
        f"{began + 900_000}, {began + 900_000})"
    )
    words = [("investigating", 120_000, "We are looking into it."), ("resolved", 900_000, "Our checks pass again.")]
    for status, later, body in words:
        host.sql(
            f"INSERT INTO updates VALUES ('past-{status}', 'incident.updated', 'past', '{status}', 3, '[\"edge\"]', "
            f"'{body}', {began + later})"
        )
    start = minute + 3 * 24 * 60
    host.sql(
        f"INSERT INTO maintenances VALUES ('next', 'Storage controllers are replaced', 'scheduled', "
        f"'[\"objectStorage\"]', 0, {minute * 60_000}, {start}, {start + 120}, {minute * 60_000})"
    )


def change(world: World, word: str) -> None:
    """Change the API's health report. An unknown word means `well`."""
    states = {"down": (503, report(database="down")), "degraded": (200, report(replication="degraded"))}
    world.status, world.body = states.get(word, (200, None if word == "silent" else report()))


def main() -> None:
    """Serve the page until Ctrl-C."""
    world, host = World(), Host()
    with world.serving() as address:
        start_status(host, address, port=PORT, STATUS_URL=f"http://127.0.0.1:{PORT}")
        host.scheduled(datetime.now(UTC).isoformat())
        fill(host, datetime.now(UTC))
        print(f"http://127.0.0.1:{PORT}/ \N{EN DASH} enter down, degraded, silent or well; Ctrl-C ends", flush=True)
        inputs = [sys.stdin]
        try:
            while True:
                minute = time.time() // 60
                while time.time() // 60 == minute:
                    if select.select(inputs, [], [], 1)[0]:
                        line = sys.stdin.readline()
                        if line:
                            change(world, line.strip())
                        else:
                            inputs.clear()  # at end of file, select would return at once for ever
                host.scheduled(datetime.now(UTC).isoformat())
                print(json.dumps(host.sql("SELECT id, status FROM incidents WHERE id <> 'past'")), flush=True)
        except KeyboardInterrupt:
            host.close()


if __name__ == "__main__":
    main()
