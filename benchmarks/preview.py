"""Planning a stack beside the Pulumi CLI: `python -m benchmarks.preview [--stack S] [--pairs N] [--json]`.

Both engines preview the same program on the same simulated clouds, in turns. The figure is the median of their ratios
in wall time, at most 0.5. The engine's own share is its processor time, that of the simulated clouds included, in the
processor time of the whole preview; the program with the SDK has the rest. Needs a `pulumi` on the PATH.
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

from benchmarks.measure import platform
from sandbox.clouds import open_clouds
from sandbox.conformance.sides import Official, Ours, Outcome
from sandbox.official.cli import find

TARGET: Final = 0.5


@dataclass(frozen=True)
class Measured:
    """One preview: wall seconds, processor seconds of this process and of the processes it started, and its size."""

    seconds: float
    own: float
    others: float
    resources: int

    @property
    def share(self) -> float:
        """The part of this process in the processor time."""
        return self.own / (self.own + self.others)


def measured(preview: Callable[[], Outcome]) -> Measured:
    """Run a preview and measure it. Raises when it fails."""
    begun, before = time.perf_counter(), os.times()
    outcome = preview()
    seconds, after = time.perf_counter() - begun, os.times()
    if not outcome.ok:
        raise RuntimeError("the preview failed:\n" + "\n".join(outcome.messages))
    own = after.user + after.system - before.user - before.system
    others = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(seconds, own, others, len(outcome.operations))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options.add_argument("--stack", default="prod")
    options.add_argument("--pairs", type=int, default=5)
    chosen = options.parse_args()
    cli = find()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("SANDBOX_HOME", None)
        (root := Path(folder) / "platform").mkdir()
        platform(root, chosen.stack)
        ours = Ours(root, chosen.stack, open_clouds)
        ours.preview()  # the first run reads the SDKs' metadata, which is then kept
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
    print(f"the same under the Pulumi CLI {cli.version}: {result['pulumiSeconds']} s")
    print(f"ratio, median of {chosen.pairs} pairs: {result['ratio']} (target: at most {TARGET})")
    share = f"{result['ownShare']:.0%}"
    print(f"processor time: {share} in the engine and its clouds, the rest in the program and the SDK")


if __name__ == "__main__":
    main()
