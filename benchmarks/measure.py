"""Running the sandbox's engine on a program, and reading its clock and its memory.

This kind of machine is shared and noisy, so nothing here reports a time by itself: benchmarks compare runs of the same
minute and report ratios.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Run:
    """One preview: wall seconds, the largest process's peak memory in MiB, and the number of resources planned."""

    seconds: float
    peak_mib: float
    resources: int


def preview(project: Path, stack: str, *options: str) -> Run:
    """Preview a project in the sandbox, in a home of its own, and measure it. Raises when the preview fails."""
    with tempfile.TemporaryDirectory() as home:
        command = [
            sys.executable,
            "-m",
            "sandbox",
            "preview",
            "--stack",
            stack,
            "--json",
            "--cwd",
            str(project),
            *options,
        ]
        environment = {**os.environ, "SANDBOX_HOME": home, "PYTHONPATH": str(PROJECT)}
        begun = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            answer, complaint = process.communicate()
        seconds = time.perf_counter() - begun
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{complaint.decode()}")
    summary = cast("dict[str, int]", cast("dict[str, Any]", json.loads(answer))["summary"])
    # Linux counts in KiB, and over all children that have ended so far: the largest of them.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Run(seconds=seconds, peak_mib=peak, resources=sum(summary.values()))


def platform(folder: Path, stack: str, worker_groups: int | None = None) -> Path:
    """The platform's project in `folder`, its stack changed to so many worker groups."""
    for shared in ("__main__.py", "model", "components", "machines", "workers", "Pulumi.yaml"):
        (folder / shared).symlink_to(PROJECT / shared)
    configuration = cast("dict[str, Any]", yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text()))
    if worker_groups is not None:
        configuration["config"]["backbuild:database"]["workers"]["groups"] = worker_groups
    (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(configuration))
    return folder
