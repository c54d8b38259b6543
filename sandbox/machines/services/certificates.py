"""A certificate authority for each live stack, and the certificate of all services that the stand-ins play."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=3650)  # longer than any stack stays live
CLOUDFLARED = "pkg.cloudflare.com"
R2 = "r2.cloudflarestorage.com"
JURISDICTIONS = ("eu", "us", "fedramp")


def names() -> list[str]:
    """Return the names of the services' certificate: a wildcard covers one label."""
    session: Any = botocore.session.get_session()
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition)
    ]
    amazon = [f"{part}.{region}.amazonaws.com" for region in regions for part in ("*", "*.s3")]
    return [*amazon, CLOUDFLARED, f"*.{R2}", *(f"*.{jurisdiction}.{R2}" for jurisdiction in JURISDICTIONS)]


def ensure(folder: Path) -> str:
    """Return the authority's certificate. If there is none, make it, and `front.pem`, what HAProxy shows."""
    authority, front = folder / "ca.crt", folder / "front.pem"
    if not authority.exists():
        key, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox: stand-ins for the clouds")])
        shown = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox: services")])
        ca = _builder(name, name, key, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = _builder(shown, name, leaf, key).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in names()]), critical=False
        )
        private = leaf.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        front.touch(mode=0o600)
        front.write_bytes(_signed(certificate, key) + private)
        authority.write_bytes(_signed(ca, key))  # last: it shows that both are complete
    return authority.read_text(encoding="utf-8")


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """Begin a certificate with the extensions that strict clients, such as Python 3.13, require."""
    now = datetime.now(UTC)
    public = signer.public_key()
    usage = {
        name: name == ("key_cert_sign" if key is signer else "digital_signature")
        for name in (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        )
    }
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(x509.KeyUsage(**usage), critical=True)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
