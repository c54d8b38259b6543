"""Run a preview in the sandbox, and measure its time and memory.

On a shared machine an absolute time depends on the load, so benchmarks compare runs that follow each other, and report
ratios.
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
    """Preview a project with a new SANDBOX_HOME, and measure it. Raises `RuntimeError` if the preview fails."""
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
        began = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            output, errors = process.communicate()
        seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{errors.decode()}")
    summary = cast("dict[str, int]", cast("dict[str, Any]", json.loads(output))["summary"])
    # Linux reports KiB: the maximum over all child processes that have ended so far.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Run(seconds=seconds, peak_mib=peak, resources=sum(summary.values()))


def create_project(folder: Path, stack: str, worker_groups: int | None = None) -> Path:
    """Create the platform's project in `folder`, optionally with another number of Citus worker groups. Return it."""
    for shared in ("__main__.py", "model", "components", "machines", "workers", "Pulumi.yaml"):
        (folder / shared).symlink_to(PROJECT / shared)
    configuration = cast("dict[str, Any]", yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text()))
    if worker_groups is not None:
        configuration["config"]["backbuild:database"]["workers"]["groups"] = worker_groups
    (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(configuration))
    return folder
