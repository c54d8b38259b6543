"""The TLS provider: real keys, requests and certificates, and their renewal as time passes."""

from __future__ import annotations

import base64
import ipaddress
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import MD5, SHA256
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    ssh_key_fingerprint,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from sandbox.clouds import open_clouds
from sandbox.clouds.cloud import Cloud
from sandbox.engine.operations import up
from sandbox.engine.plan import PropertyChange
from sandbox.engine.watch import SilentWatcher
from sandbox.provider import Change, ProviderError
from sandbox.values import UNKNOWN, Properties, Secret, reveal
from tests.sandbox.clouds.conftest import urn

KEY = "tls:index/privateKey:PrivateKey"
REQUEST = "tls:index/certRequest:CertRequest"
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"
SIGNED = "tls:index/locallySignedCert:LocallySignedCert"
GET_KEY = "tls:index/getPublicKey:getPublicKey"
GET_CERTIFICATE = "tls:index/getCertificate:getCertificate"

Kind = TypeVar("Kind", bound=x509.ExtensionType)

START = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
DAY = timedelta(days=1)
SERVER: dict[str, Any] = {"validityPeriodHours": 240, "allowedUses": ["digital_signature", "server_auth"]}
AUTHORITY: dict[str, Any] = {
    "subject": {"commonName": "authority", "organization": "Example"},
    "isCaCertificate": True,
    "validityPeriodHours": 24 * 365,
    "allowedUses": ["cert_signing", "crl_signing"],
}


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tls(store: Path, cache: Path, clock: Clock) -> Iterator[Cloud]:
    with open_clouds(store, cache=cache, clock=clock) as clouds:
        yield clouds.provider("tls").configure({})


def checked(tls: Cloud, type: str, inputs: Properties) -> Properties:
    answer = tls.check(urn(type, "it"), type, None, inputs, b"seed")
    assert answer.failures == ()
    return reveal(answer.inputs)


def make(tls: Cloud, type: str, /, *, preview: bool = False, **inputs: Any) -> tuple[str, Properties]:
    id, outputs = tls.create(urn(type, "it"), type, checked(tls, type, inputs), preview)
    return id, reveal(outputs)


def text(outputs: Properties, name: str) -> str:
    value = outputs[name]
    assert isinstance(value, str)
    return value


def new_key(tls: Cloud, **inputs: Any) -> str:
    _, outputs = make(tls, KEY, preview=False, **(inputs or {"algorithm": "ECDSA", "ecdsaCurve": "P256"}))
    return text(outputs, "privateKeyPem")


@dataclass(frozen=True)
class Chain:
    """A certificate authority, and the inputs that make it sign a request for `db.example.com`."""

    key: str
    authority: str
    leaf_key: str
    request: str

    def inputs(self, **others: Any) -> dict[str, Any]:
        return {
            "caPrivateKeyPem": self.key, "caCertPem": self.authority, "certRequestPem": self.request, **SERVER, **others
        }  # fmt: skip


@pytest.fixture
def chain(tls: Cloud) -> Chain:
    key, leaf_key = new_key(tls), new_key(tls)
    _, authority = make(tls, SELF_SIGNED, privateKeyPem=key, **AUTHORITY)
    _, request = make(
        tls,
        REQUEST,
        privateKeyPem=leaf_key,
        subject={"commonName": "db", "emailAddress": "db@example.com"},
        dnsNames=["db.example.com", "*.db.example.com"],
        ipAddresses=["10.0.0.4", "2001:db8::4"],
        uris=["spiffe://example.com/db"],
    )
    return Chain(key, text(authority, "certPem"), leaf_key, text(request, "certRequestPem"))


