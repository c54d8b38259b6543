"""A copy of the project with its policy packs, which tests change and run as an operator does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from model.drill_reports import reports_in

ROOT = Path(__file__).parents[2]
DRILLED = datetime.combine(max(one.day for one in reports_in(ROOT / "docs/drills").filed), time(12), UTC)
"""Noon of the day of the newest drill: rules about drills pass at this time, whatever today's date is."""
FILES = ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.staging.yaml", "__main__.py", "promises.toml")
FOLDERS = ("model", "components", "machines", "workers", "policies", "console", "sandbox", "docs", "tests")


def next_month() -> date:
    """Return the date in 30 days, a valid expiry of an exemption."""
    return datetime.now(UTC).date() + timedelta(days=30)


def drilled_today(state: bytes) -> bytes:
    """Return an exported state as if all its drills had run today, for tests of programs that use today's date."""
    document = json.loads(state)
    for entry in document["deployment"]["resources"]:
        if entry["type"] == "pulumi:pulumi:Stack":
            for report in entry["outputs"]["drills"]["newest"].values():
                report["date"] = datetime.now(UTC).date().isoformat()
    return json.dumps(document).encode()


@dataclass(frozen=True)
class Project:
    """The copy of the project, and its SANDBOX_HOME."""

    folder: Path
    home: Path

    @classmethod
    def copy(cls, folder: Path) -> Project:
        """Copy the project."""
        project = cls(folder / "project", folder / "home")
        project.folder.mkdir(parents=True)
        for file in FILES:
            shutil.copy2(ROOT / file, project.folder)
        ignored = shutil.ignore_patterns("node_modules", "__pycache__")
        for part in FOLDERS:
            shutil.copytree(ROOT / part, project.folder / part, ignore=ignored)
        return project

    def without_resources(self) -> Project:
        """Replace the program by one without resources, for tests that do not need the platform. Return the project."""
        (self.folder / "__main__.py").write_text('import pulumi\n\npulumi.export("declared", 0)\n')
        return self

    def edit(self, file: str, pattern: str, replacement: str) -> None:
        """Replace a pattern in a file. Fails if the file does not contain it."""
        path = self.folder / file
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        assert count, f"{pattern} is not in {file}"
        path.write_text(text)

    def sandbox(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the sandbox on it."""
        return subprocess.run(
            [sys.executable, "-m", "sandbox", *words, "--cwd", str(self.folder)],
            cwd=ROOT,
            env=os.environ | {"SANDBOX_HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run the sandbox and return its output, parsed as JSON. Fails unless it exits with `code`."""
        done = self.sandbox(*words, "--json")
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout)

    @property
    def made(self) -> int:
        """Return the number of objects in the simulated clouds."""
        file = self.home / "staging" / "clouds.json"
        return len(json.loads(file.read_text())["objects"]) if file.exists() else 0
