"""Work that requests share: once at a time, kept for a while, and never waited for in vain."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.workerd import WORKERS

NODE = Path(sys.executable).with_name("node")  # its version is pinned, and knows what Workers know
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
    "those at once get one result, which is kept from its beginning on": (
        """const share = shared(1_000, 50);
        const first = await Promise.all([share(at(0), context, work), share(at(0), context, work)]);
        const later = await share(at(999), context, work);
        return [first, later, await share(at(1_000), context, work), works];""",
        [[1, 1], 1, 2, 2],
    ),
    "a clock that went back begins anew": (
        """const share = shared(1_000, 50);
        await share(at(5_000), context, work);
        return share(at(4_999), context, work);""",
        2,
    ),
    "nothing is kept, and what runs is shared": (
        """const share = shared(0, 50);
        const both = await Promise.all([share(at(0), context, work), share(at(0), context, work)]);
        return [both, await share(at(0), context, work)];""",
        [[1, 1], 2],
    ),
    "who waited in vain for another's work does its own": (
        """const share = shared(1_000, 50);
        share(at(0), context, never);
        return share(at(1), context, work);""",
        1,
    ),
    "work that does not end is begun anew when its time is over": (
        """const share = shared(1_000, 50);
        share(at(0), context, never);
        return [await share(at(50), context, work), await share(at(51), context, work)];""",
        [1, 1],
    ),
    "a failure is the first one's own, and is not kept for others": (
        """const share = shared(1_000, 50);
        const both = await Promise.all([share(at(0), context, fails), share(at(0), context, work)].map(outcome));
        return [both, await share(at(1), context, work)];""",
        [["failed", 2], 3],
    ),
    "the work goes on when its reader leaves": (
        """const share = shared(1_000, 50);
        await share(at(0), context, work);
        await outcome(share(at(5_000), context, fails));
        return (await Promise.allSettled(kept)).map(({ status }) => status);""",
        ["fulfilled", "fulfilled"],
    ),
}


@pytest.mark.usefixtures("host")  # it makes sure that the tools are there
@pytest.mark.parametrize("case", CASES)
def test_work_is_shared(case: str) -> None:
    script, expected = CASES[case]
    command = [str(NODE), "--input-type=module", "--eval", SCRIPT.replace("CASE", script)]
    run = subprocess.run(command, cwd=WORKERS, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == expected