def load(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def extension(certificate: x509.Certificate, kind: type[Kind]) -> x509.Extension[Kind]:
    return certificate.extensions.get_extension_for_class(kind)


@pytest.mark.parametrize(
    ("inputs", "traditional", "ssh"),
    [
        ({"algorithm": "ECDSA"}, "EC PRIVATE KEY", ""),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P256"}, "EC PRIVATE KEY", "ecdsa-sha2-nistp256"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P384"}, "EC PRIVATE KEY", "ecdsa-sha2-nistp384"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P521"}, "EC PRIVATE KEY", "ecdsa-sha2-nistp521"),
        ({"algorithm": "RSA", "rsaBits": 1024}, "RSA PRIVATE KEY", "ssh-rsa"),
        ({"algorithm": "ED25519"}, "PRIVATE KEY", "ssh-ed25519"),
    ],
)
def test_a_key_is_the_same_in_every_format(tls: Cloud, inputs: dict[str, Any], traditional: str, ssh: str) -> None:
    id, outputs = make(tls, KEY, **inputs)
    assert len(id) == 40
    pem = text(outputs, "privateKeyPem")
    assert pem.startswith(f"-----BEGIN {traditional}-----\n")
    assert pem.endswith("-----\n")
    assert text(outputs, "privateKeyPemPkcs8").startswith("-----BEGIN PRIVATE KEY-----\n")
    public: Any = load_pem_public_key(text(outputs, "publicKeyPem").encode())
    private = [
        load_pem_private_key(text(outputs, name).encode(), None) for name in ("privateKeyPem", "privateKeyPemPkcs8")
    ]
    if ssh:
        private.append(load_ssh_private_key(text(outputs, "privateKeyOpenssh").encode(), None))
        assert text(outputs, "publicKeyOpenssh").startswith(f"{ssh} ")
        assert text(outputs, "publicKeyOpenssh").endswith("\n")
    else:
        ssh_outputs = ("privateKeyOpenssh", "publicKeyOpenssh", "publicKeyFingerprintMd5", "publicKeyFingerprintSha256")
        assert [outputs[name] for name in ssh_outputs] == [""] * 4
    assert all(key.public_key() == public for key in private)
    assert (outputs["rsaBits"], outputs["ecdsaCurve"]) == (
        inputs.get("rsaBits", 2048), inputs.get("ecdsaCurve", "P224")
    )  # fmt: skip


@pytest.mark.parametrize("inputs", [{"algorithm": "ED25519"}, {"algorithm": "ECDSA", "ecdsaCurve": "P384"}])
def test_fingerprints_are_those_of_openssh(tls: Cloud, inputs: dict[str, Any]) -> None:
    _, outputs = make(tls, KEY, **inputs)
    public: Any = load_pem_public_key(text(outputs, "publicKeyPem").encode())
    assert outputs["publicKeyFingerprintMd5"] == ssh_key_fingerprint(public, MD5()).hex(":")
    digest = base64.b64encode(ssh_key_fingerprint(public, SHA256())).decode().rstrip("=")
    assert outputs["publicKeyFingerprintSha256"] == f"SHA256:{digest}"


@pytest.mark.parametrize("given", ["privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"])
def test_get_public_key_describes_a_private_key(tls: Cloud, given: str) -> None:
    id, outputs = make(tls, KEY, algorithm="ECDSA", ecdsaCurve="P256")
    argument = "privateKeyOpenssh" if given == "privateKeyOpenssh" else "privateKeyPem"
    described = tls.invoke(GET_KEY, {argument: outputs[given]})
    public = {name: value for name, value in outputs.items() if name.startswith("public")}
    assert len(public) == 4
    assert described == {argument: outputs[given], "id": id, "algorithm": "ECDSA", **public}


@pytest.mark.parametrize("curve", ["P256", "P384", "P521"])
def test_a_chain_verifies_with_openssl_and_cryptography(tls: Cloud, chain: Chain, tmp_path: Path, curve: str) -> None:
    _, intermediate_request = make(
        tls,
        REQUEST,
        privateKeyPem=new_key(tls, algorithm="ECDSA", ecdsaCurve=curve),
        subject={"commonName": "x"},
        dnsNames=["a.example.com"],
    )
    _, outputs = make(tls, SIGNED, **chain.inputs(certRequestPem=intermediate_request["certRequestPem"]))
    assert verified(tmp_path, text(outputs, "certPem"), chain.authority, "a.example.com", START + DAY)


