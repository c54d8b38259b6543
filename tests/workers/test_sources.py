"""The Workers' sources as such: types, lint, format, and what the README says of them."""

import re
import subprocess

import pytest

from .workerd import WORKERS, modules


@pytest.mark.parametrize("tool", [["tsc"], ["tsc", "-p", "tsconfig.browser.json"], ["biome", "ci"]])
@pytest.mark.usefixtures("host")  # it makes sure that the tools are there
def test_sources_pass(tool: list[str]) -> None:
    program, *arguments = tool
    command = [str(WORKERS / "node_modules" / ".bin" / program), *arguments]
    run = subprocess.run(command, cwd=WORKERS, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_readme_lists_each_workers_modules() -> None:
    readme = (WORKERS / "README.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| (`[^|]+/index\.js`[^|]*) \|$", readme, re.MULTILINE)
    listed = {worker: set(re.findall(r"`([^`]+)`", files)) for worker, files in rows}
    indices = [file for file in WORKERS.glob("[!n]*/**/index.js") if "export default" in file.read_text()]
    workers = {str(file.parent.relative_to(WORKERS)) for file in indices}
    assert listed == {worker: set(modules(worker)) for worker in workers}
