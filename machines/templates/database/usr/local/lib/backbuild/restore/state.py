"""The progress of a restore, on the data volume: so it continues after a reboot, and no other one begins meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.copies import RestoreError

UNIT = "backbuild-restore"  # the transient unit that runs a step
IN_PLACE = "in-place"

Json = dict[str, Any]


def root() -> Path:
    """Return the folder of all restores."""
    return Path(os.environ["DATA"]) / "restored"


@dataclass(frozen=True)
class State:
    """One restore. Its name is `in-place`, or that of the cluster beside."""

    name: str

    @property
    def folder(self) -> Path:
        """The restore's folder."""
        return root() / self.name

    @property
    def shut(self) -> Path:
        """While this file exists, Patroni does not start on this member."""
        return self.folder / "shut"

    @property
    def changed(self) -> Path:
        """The file that exists as soon as the restore changes PostgreSQL's data."""
        return self.folder / "changed"

    @property
    def repository(self) -> Path:
        """The folder of the pgBackRest repository with the fetched objects."""
        return self.folder / "repository"

    @property
    def in_place(self) -> bool:
        """Whether the restore replaces the group's data."""
        return self.name == IN_PLACE

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return Path(os.environ["POSTGRES_DATA"]) if self.in_place else self.folder / "data"

    @property
    def plan(self) -> Json:
        """What is restored from where, as `begin` got it."""
        return self._read("plan")

    def results(self) -> Json:
        """Return the result of each step that has ended."""
        return {file.stem.removeprefix("done-"): self._read(file.stem) for file in self.folder.glob("done-*.json")}

    def finish(self, step: str, result: Json) -> None:
        """Keep the result of a step."""
        self._write(f"done-{step}", result)

    def once(self, name: str, made: Callable[[], Json]) -> Json:
        """Return what `made` returned the first time that it was asked for under this name, also after a restart."""
        if not (self.folder / f"{name}.json").exists():
            self._write(name, made())
        return self._read(name)

    def show(self, progress: Json) -> None:
        """Publish the progress of the step that runs."""
        self._write("progress", progress)

    def progress(self) -> Json:
        """Return the progress that the step has published last."""
        return self._read("progress") if (self.folder / "progress.json").exists() else {}

    def fail(self, step: str, reason: str) -> None:
        """Keep why a step has failed."""
        self._write("failed", {"step": step, "reason": reason})

    def failure(self) -> Json | None:
        """Return the step that failed last, and why; None if it was begun again since."""
        return self._read("failed") if (self.folder / "failed.json").exists() else None

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Begin a restore, or continue it with the same plan. Raises `RestoreError` if another one is here."""
        folder = root()
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, "postgres", "postgres")
        for other in folder.iterdir():
            present = State(other.name)
            if (other / "plan.json").exists() and (other.name != self.name or present.plan != plan):
                raise RestoreError(
                    f"{os.environ['MEMBER']} has the restore {other.name} ({describe(present.plan)}); continue it with "
                    f"the same arguments, or remove it: `python -m drills restore --remove {other.name}`"
                )
        self.folder.mkdir(exist_ok=True)
        self._write("plan", plan)
        for file in (self.folder, self.folder / "plan.json"):
            shutil.chown(file, "postgres", "postgres")

    def forget_failure(self) -> None:
        """Forget why a step has failed, before it is begun again."""
        (self.folder / "failed.json").unlink(missing_ok=True)
        (self.folder / "progress.json").unlink(missing_ok=True)

    def _read(self, name: str) -> Json:
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write(self.folder / f"{name}.json", content)


def write(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file as JSON; a reader finds the former content or the new one."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(file)


def describe(plan: Mapping[str, Any]) -> str:
    """Return a plan in words."""
    return f"from {plan['copy']} to {plan['to']}"


def present() -> State | None:
    """Return the restore on this machine."""
    found = sorted(file.parent.name for file in root().glob("*/plan.json"))
    return State(found[0]) if found else None


def running() -> bool:
    """Return whether a step runs."""
    shown = subprocess.run(["systemctl", "is-active", "--quiet", UNIT], check=False)
    return shown.returncode == 0