def verified(folder: Path, certificate: str, authority: str, name: str, at: datetime) -> bool:
    """Whether both openssl and cryptography accept a server's certificate at a time; they must agree."""
    for file, content in (("ca.pem", authority), ("leaf.pem", certificate)):
        (folder / file).write_text(content)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", name]
    done = subprocess.run(
        [*command, "-attime", str(int(at.timestamp())), "-CAfile", "ca.pem", "leaf.pem"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    verifier = PolicyBuilder().store(Store([load(authority)])).time(at.replace(tzinfo=None))
    try:
        verifier.build_server_verifier(x509.DNSName(name)).verify(load(certificate), [])
    except VerificationError:
        assert done.returncode != 0
        return False
    assert done.returncode == 0, done.stderr
    return True


def test_a_certificate_is_valid_only_for_its_names_and_in_its_period(tls: Cloud, chain: Chain, tmp_path: Path) -> None:
    _, outputs = make(tls, SIGNED, **chain.inputs())
    certificate = text(outputs, "certPem")
    assert verified(tmp_path, certificate, chain.authority, "db.example.com", START)
    assert verified(tmp_path, certificate, chain.authority, "1.db.example.com", START + 9 * DAY)
    assert not verified(tmp_path, certificate, chain.authority, "api.example.com", START)
    assert not verified(tmp_path, certificate, chain.authority, "db.example.com", START - timedelta(seconds=1))
    assert not verified(
        tmp_path, certificate, chain.authority, "db.example.com", START + 10 * DAY + timedelta(seconds=1)
    )
    _, other = make(tls, SELF_SIGNED, privateKeyPem=new_key(tls), **AUTHORITY)
    assert not verified(tmp_path, certificate, text(other, "certPem"), "db.example.com", START)


def test_a_signed_certificate_has_the_contents_of_the_request(tls: Cloud, chain: Chain) -> None:
    id, outputs = make(tls, SIGNED, **chain.inputs(setSubjectKeyId=True))
    certificate, authority = load(text(outputs, "certPem")), load(chain.authority)
    assert str(certificate.serial_number) == id
    assert certificate.issuer == authority.subject
    assert certificate.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")])
    leaf_key: Any = load_pem_private_key(chain.leaf_key.encode(), None)
    assert certificate.public_key() == leaf_key.public_key()
    assert list(extension(certificate, x509.SubjectAlternativeName).value) == [
        x509.DNSName("db.example.com"),
        x509.DNSName("*.db.example.com"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.4")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::4")),
        x509.UniformResourceIdentifier("spiffe://example.com/db"),
    ]
    owner, issuer = (extension(each, x509.SubjectKeyIdentifier).value.digest for each in (certificate, authority))
    assert owner == x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()).digest
    assert extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier == issuer
    assert outputs["validityStartTime"] == "2026-03-01T12:30:15.250000Z"
    assert outputs["validityEndTime"] == "2026-03-11T12:30:15.250000Z"
    assert certificate.not_valid_before_utc == START.replace(microsecond=0)
    assert certificate.not_valid_after_utc == START.replace(microsecond=0) + 10 * DAY
    assert (outputs["caKeyAlgorithm"], outputs["readyForRenewal"], outputs["earlyRenewalHours"]) == ("ECDSA", False, 0)
    assert "maxPathLength" not in outputs


def test_allowed_uses_become_extensions(tls: Cloud) -> None:
    uses = ["key_encipherment", "digital_signature", "client_auth", "server_auth", "ipsec_user"]
    _, outputs = make(tls, SELF_SIGNED, privateKeyPem=new_key(tls), validityPeriodHours=1, allowedUses=uses)
    certificate = load(text(outputs, "certPem"))
    usage = extension(certificate, x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_encipherment, usage.value.digital_signature) == (True, True)
    assert {usage.value.key_cert_sign, usage.value.key_agreement, usage.value.content_commitment} == {False}
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7")
    ]  # fmt: skip
    _, outputs = make(tls, SELF_SIGNED, privateKeyPem=new_key(tls), validityPeriodHours=1, allowedUses=[])
    (only,) = load(text(outputs, "certPem")).extensions
    assert isinstance(only.value, x509.BasicConstraints)


