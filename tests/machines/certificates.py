"""Certificates for tests, made by the openssl command."""

from __future__ import annotations

import subprocess
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def authority(folder: Path, name: str) -> str:
    """Create a certificate authority in `name`.crt and `name`.key, and return its name."""
    _openssl(
        folder,
        "req",
        "-x509",
        *CURVE,
        "-subj",
        f"/CN={name}",
        "-days",
        "2",
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.crt",
    )
    return name


def issue(folder: Path, signer: str, name: str, *, address: str = "10.0.0.1", days: int = 1) -> dict[str, str]:
    """Return a certificate for an address, in the format of the platform's secrets; expired if `days` is negative."""
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(folder, "req", *CURVE, "-subj", f"/OU={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    signed = ("-CA", f"{signer}.crt", "-CAkey", f"{signer}.key", "-CAcreateserial", "-extfile", extensions.name)
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-days", str(days), "-out", f"{name}.crt")
    parts = {"certificate": f"{name}.crt", "key": f"{name}.key", "authorities": f"{signer}.crt"}
    return {part: (folder / file).read_text() for part, file in parts.items()}


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
