"""A routine change of every machine: the project with another image, and `up` with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

DATABASE = "backbuild:database"


def with_other_image(text: str) -> str:
    """Return a stack's settings with another image. The sandbox boots the same system from any image."""
    document: Any = yaml.safe_load(text)
    settings = document["config"][DATABASE]
    last = settings["image"][-1]
    settings["image"] = settings["image"][:-1] + ("0" if last != "0" else "1")
    return yaml.safe_dump(document)


def other_project(root: Path, stack: str, folder: Path) -> Path:
    """Make a project of links to the project in `root`, whose stack has another image, and return its folder.

    The sandbox's files are among the links, so both projects have the same stack.
    """
    folder.mkdir()
    settings = f"Pulumi.{stack}.yaml"
    for one in root.iterdir():
        if one.name != settings:
            (folder / one.name).symlink_to(one)
    (folder / settings).write_text(with_other_image((root / settings).read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def begin(root: Path, project: Path, stack: str, log: Path) -> subprocess.Popen[bytes]:
    """Begin `up` of a project, with the sandbox of the project in `root`."""
    options = ("--live", "--skip-preview", "--skip-policies")
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox", "up", "--stack", stack, "--cwd", str(project), *options],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