def test_an_authority_has_its_constraints_and_key_identifiers(tls: Cloud) -> None:
    key = new_key(tls)
    _, outputs = make(
        tls,
        SELF_SIGNED,
        privateKeyPem=key,
        **AUTHORITY,
        maxPathLength=2,
        setAuthorityKeyId=True,
        dnsNames=["ca.example.com"],
    )
    certificate = load(text(outputs, "certPem"))
    constraints = extension(certificate, x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 2)
    assert extension(certificate, x509.KeyUsage).value.key_cert_sign
    own = extension(certificate, x509.SubjectKeyIdentifier).value.digest
    assert extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier == own
    assert certificate.subject.rfc4514_string() == "CN=authority,O=Example"
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    (described,) = tls.invoke(GET_CERTIFICATE, {"content": outputs["certPem"]})["certificates"]  # type: ignore[misc]
    assert isinstance(described, dict)
    assert (described["isCa"], described["maxPathLength"], described["version"]) == (True, 2, 3)
    assert (described["signatureAlgorithm"], described["publicKeyAlgorithm"]) == ("ECDSA-SHA256", "ECDSA")
    assert (described["subject"], described["notAfter"]) == ("CN=authority,O=Example", "2027-03-01T12:30:15Z")
    assert described["certPem"] == outputs["certPem"]


def test_a_path_length_of_zero_sets_no_limit_as_with_the_real_provider(tls: Cloud) -> None:
    _, outputs = make(tls, SELF_SIGNED, privateKeyPem=new_key(tls), **AUTHORITY, maxPathLength=0)
    assert outputs["maxPathLength"] == 0
    assert extension(load(text(outputs, "certPem")), x509.BasicConstraints).value.path_length is None


def test_a_certificate_without_a_subject_has_critical_names(tls: Cloud) -> None:
    _, outputs = make(tls, SELF_SIGNED, privateKeyPem=new_key(tls), **SERVER, dnsNames=["db.example.com"])
    certificate = load(text(outputs, "certPem"))
    assert certificate.subject.rdns == []
    assert extension(certificate, x509.SubjectAlternativeName).critical


@pytest.mark.parametrize(
    ("type", "secret"),
    [
        (KEY, {"privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"}),
        (REQUEST, {"privateKeyPem"}),
        (SELF_SIGNED, {"privateKeyPem"}),
        (SIGNED, {"caPrivateKeyPem"}),
    ],
)
def test_sensitive_outputs_are_secret(tls: Cloud, chain: Chain, type: str, secret: set[str]) -> None:
    inputs = right(chain, type)
    id, outputs = tls.create(urn(type, "it"), type, inputs, preview=False)
    assert {name for name, value in outputs.items() if isinstance(value, Secret)} == secret
    found = tls.read(urn(type, "it"), type, id, inputs)
    assert found is not None
    assert found.outputs == outputs


def test_outputs_are_unknown_in_a_preview(tls: Cloud, chain: Chain) -> None:
    def unknown(type: str, **inputs: Any) -> set[str]:
        id, outputs = make(tls, type, preview=True, **inputs)
        assert id == ""
        return {name for name, value in outputs.items() if value is UNKNOWN}

    assert unknown(KEY, algorithm="ECDSA") == {
        "privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh", "publicKeyPem", "publicKeyOpenssh",
        "publicKeyFingerprintMd5", "publicKeyFingerprintSha256",
    }  # fmt: skip
    assert unknown(REQUEST, privateKeyPem=UNKNOWN) == {"privateKeyPem", "certRequestPem", "keyAlgorithm"}
    times = {"validityStartTime", "validityEndTime"}
    assert unknown(SIGNED, **chain.inputs()) == {"certPem", "caKeyAlgorithm", "maxPathLength", *times}


def test_unknown_inputs_are_accepted_in_a_preview(tls: Cloud) -> None:
    unknown: dict[str, Any] = {
        "subject": {"commonName": UNKNOWN}, "dnsNames": [UNKNOWN], "allowedUses": ["encipher_only", UNKNOWN],
        "isCaCertificate": True, "maxPathLength": UNKNOWN, "earlyRenewalHours": UNKNOWN, "validityPeriodHours": UNKNOWN,
    }  # fmt: skip
    _, outputs = make(tls, SELF_SIGNED, preview=True, privateKeyPem=UNKNOWN, **unknown)
    assert outputs["readyForRenewal"] is UNKNOWN


