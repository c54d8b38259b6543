"""What planning production costs beside loading the SDKs: `python -m benchmarks.preview [--json]`.

Five pairs of previews, the platform and an empty program with the same imports under the same engine, in turns; the
figure is the median of their ratios. The target is at most 1.25.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import empty, platform, preview

TARGET = 1.25


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options.add_argument("--stack", default="prod")
    options.add_argument("--pairs", type=int, default=5)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (whole := Path(folder) / "platform").mkdir()
        (nothing := Path(folder) / "empty").mkdir()
        platform(whole, chosen.stack)
        empty(nothing, chosen.stack)
        preview(whole, chosen.stack)  # the first run reads the SDKs' metadata, which is then kept
        preview(nothing, chosen.stack)
        pairs = [(preview(whole, chosen.stack), preview(nothing, chosen.stack)) for _ in range(chosen.pairs)]
    ratios = [full.seconds / base.seconds for full, base in pairs]
    result = {
        "ratio": round(statistics.median(ratios), 3),
        "target": TARGET,
        "ratios": [round(ratio, 3) for ratio in ratios],
        "seconds": round(statistics.median(full.seconds for full, _ in pairs), 2),
        "emptySeconds": round(statistics.median(base.seconds for _, base in pairs), 2),
        "resources": pairs[0][0].resources,
    }
    if chosen.json:
        print(json.dumps(result))
    else:
        print(f"preview of {chosen.stack}: {result['resources']} resources in {result['seconds']} s")
        print(f"an empty program with the same imports: {result['emptySeconds']} s")
        print(f"ratio, median of {chosen.pairs} pairs: {result['ratio']} (target: at most {TARGET})")


if __name__ == "__main__":
    main()
