"""What sandbox/edge/miniflare.mjs mends."""

import json
import subprocess

from sandbox.edge import start
from tests.sandbox.edge.edges import LIMIT_SECONDS

MINIFLARE = json.dumps(start.HOST.with_name("miniflare.mjs").as_uri())
LATE_NOTIFICATIONS = """
const cell = new Int32Array(new SharedArrayBuffer(4));
const late = `const { workerData: cell } = require("node:worker_threads");
  for (let woken = 0; woken < 3; ) woken += Atomics.notify(cell, 0);
  Atomics.store(cell, 0, 1);
  Atomics.notify(cell, 0);`;
new (await import("node:worker_threads")).Worker(late, { eval: true, execArgv: [], workerData: cell });
console.log(Atomics.wait(cell, 0, 0), Atomics.load(cell, 0));
console.log(Atomics.wait(cell, 0, 0), Atomics.wait(cell, 0, 1, 1));
process.exit();
"""


def run(program: str) -> list[str]:
    """Run a program beside the mended miniflare, and return the lines that it prints."""
    command = [str(start.node()), "--input-type=module", "--eval", f"await import({MINIFLARE});{program}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_SECONDS)
    return done.stdout.splitlines()


def test_the_notification_of_an_earlier_call_does_not_end_the_wait_of_the_next_one():
    # The worker thread wakes the waiting thread three times before the value changes.
    first, later = run(LATE_NOTIFICATIONS)
    assert first in ("ok 1", "not-equal 1")
    assert later == "not-equal timed-out"