def test_a_certificate_is_replaced_from_the_beginning_of_its_early_renewal(
    tls: Cloud, chain: Chain, clock: Clock
) -> None:
    inputs = chain.inputs(earlyRenewalHours=48)
    id, outputs = make(tls, SIGNED, **inputs)
    renewal = START + 8 * DAY
    for now in (START, renewal - timedelta(microseconds=1)):
        clock.now = now
        assert tls.diff(SIGNED, id, inputs, outputs, inputs).detail == {}
        found = tls.read(urn(SIGNED, "it"), SIGNED, id, inputs)
        assert found is not None
        assert found.outputs["readyForRenewal"] is False
    for now in (renewal, START + 30 * DAY):
        clock.now = now
        difference = tls.diff(SIGNED, id, inputs, outputs, inputs)
        assert difference.detail == {"readyForRenewal": Change.UPDATE_REPLACE}
        assert not difference.delete_before_replace
        found = tls.read(urn(SIGNED, "it"), SIGNED, id, inputs)
        assert found is not None
        assert found.outputs["readyForRenewal"] is True
        # A shorter early renewal has not begun yet, if the certificate has not expired.
        later = tls.diff(SIGNED, id, inputs, outputs, chain.inputs())
        assert ("readyForRenewal" in later.detail) == (now > START + 10 * DAY)


def test_a_change_of_early_renewal_keeps_the_certificate(tls: Cloud, chain: Chain) -> None:
    inputs = chain.inputs()
    id, outputs = make(tls, SIGNED, **inputs)
    news = chain.inputs(earlyRenewalHours=24)
    assert tls.diff(SIGNED, id, inputs, outputs, news).detail == {"earlyRenewalHours": Change.ADD}
    for preview in (True, False):
        updated = tls.update(urn(SIGNED, "it"), SIGNED, id, outputs, news, preview)
        assert reveal(updated) == {**outputs, "earlyRenewalHours": 24}


def test_a_certificate_that_is_never_outside_its_early_renewal_says_so(tls: Cloud, chain: Chain) -> None:
    for preview in (True, False):
        _, outputs = make(tls, SIGNED, preview=preview, **chain.inputs(earlyRenewalHours=240))
        assert outputs["readyForRenewal"] is True


@pytest.mark.parametrize(
    ("type", "olds", "news", "changed"),
    [
        (KEY, {"algorithm": "RSA"}, {"algorithm": "ECDSA"}, "algorithm"),
        (REQUEST, {"dnsNames": ["a"]}, {"dnsNames": ["b"]}, "dnsNames[0]"),
        (SELF_SIGNED, {"subject": {"commonName": "a"}}, {"subject": {"commonName": "b"}}, "subject.commonName"),
        (SELF_SIGNED, {"allowedUses": ["server_auth"]}, {"allowedUses": ["client_auth"]}, "allowedUses[0]"),
        (SELF_SIGNED, {"setAuthorityKeyId": True}, {"setAuthorityKeyId": False}, "setAuthorityKeyId"),
        (SELF_SIGNED, {"privateKeyPem": "a"}, {"privateKeyPem": UNKNOWN}, "privateKeyPem"),
        (SIGNED, {"certRequestPem": "a"}, {"certRequestPem": UNKNOWN}, "certRequestPem"),
        (SIGNED, {"validityPeriodHours": 1}, {"validityPeriodHours": 2}, "validityPeriodHours"),
        (SIGNED, {"maxPathLength": 1}, {"maxPathLength": 2}, "maxPathLength"),
    ],
)
def test_every_other_change_forces_a_replacement(
    tls: Cloud, type: str, olds: Properties, news: Properties, changed: str
) -> None:
    assert tls.diff(type, "x", olds, {}, news).detail == {changed: Change.UPDATE_REPLACE}


