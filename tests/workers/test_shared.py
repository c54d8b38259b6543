"""Tests of work that requests share: one operation at a time, a result that is reused for a while, and a timeout."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.workerd import WORKERS

NODE = Path(sys.executable).with_name("node")  # the pinned version has the same JavaScript features as Workers
SCRIPT = """
import { shared } from "./lib/shared.js";
let works = 0;
const kept = [];
const context = { waitUntil: (promise) => kept.push(promise) };
const at = (milliseconds) => new Date(milliseconds);
const work = async () => (works += 1);
const never = () => new Promise(() => {});
const fails = async () => { works += 1; throw new Error("failed"); };
const outcome = (promise) => promise.catch((error) => error.message);
console.log(JSON.stringify(await (async () => {
CASE
})()));
"""
CASES: dict[str, tuple[str, Any]] = {
    "concurrent calls share one result, which is reused from the start of the work on": (
        """const share = shared(1_000, 50);
        const first = await Promise.all([share(at(0), context, work), share(at(0), context, work)]);
        const later = await share(at(999), context, work);
        return [first, later, await share(at(1_000), context, work), works];""",
        [[1, 1], 1, 2, 2],
    ),
    "a clock that went back starts new work": (
        """const share = shared(1_000, 50);
        await share(at(5_000), context, work);
        return share(at(4_999), context, work);""",
        2,
    ),
    "with a duration of 0 only running work is shared": (
        """const share = shared(0, 50);
        const both = await Promise.all([share(at(0), context, work), share(at(0), context, work)]);
        return [both, await share(at(0), context, work)];""",
        [[1, 1], 2],
    ),
    "a caller starts its own work after a timeout": (
        """const share = shared(1_000, 50);
        share(at(0), context, never);
        return share(at(1), context, work);""",
        1,
    ),
    "work that does not end is replaced after its timeout": (
        """const share = shared(1_000, 50);
        share(at(0), context, never);
        return [await share(at(50), context, work), await share(at(51), context, work)];""",
        [1, 1],
    ),
    "a failure is returned to the first caller only": (
        """const share = shared(1_000, 50);
        const both = await Promise.all([share(at(0), context, fails), share(at(0), context, work)].map(outcome));
        return [both, await share(at(1), context, work)];""",
        [["failed", 2], 3],
    ),
    "the work continues when its caller disconnects": (
        """const share = shared(1_000, 50);
        await share(at(0), context, work);
        await outcome(share(at(5_000), context, fails));
        return (await Promise.allSettled(kept)).map(({ status }) => status);""",
        ["fulfilled", "fulfilled"],
    ),
}


@pytest.mark.usefixtures("host")  # checks that the tools are installed
@pytest.mark.parametrize("case", CASES)
def test_shared_work(case: str) -> None:
    script, expected = CASES[case]
    command = [str(NODE), "--input-type=module", "--eval", SCRIPT.replace("CASE", script)]
    run = subprocess.run(command, cwd=WORKERS, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == expected
