"""The time that loading an SDK's resources on demand saves: `python -m benchmarks.imports [--json]`.

Pairs of processes load the platform's declarations, with and without the lazy loader of `sandbox/engine/program.py`.
The figure is the median ratio of their processor times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from typing import Final

from benchmarks.measure import PROJECT

EAGER: Final = """
import gc, sys, time
gc.disable()
from sandbox.engine.program import LazySdks
import pulumi
before = time.process_time()
import components.platform
print(time.process_time() - before)
"""
LAZY: Final = EAGER.replace("before =", "sys.meta_path.insert(0, LazySdks())\nbefore =", 1)


def main() -> None:
    """Run the benchmark and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--pairs", type=int, default=5)
    chosen = options.parse_args()
    _seconds(EAGER)  # the first run reads the files from the disk
    runs = [(_seconds(LAZY), _seconds(EAGER)) for _ in range(chosen.pairs)]
    result = {
        "lazy": round(statistics.median(lazy for lazy, _ in runs), 2),
        "eager": round(statistics.median(eager for _, eager in runs), 2),
        "ratio": round(statistics.median(lazy / eager for lazy, eager in runs), 2),
    }
    if chosen.json:
        print(json.dumps(result))
        return
    print(
        f"loading the platform's declarations: {result['lazy']} s of processor time with resources loaded on demand, "
        f"{result['eager']} s with all of them; ratio {result['ratio']}, median of {chosen.pairs} pairs"
    )


def _seconds(code: str) -> float:
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
