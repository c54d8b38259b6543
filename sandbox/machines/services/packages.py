"""Stand-ins for vendors' programs, as Debian packages: machines fetch and install them as they would the real ones."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).with_name("packages.d")


def build(name: str, target: Path) -> None:
    """Build the package whose files are in `packages.d/NAME`, unless it exists. Programs are in its `usr/bin`."""
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        root, built = Path(folder) / "root", Path(folder) / "built.deb"
        for file in sorted(path for path in (HERE / name).rglob("*") if path.is_file()):
            copy = root / file.relative_to(HERE / name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o755 if copy.parent.name == "bin" else 0o644)
        (root / "DEBIAN").mkdir()
        fields = "".join(f"{field}: {value}\n" for field, value in control(name).items())
        (root / "DEBIAN/control").write_text(fields, encoding="utf-8")
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, built], check=True, capture_output=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(built.read_bytes())


def control(name: str) -> Mapping[str, str]:
    """Return the control fields of a package. It runs on every architecture."""
    return {
        "Package": name,
        "Version": "0-sandbox",
        "Architecture": "all",
        "Maintainer": "the sandbox",
        "Description": f"stand-in for {name}",
    }
