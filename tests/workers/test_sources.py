"""Static checks of the Cloudflare Workers: types, lint, format, SQL patterns, README, uploaded modules."""

import re
import subprocess
from pathlib import Path

import pytest

from harness.workerd import WORKERS, modules

WORKERS_FOLDERS = sorted(
    str(file.parent.relative_to(WORKERS))
    for file in WORKERS.glob("[!n]*/**/index.js")
    if "export default" in file.read_text()
)


@pytest.mark.parametrize(
    "tool", [["tsc"], ["tsc", "-p", "tsconfig.browser.json"], ["biome", "ci", ".", "../sandbox/edge"]]
)
@pytest.mark.usefixtures("host")  # checks that the tools are installed
def test_sources_pass(tool: list[str]) -> None:
    program, *arguments = tool
    command = [str(WORKERS / "node_modules" / ".bin" / program), *arguments]
    run = subprocess.run(command, cwd=WORKERS, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_sql_patterns_have_a_fixed_length() -> None:
    """D1 rejects a pattern of LIKE or GLOB with more than 50 bytes, and with it the whole batch."""
    files = [path for path in WORKERS.glob("[!n]*/**/*") if path.suffix in (".js", ".sql")]
    patterns = [
        (path.name, match.group(1))
        for path in files
        for match in re.finditer(r"\b(?:LIKE|GLOB)\s+(.*)", path.read_text())
    ]
    assert patterns != []
    assert [found for found in patterns if not re.match(r"'[^'$]{1,50}'(?!\s*\|\|)", found[1])] == []


def test_readme_lists_each_worker() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (?:requests|queue|cron)", (WORKERS / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == WORKERS_FOLDERS


def test_every_module_is_uploaded_with_a_worker() -> None:
    uploaded = {module for worker in WORKERS_FOLDERS for module in modules(worker)}
    files = {path.relative_to(WORKERS) for path in WORKERS.glob("[!n]*/**/*") if path.suffix in (".js", ".sql")}
    only_types = {Path("lib/health.js"), Path("status/env.js")}
    assert {str(file) for file in files - only_types} <= uploaded
