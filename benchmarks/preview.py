"""Compare previews of the sandbox's engine and the Pulumi CLI: `python -m benchmarks.preview [--stack S] [--json]`.

Both engines preview the same program with the same simulated clouds, one after the other, in several pairs. `ratio` is
the sandbox's wall time divided by the Pulumi CLI's, as the median of all pairs; the target is at most 0.5. `ownShare`
is the part of the sandbox preview's processor time that its engine and the simulated clouds use; the rest is used by
the program with Pulumi's SDK. Needs the `pulumi` CLI on the PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import create_project
from sandbox.clouds import open_clouds
from sandbox.conformance.sides import Official, Ours, Outcome
from sandbox.official.cli import find

TARGET: Final = 0.5


@dataclass(frozen=True)
class Measured:
    """One preview: wall seconds, number of resources, and processor seconds.

    `own` are the processor seconds of this process: the engine and the simulated clouds. `others` are those of its
    child processes: the program with Pulumi's SDK.
    """

    seconds: float
    own: float
    others: float
    resources: int

    @property
    def share(self) -> float:
        """Return this process's part of the processor time, between 0 and 1."""
        return self.own / (self.own + self.others)


def measured(preview: Callable[[], Outcome]) -> Measured:
    """Run a preview and measure it. Raises `RuntimeError` if it fails."""
    began, before = time.perf_counter(), os.times()
    outcome = preview()
    seconds, after = time.perf_counter() - began, os.times()
    if not outcome.ok:
        raise RuntimeError("the preview failed:\n" + "\n".join(outcome.messages))
    own = after.user + after.system - before.user - before.system
    others = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(seconds, own, others, len(outcome.operations))


def main() -> None:
    """Run the benchmark and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--stack", default="prod")
    options.add_argument("--pairs", type=int, default=5)
    chosen = options.parse_args()
    cli = find()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("SANDBOX_HOME", None)
        (root := Path(folder) / "platform").mkdir()
        create_project(root, chosen.stack)
        ours = Ours(root, chosen.stack, open_clouds)
        ours.preview()  # the first run fills the cache of the SDKs' metadata
        with Official(cli, root, chosen.stack, open_clouds) as official:
            official.preview()
            pairs = [(measured(ours.preview), measured(official.preview)) for _ in range(chosen.pairs)]
    ratios = [mine.seconds / other.seconds for mine, other in pairs]
    result = {
        "ratio": round(statistics.median(ratios), 3),
        "target": TARGET,
        "ratios": [round(ratio, 3) for ratio in ratios],
        "seconds": round(statistics.median(mine.seconds for mine, _ in pairs), 2),
        "pulumiSeconds": round(statistics.median(other.seconds for _, other in pairs), 2),
        "ownShare": round(statistics.median(mine.share for mine, _ in pairs), 3),
        "pulumi": cli.version,
        "resources": pairs[0][0].resources,
    }
    if chosen.json:
        print(json.dumps(result))
        return
    print(f"preview of {chosen.stack}, {result['resources']} resources: {result['seconds']} s")
    print(f"the same with the Pulumi CLI {cli.version}: {result['pulumiSeconds']} s")
    print(f"ratio, median of {chosen.pairs} pairs: {result['ratio']} (target: at most {TARGET})")
    share = f"{result['ownShare']:.0%}"
    print(f"processor time: {share} in the engine and the simulated clouds, the rest in the program and the SDK")


if __name__ == "__main__":
    main()
