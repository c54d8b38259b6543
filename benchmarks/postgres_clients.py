"""Compare the API Worker's PostgreSQL client with the npm package `postgres`: `python -m benchmarks.postgres_clients`.

Both clients run the database check of the API Worker (a Cloudflare Worker) in workerd, against faulty servers and
against a real PostgreSQL. Prints the size of each client, its time, connections and memory for each faulty server, and
ratios of speed and memory. docs/adr/0029-own-postgresql-client.md is based on these figures.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.postgres import running
from model.worker_modules import WORKERS

CHECKS = 100
OWN = [WORKERS / "api" / name for name in ("postgres.js", "messages.js", "authentication.js")]
LIBRARY = WORKERS / "node_modules" / "postgres" / "cf"


def size(files: list[Path]) -> str:
    """Return lines and bytes of some files, as text."""
    texts = [file.read_text() for file in files]
    return f"{sum(len(text.splitlines()) for text in texts)} lines, {sum(len(text.encode()) for text in texts)} bytes"


def measured(database: str) -> Iterator[dict[str, Any]]:
    """Run postgres_clients.mjs with a database, and yield the figures that it prints. Raises if it fails."""
    command = ["node", str(Path(__file__).with_suffix(".mjs")), database, str(CHECKS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)


def main() -> None:
    """Run the benchmark and print each figure as soon as it is measured."""
    print(f"own: {size(OWN)}; library: {size(sorted(LIBRARY.rglob('*.js')))}")
    speeds: dict[str, list[dict[str, Any]]] = {"own": [], "library": []}
    with running() as pair:
        for figures in measured(pair.leader.url()):
            if "server" in figures:
                cost = "{ms:6.0f} ms {connections:5} connections {mib:4.0f} MiB".format(**figures)
                print(f"{figures['server']:48} {figures['client']:8} {figures['answer']!s:12} {cost}")
            else:
                speeds[figures["client"]].append(figures)
    for name in ("startMs", "firstMs", "p50Ms", "mib"):
        own, library = (statistics.median(one[name] for one in runs) for runs in speeds.values())
        print(f"{name}: own {own:.1f}, library {library:.1f}, ratio {library / own:.2f}")


if __name__ == "__main__":
    main()
