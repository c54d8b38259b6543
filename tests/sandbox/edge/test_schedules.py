"""At which minutes the edge calls a Cloudflare Worker."""

import json
import subprocess

import pytest

from sandbox.edge import start
from sandbox.edge.crons import expand


@pytest.mark.parametrize(
    ("cron", "time", "expected"),
    [
        ("*/5 * * * *", "2026-11-29T20:35:00Z", True),
        ("*/5 * * * *", "2026-11-29T20:36:00Z", False),
        ("0 2 * * *", "2026-11-29T02:00:00Z", True),
        ("0 2 * * *", "2026-11-29T03:00:00Z", False),
        ("0 2 * * SUN", "2026-11-29T02:00:00Z", True),
        ("0 2 * * 1", "2026-11-29T02:00:00Z", True),
        ("0 2 * * MON", "2026-11-29T02:00:00Z", False),
        ("0 2 29 * MON", "2026-11-29T02:00:00Z", True),
        ("0 2 28 * MON", "2026-11-29T02:00:00Z", False),
        ("0 2 29 10 *", "2026-11-29T02:00:00Z", False),
    ],
)
def test_a_schedule_fires_in_its_minutes(cron: str, time: str, expected: bool):
    module = start.HOST.with_name("schedules.mjs")
    program = (
        f"const {{ fires }} = await import({json.dumps(module.as_uri())});"
        f"process.stdout.write(String(fires({json.dumps(expand(cron))}, new Date({json.dumps(time)}))))"
    )
    command = [str(start.node()), "--input-type=module", "--eval", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == str(expected).lower()
