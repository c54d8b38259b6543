"""Certificate requests and certificates, self-signed and signed by a given certificate authority (CA)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.clouds.facts import EvaluationContext
from sandbox.clouds.tls import keys, names
from sandbox.clouds.tls.keys import PrivateKey
from sandbox.values import Properties

Parsed = TypeVar("Parsed", x509.Certificate, x509.CertificateSigningRequest)
Extension = TypeVar("Extension", bound=x509.ExtensionType)


@dataclass(frozen=True)
class _Owner:
    """The owner of a new certificate: its subject, its alternative names and its public key."""

    name: x509.Name
    alternatives: list[x509.GeneralName]
    public_key: keys.PublicKey

    @property
    def key_id(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self.public_key)


@dataclass(frozen=True)
class _Issuer:
    """The signer of a new certificate, and the key identifier in its own certificate."""

    name: x509.Name
    key: PrivateKey
    key_id: x509.SubjectKeyIdentifier | None


def new_request(context: EvaluationContext) -> tuple[str, Properties]:
    """Return the id and the outputs of a new certificate request."""
    key = _key(context, "privateKeyPem")
    builder = x509.CertificateSigningRequestBuilder().subject_name(names.subject(context))
    alternatives = names.alternative_names(context)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    request = builder.sign(key, keys.signature_hash(key))
    return keys.sha1_id(request.public_bytes(Encoding.DER)), {
        "certRequestPem": request.public_bytes(Encoding.PEM).decode(),
        "keyAlgorithm": keys.algorithm_of(key),
    }


def new_self_signed(context: EvaluationContext) -> tuple[str, Properties]:
    """Return the id and the outputs of a new self-signed certificate."""
    key = _key(context, "privateKeyPem")
    owner = _Owner(names.subject(context), names.alternative_names(context), key.public_key())
    issuer = _Issuer(owner.name, key, owner.key_id if _has_key_id(context) else None)
    id, outputs = _issue(context, owner, issuer)
    return id, {**outputs, "keyAlgorithm": keys.algorithm_of(key)}


def new_locally_signed(context: EvaluationContext) -> tuple[str, Properties]:
    """Return the id and the outputs of a new certificate for a request, signed with the key of a CA."""
    request, authority = parse_request(context["certRequestPem"]), parse_certificate(context["caCertPem"])
    assert request is not None
    assert authority is not None
    key = _key(context, "caPrivateKeyPem")
    identifier = _extension(authority, x509.SubjectKeyIdentifier)
    id, outputs = _issue(context, _owner_of(request), _Issuer(authority.subject, key, identifier))
    return id, {**outputs, "caKeyAlgorithm": keys.algorithm_of(key)}


def _issue(context: EvaluationContext, owner: _Owner, issuer: _Issuer) -> tuple[str, Properties]:
    """Sign a certificate that is valid from now on, as the real provider does: without backdating."""
    end = context.now + timedelta(hours=context["validityPeriodHours"])
    builder = (
        x509.CertificateBuilder()
        .subject_name(owner.name)
        .issuer_name(issuer.name)
        .public_key(owner.public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(context.now.replace(microsecond=0))
        .not_valid_after(end.replace(microsecond=0))
    )
    for extension, critical in _extensions(context, owner, issuer):
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(issuer.key, keys.signature_hash(issuer.key))
    return str(certificate.serial_number), {
        "certPem": certificate.public_bytes(Encoding.PEM).decode(),
        "validityStartTime": _rfc3339(context.now),
        "validityEndTime": _rfc3339(end),
    }


def _extensions(
    context: EvaluationContext, owner: _Owner, issuer: _Issuer
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Yield each extension and whether it is critical, in the order of Go's crypto/x509."""
    uses: list[str] = context["allowedUses"]
    usage, extended = names.key_usage(uses), names.extended_key_usage(uses)
    if usage:
        yield usage, True
    if extended:
        yield extended, False
    is_ca = bool(context.get("isCaCertificate"))
    # The real provider cannot set a path length of 0: Go interprets 0 as "no limit".
    limit = context.get("maxPathLength") or -1
    yield x509.BasicConstraints(ca=is_ca, path_length=limit if is_ca and limit > 0 else None), True
    if _has_key_id(context):
        yield owner.key_id, False
    # Go always adds the issuer's key identifier, except to a self-signed certificate, where setAuthorityKeyId adds it.
    if issuer.key_id and (context.get("setAuthorityKeyId") or issuer.name != owner.name):
        yield x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.key_id), False
    if owner.alternatives:
        yield x509.SubjectAlternativeName(owner.alternatives), not owner.name.rdns


def is_due(outputs: Properties, inputs: Properties, now: datetime) -> bool:
    """Whether a certificate has expired, or its early renewal has begun."""
    end, early = outputs.get("validityEndTime"), inputs.get("earlyRenewalHours")
    hours = early if isinstance(early, int) else 0
    return isinstance(end, str) and now >= datetime.fromisoformat(end) - timedelta(hours=hours)


def is_due_from_the_start(context: EvaluationContext) -> bool:
    """Whether the early renewal period begins with the validity period or before it."""
    return bool((context.get("earlyRenewalHours") or 0) >= context["validityPeriodHours"])


def parse_certificate(text: str) -> x509.Certificate | None:
    """Return the first certificate in PEM format, or None if it is invalid."""
    return _parsed(text, x509.load_pem_x509_certificate)


def parse_request(text: str) -> x509.CertificateSigningRequest | None:
    """Return a certificate request in PEM format, or None if it is invalid."""
    return _parsed(text, x509.load_pem_x509_csr)


def _owner_of(request: x509.CertificateSigningRequest) -> _Owner:
    # The real provider copies only these kinds of alternative names, and not the subject's e-mail address.
    given = _extension(request, x509.SubjectAlternativeName) or ()
    copied = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)
    alternatives: list[x509.GeneralName] = [name for kind in copied for name in given if isinstance(name, kind)]
    parts = [part for part in request.subject.rdns if not part.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)]
    public_key: Any = request.public_key()
    return _Owner(x509.Name(parts), alternatives, public_key)


def _has_key_id(context: EvaluationContext) -> bool:
    return bool(context.get("isCaCertificate") or context.get("setSubjectKeyId"))


def _extension(holder: x509.Certificate | x509.CertificateSigningRequest, kind: type[Extension]) -> Extension | None:
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _parsed(text: str, load: Callable[[bytes], Parsed]) -> Parsed | None:
    try:
        parsed = load(text.encode())
        _ = parsed.subject, parsed.extensions  # they are parsed on first access, which raises the errors below
        return parsed if keys.is_supported(parsed.public_key()) else None
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return None


def _key(context: EvaluationContext, name: str) -> PrivateKey:
    key = keys.parse_pem(context[name])
    assert key is not None
    return key


def _rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
