"""A routine change of every machine: the project with another image, and `up` with it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from drills.running import cloud

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
    return cloud.begin(root, [*cloud.up(stack), "--cwd", str(project)], log)
