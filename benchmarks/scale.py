"""The time and memory that each further resource adds to a preview: `python -m benchmarks.scale [--json]`.

Previews production with 2, 8, 16, 32 and 64 Citus worker groups in one run. The targets are at most 5 ms for each added
resource, independent of the size, and memory that grows at most linearly.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path

from benchmarks.measure import Run, create_project, preview

GROUPS = (2, 8, 16, 32, 64)
TARGET_MS = 5


def main() -> None:
    """Run the benchmark and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--repeat", type=int, default=3)
    chosen = options.parse_args()
    # From small to large, because the operating system reports the peak of all runs so far.
    runs = {groups: _measure(groups, chosen.repeat) for groups in GROUPS}
    steps = [
        {
            "from": fewer,
            "to": more,
            "addedResources": runs[more].resources - runs[fewer].resources,
            "msPerAddedResource": round(_per_added(runs[fewer], runs[more], "seconds") * 1000, 2),
            "kibPerAddedResource": round(_per_added(runs[fewer], runs[more], "peak_mib") * 1024, 1),
        }
        for fewer, more in pairwise(GROUPS)
    ]
    overall = round(_per_added(runs[GROUPS[0]], runs[GROUPS[-1]], "seconds") * 1000, 2)
    result = {"msPerAddedResource": overall, "target": TARGET_MS, "steps": steps}
    if chosen.json:
        print(json.dumps(result))
        return
    for step in steps:
        print(
            f"{step['from']:>3} to {step['to']:>2} Citus worker groups: {step['addedResources']:>4} more resources, "
            f"{step['msPerAddedResource']:.2f} ms and {step['kibPerAddedResource']:.1f} KiB each"
        )
    print(f"from {GROUPS[0]} to {GROUPS[-1]}: {overall} ms for each added resource (target: at most {TARGET_MS})")


def _measure(groups: int, repeat: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        project = create_project(Path(folder), "prod", worker_groups=groups)
        runs = [preview(project, "prod") for _ in range(repeat)]
    return Run(statistics.median(run.seconds for run in runs), runs[-1].peak_mib, runs[0].resources)


def _per_added(fewer: Run, more: Run, figure: str) -> float:
    return (getattr(more, figure) - getattr(fewer, figure)) / (more.resources - fewer.resources)


if __name__ == "__main__":
    main()
