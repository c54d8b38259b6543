"""Changes of a project: another image for every machine, or a bad API; and `up` with it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from drills.running import cloud

DATABASE = "backbuild:database"
BROKEN = """export default { fetch() { throw new Error("this deployment is bad on purpose"); } };\n"""


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
    settings = f"Pulumi.{stack}.yaml"
    _link(root, folder, but={settings})
    (folder / settings).write_text(with_other_image((root / settings).read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def broken_project(root: Path, folder: Path) -> Path:
    """Make a project as `other_project` does, whose API answers no request, and return its folder."""
    _link(root, folder, but={"model", "workers"})  # the program takes the Workers from beside its model
    for one in ("model", "workers"):
        shutil.copytree(root / one, folder / one, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    (folder / "workers/api/index.js").write_text(BROKEN, encoding="utf-8")
    return folder


def _link(root: Path, folder: Path, but: Collection[str]) -> None:
    folder.mkdir()
    for one in root.iterdir():
        if one.name not in but:
            (folder / one.name).symlink_to(one)


def begin(root: Path, project: Path, stack: str, log: Path) -> subprocess.Popen[bytes]:
    """Begin `up` of a project, with the sandbox of the project in `root`."""
    return cloud.begin(root, [*cloud.up(stack), "--cwd", str(project)], log)
