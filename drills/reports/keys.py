"""Who may file reports: Ed25519 keys. The public ones are in the repository, a private one stays with its owner."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from console.errors import InputError
from model.drill_reports import SIGNED, SIGNERS, signers

PRIVATE = ".drills-key"


class Signer:
    """A private key, and the name under which the repository knows its public part."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name: str = name
        self._key: Ed25519PrivateKey = key

    @property
    def public(self) -> str:
        """The public key in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, content: bytes) -> str:
        """Return the signature of a report's bytes in base64."""
        return base64.b64encode(self._key.sign(SIGNED + content)).decode()


def signer_of(root: Path, folder: Path) -> Signer:
    """Return the signer whose private key is in the project's folder. Raises `InputError` without one that is known."""
    file = root / PRIVATE
    if not file.exists():
        raise InputError(
            f"{file} does not exist: make a key with `python -m drills key --name NAME`, and commit its line"
        )
    try:
        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(file.read_bytes(), validate=True))
    except ValueError:
        remedy = "remove it, and make one with `python -m drills key --name NAME`"
        raise InputError(f"{file} is not a key in base64; {remedy}") from None
    public = Signer("", key).public
    name = next((name for name, known in signers(folder).items() if known == public), None)
    if name is None:
        raise InputError(
            f'the key in {file} is not in {folder / SIGNERS}; add this line, with your name: "NAME" = "{public}"'
        )
    return Signer(name, key)


def create(root: Path, name: str) -> str:
    """Make a private key in the project's folder, readable by its owner only, and return the line for signers.toml."""
    file = root / PRIVATE
    if file.exists():
        raise InputError(f"{file} exists; use it, or move it away before you make another key")
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give the project's with --cwd")
    key = Ed25519PrivateKey.generate()
    file.touch(mode=0o600)
    file.write_text(base64.b64encode(key.private_bytes_raw()).decode(), encoding="utf-8")
    return f'{json.dumps(name)} = "{Signer(name, key).public}"'
