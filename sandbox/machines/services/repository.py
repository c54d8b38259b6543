"""A vendor's signed apt repository: one suite with one package, and the key that signs it."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sandbox.machines.services import packages

ARCHITECTURES = ("amd64", "arm64")
KEY = "cloudflare-main.gpg"


def build(name: str, folder: Path, codename: str = "any", key: str = KEY) -> None:
    """Build the repository of a package in `folder`, unless it exists. `key`: the public key's file name."""
    suite = folder / name / "dists" / codename
    if (suite / "InRelease").exists():
        return
    pool = folder / name / f"pool/{name}.deb"
    packages.build(name, pool)
    listed = _packages(name, pool).encode()
    lists = [f"main/binary-{architecture}/Packages" for architecture in ARCHITECTURES]
    for path in lists:
        (suite / path).parent.mkdir(parents=True, exist_ok=True)
        (suite / path).write_bytes(listed)
    _sign(_release(codename, lists, listed), suite / "InRelease", folder / key)


def _packages(name: str, pool: Path) -> str:
    content = pool.read_bytes()
    file = {"Filename": f"pool/{name}.deb", "Size": str(len(content)), "SHA256": hashlib.sha256(content).hexdigest()}
    return "".join(f"{field}: {value}\n" for field, value in {**packages.control(name), **file}.items())


def _release(codename: str, lists: list[str], content: bytes) -> str:
    """Return the description of the suite, with the hashes of its lists."""
    hashes = "".join(f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}\n" for path in lists)
    fields = {
        "Origin": "sandbox",
        "Suite": codename,
        "Codename": codename,
        "Architectures": " ".join(ARCHITECTURES),
        "Components": "main",
        "Date": f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} UTC",
    }
    return "".join(f"{field}: {value}\n" for field, value in fields.items()) + f"SHA256:\n{hashes}"


def _sign(text: str, signed: Path, key: Path) -> None:
    """Sign a text with a new key, and write the key's public part."""
    with tempfile.TemporaryDirectory() as home:

        def gpg(*arguments: str, stdin: str = "") -> bytes:
            command = [
                "gpg",
                "--homedir",
                home,
                "--batch",
                "--quiet",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ]
            return subprocess.run([*command, *arguments], input=stdin.encode(), capture_output=True, check=True).stdout

        try:
            gpg("--quick-generate-key", "sandbox", "ed25519", "sign", "never")
            key.write_bytes(gpg("--export"))
            signed.write_bytes(gpg("--clearsign", stdin=text))
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
