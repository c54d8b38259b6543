"""The time that the policy packs add to a preview: `python -m benchmarks.policies [--json]`.

Previews production in pairs, with and without its policy packs, and reports the median difference and ratio. The
targets are at most 1 s for the committed settings, and at most 4 s with 64 Citus worker groups.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import PROJECT, create_project, preview

TARGETS = {None: 1.0, 64: 4.0}  # seconds, by Citus worker groups (None: the committed settings)


def main() -> None:
    """Run the benchmark and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--pairs", type=int, default=5)
    chosen = options.parse_args()
    results = [_measure(groups, target, chosen.pairs) for groups, target in TARGETS.items()]
    if chosen.json:
        print(json.dumps(results))
        return
    for one in results:
        print(
            f"{one['resources']} resources: {one['seconds']} s with the packs, {one['without']} s without; "
            f"{one['added']} s more, {one['ratio']} times, median of {chosen.pairs} pairs "
            f"(target: at most {one['target']} s)"
        )


def _measure(groups: int | None, target: float, pairs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        project = create_project(Path(folder), "prod", worker_groups=groups)
        for shared in ("console", "promises.toml"):
            (project / shared).symlink_to(PROJECT / shared)
        shutil.copytree(PROJECT / "policies", project / "policies", ignore=shutil.ignore_patterns("__pycache__"))
        _accept_other_settings(project)
        preview(project, "prod")  # the first run fills the cache of the SDKs' metadata
        runs = [(preview(project, "prod"), preview(project, "prod", "--skip-policies")) for _ in range(pairs)]
    return {
        "workerGroups": groups,
        "resources": runs[0][0].resources,
        "added": round(statistics.median(judged.seconds - bare.seconds for judged, bare in runs), 2),
        "ratio": round(statistics.median(judged.seconds / bare.seconds for judged, bare in runs), 2),
        "target": target,
        "seconds": round(statistics.median(judged.seconds for judged, _ in runs), 2),
        "without": round(statistics.median(bare.seconds for _, bare in runs), 2),
    }


def _accept_other_settings(project: Path) -> None:
    """Make the rules advisory that fail because nobody reviewed the contents with these settings."""
    file = project / "policies" / "redundancy" / "prod.json"
    levels = json.loads(file.read_text(encoding="utf-8"))
    unreviewed = dict.fromkeys(("content-is-reviewed", "reviewed-content-is-there"), "advisory")
    file.write_text(json.dumps(levels | unreviewed), encoding="utf-8")


if __name__ == "__main__":
    main()