def test_equal_requests_are_separate_objects(tls: Cloud) -> None:
    inputs: Properties = {"privateKeyPem": new_key(tls, algorithm="ED25519"), "dnsNames": ["db.example.com"]}
    first, second = urn(REQUEST, "first"), urn(REQUEST, "second")
    id, _ = tls.create(first, REQUEST, inputs, preview=False)
    assert tls.create(second, REQUEST, inputs, preview=False)[0] == id
    tls.delete(first, REQUEST, id)
    assert tls.find_by_urn(first, REQUEST) is None
    assert tls.find_by_urn(second, REQUEST) == id


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    (KEY, {"algorithm": "DSA"}, "algorithm", "RSA, ECDSA, ED25519"),
    (KEY, {"ecdsaCurve": "P192"}, "ecdsaCurve", "P224, P256, P384, P521"),
    (KEY, {"algorithm": "RSA", "rsaBits": 512}, "rsaBits", "from 1024 to 16384"),
    (REQUEST, {"privateKeyPem": "secret"}, "privateKeyPem", "RSA, ECDSA (P224, P256, P384, P521) or ED25519"),
    (REQUEST, {"privateKeyPem": None}, "privateKeyPem", "required"),
    (REQUEST, {"privateKeyPemWo": "x", "privateKeyPem": None}, "privateKeyPemWo", "give privateKeyPem"),
    (REQUEST, {"ipAddresses": ["10.0.0.256"]}, "ipAddresses[0]", "such as 10.0.0.4"),
    (REQUEST, {"ipAddresses": ["10.0.0.1", "fe80::1%eth0"]}, "ipAddresses[1]", "zone"),
    (REQUEST, {"dnsNames": ["bücher.example"]}, "dnsNames[0]", "ASCII"),
    (REQUEST, {"uris": ["/db"]}, "uris[0]", "URI with a scheme"),
    (REQUEST, {"subject": {"country": "Germany"}}, "subject.country", "such as DE"),
    (REQUEST, {"subject": {"commonName": "n" * 65}}, "subject.commonName", "64"),
    (REQUEST, {"subject": {"comonName": "db"}}, "subject.comonName", "did you mean commonName?"),
    (SELF_SIGNED, {"allowedUses": ["server_auth", "serving"]}, "allowedUses[1]", "server_auth, timestamping"),
    (SELF_SIGNED, {"allowedUses": ["encipher_only"]}, "allowedUses", "key_agreement"),
    (SELF_SIGNED, {"isCaCertificate": True, "subject": {"commonName": ""}}, "subject", "commonName"),
    (SELF_SIGNED, {"setAuthorityKeyId": True}, "setAuthorityKeyId", "setSubjectKeyId"),
    (SELF_SIGNED, {"maxPathLength": 1}, "maxPathLength", "isCaCertificate"),
    (SELF_SIGNED, {"maxPathLength": -2}, "maxPathLength", "minimum is -1"),
    (SELF_SIGNED, {"validityPeriodHours": -1}, "validityPeriodHours", "from 0"),
    (SELF_SIGNED, {"earlyRenewalHours": 3_000_000}, "earlyRenewalHours", "to 2562047 hours"),
    (SIGNED, {"certRequestPem": "x"}, "certRequestPem", "certRequestPem of a CertRequest"),
    (SIGNED, {"caCertPem": "x"}, "caCertPem", "certPem of a SelfSignedCert"),
    (SIGNED, {"caPrivateKeyPem": "x"}, "caPrivateKeyPem", "privateKeyPem of a PrivateKey"),
]


def right(chain: Chain, type: str) -> dict[str, Any]:
    """Return valid inputs of a type."""
    return {
        KEY: {"algorithm": "ECDSA"},
        REQUEST: {"privateKeyPem": chain.leaf_key},
        SELF_SIGNED: {"privateKeyPem": chain.key, **SERVER},
        SIGNED: chain.inputs(),
    }[type]


def rejected(tls: Cloud, type: str, inputs: dict[str, Any], path: str, reason: str) -> None:
    """Check that wrong inputs are rejected before and, if they become known only then, during the creation."""
    (failure,) = tls.check(urn(type, "it"), type, None, inputs, b"").failures
    assert failure.path == path
    assert reason in failure.reason
    if "no such property" in failure.reason:
        return
    with pytest.raises(ProviderError) as raised:
        tls.create(urn(type, "it"), type, inputs, preview=False)
    assert str(raised.value) == f"{type}: {path}: {failure.reason}"


@pytest.mark.parametrize(("type", "change", "path", "reason"), WRONG)
def test_wrong_inputs_are_rejected(
    tls: Cloud, chain: Chain, type: str, change: dict[str, Any], path: str, reason: str
) -> None:
    rejected(tls, type, {**right(chain, type), **change}, path, reason)


def test_keys_and_requests_that_do_not_fit_are_rejected(tls: Cloud, chain: Chain) -> None:
    other = new_key(tls)
    rejected(tls, SIGNED, chain.inputs(caPrivateKeyPem=other), "caPrivateKeyPem", "certificate in caCertPem")
    _, nameless = make(tls, REQUEST, privateKeyPem=chain.leaf_key)
    inputs = chain.inputs(certRequestPem=nameless["certRequestPem"], isCaCertificate=True)
    rejected(tls, SIGNED, inputs, "certRequestPem", "commonName")
    _, outputs = make(tls, KEY, algorithm="ED25519")
    # The real provider does not accept this format either.
    rejected(tls, REQUEST, {"privateKeyPem": outputs["privateKeyOpenssh"]}, "privateKeyPem", "PEM format")


@pytest.mark.parametrize(
    ("token", "arguments", "reason"),
    [
        (GET_KEY, {}, "exactly one"),
        (GET_KEY, {"privateKeyPem": "x"}, "privateKeyPem: is not"),
        (GET_KEY, {"privateKeyOpenssh": "x"}, "privateKeyOpenssh: is not"),
        (GET_CERTIFICATE, {"url": "https://example.com"}, "give content"),
        (GET_CERTIFICATE, {"content": "x"}, "content: cannot be parsed"),
    ],
)
def test_wrong_arguments_of_functions_are_errors(tls: Cloud, token: str, arguments: Properties, reason: str) -> None:
    with pytest.raises(ProviderError, match=reason):
        tls.invoke(token, arguments)


PROGRAM = """
import pulumi_tls as tls

key = tls.PrivateKey("key", algorithm="ECDSA", ecdsa_curve="P256")
authority = tls.SelfSignedCert(
    "authority", private_key_pem=key.private_key_pem, is_ca_certificate=True, subject={"common_name": "authority"},
    validity_period_hours=24 * 365, early_renewal_hours=24 * 30, allowed_uses=["cert_signing"],
)
request = tls.CertRequest("request", private_key_pem=key.private_key_pem, dns_names=["db.example.com"])
tls.LocallySignedCert(
    "leaf", ca_private_key_pem=key.private_key_pem, ca_cert_pem=authority.cert_pem, allowed_uses=["server_auth"],
    cert_request_pem=request.cert_request_pem, validity_period_hours=24 * 10, early_renewal_hours=24 * 2,
)
"""


def test_updates_renew_certificates_in_time_and_change_nothing_else(
    tmp_path: Path, cache: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SANDBOX_HOME", raising=False)
    (tmp_path / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)

    def changes(after: timedelta) -> dict[str, dict[str, PropertyChange]]:
        """Update after a period of time; return the changed properties of each changed resource."""
        clock.now = START + after
        result = up(tmp_path, "dev", partial(open_clouds, cache=cache, clock=clock), SilentWatcher(), planned=None)
        assert result.code == 0
        return {step.urn.rpartition("::")[2]: step.diff for step in result.plan.steps.values() if step.op != "same"}

    renewed = {"readyForRenewal": PropertyChange(Change.UPDATE_REPLACE, False, UNKNOWN)}
    assert changes(timedelta()).keys() >= {"key", "authority", "request", "leaf"}
    assert changes(timedelta(days=7)) == {}
    assert changes(timedelta(days=8)) == {"leaf": renewed}
    assert changes(timedelta(days=9)) == {}
    # The renewal of the authority renews the certificates that it signed.
    later = changes(timedelta(days=335))
    assert later.keys() == {"authority", "leaf"}
    assert later["authority"] == renewed
    assert "caCertPem" in later["leaf"]
    assert changes(timedelta(days=336)) == {}
