"""The private certificate authorities of the machines, and the certificate of each role."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_tls as tls
from pulumi import ComponentResource, Output, ResourceOptions

from model.topology import Role, Topology

HOURS_A_DAY = 24
AUTHORITY_DAYS = 3650
# From 90 days before a certificate expires, an update replaces it. Until an operator runs the update, the scheduled
# drift detection reports the difference.
CERTIFICATE_DAYS = 365
RENEWAL_DAYS = 90


@dataclass(frozen=True)
class CertificatesArgs:
    """The topology, whose settings name the authorities."""

    topology: Topology


class Certificates(ComponentResource):
    """`backbuild:index:Certificates`: private certificate authorities, and a certificate for each role of machines.

    Makes: for each name in `database.certificateAuthorities` a key and a self-signed certificate; for each role a key,
    a request and a certificate that is valid for the addresses of all its machines, as server and as client. The first
    authority signs, and machines trust all authorities. So an authority is replaced in three updates: add the new name
    at the end, move it to the front, remove the old name.
    """

    secrets: dict[str, Output[str]]
    """Field of `topology.SecretNames` to JSON with `certificate`, `key` and `authorities`, each PEM; secret."""

    def __init__(self, name: str, args: CertificatesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Certificates", name, {}, opts)
        self._name: str = name
        self._topology: Topology = args.topology
        self._own: ResourceOptions = ResourceOptions(parent=self)
        authorities = [self._authority(one) for one in args.topology.settings.database.certificate_authorities]
        trusted = Output.all(*(authority.cert_pem for authority in authorities)).apply("".join)
        self.secrets = {f"{role}_certificate": self._certificate(role, authorities[0], trusted) for role in Role}
        self.register_outputs({})

    def _authority(self, generation: str) -> tls.SelfSignedCert:
        label = f"{self._name}-authority-{generation}"
        key = tls.PrivateKey(label, algorithm="ECDSA", ecdsa_curve="P256", opts=self._own)
        return tls.SelfSignedCert(
            label,
            private_key_pem=key.private_key_pem,
            subject={"common_name": f"{self._topology.prefix} machines, {generation}"},
            is_ca_certificate=True,
            set_subject_key_id=True,
            allowed_uses=["cert_signing", "crl_signing"],
            validity_period_hours=AUTHORITY_DAYS * HOURS_A_DAY,
            opts=self._own,
        )

    def _certificate(self, role: Role, authority: tls.SelfSignedCert, trusted: Output[str]) -> Output[str]:
        label = f"{self._name}-{role}"
        # A new authority signs new keys only. It would otherwise certify a key that was stolen from a machine.
        signer = self._topology.settings.database.certificate_authorities[0]
        key = tls.PrivateKey(f"{label}-{signer}", algorithm="ECDSA", ecdsa_curve="P256", opts=self._own)
        members = [member for group in self._topology.groups for member in group.members if member.role is role]
        request = tls.CertRequest(
            label,
            private_key_pem=key.private_key_pem,
            subject=_subject(role),
            dns_names=[role.value],  # HAProxy verifies DNS names, but not addresses
            ip_addresses=[member.address for member in members],
            opts=self._own,
        )
        certificate = tls.LocallySignedCert(
            label,
            cert_request_pem=request.cert_request_pem,
            ca_cert_pem=authority.cert_pem,
            ca_private_key_pem=authority.private_key_pem,
            set_subject_key_id=True,
            allowed_uses=["digital_signature", "server_auth", "client_auth"],
            validity_period_hours=CERTIFICATE_DAYS * HOURS_A_DAY,
            early_renewal_hours=RENEWAL_DAYS * HOURS_A_DAY,
            opts=self._own,
        )
        return Output.json_dumps(
            {"certificate": certificate.cert_pem, "key": key.private_key_pem_pkcs8, "authorities": trusted}
        )


def _subject(role: Role) -> tls.CertRequestSubjectArgs:
    # etcd takes the certificate's common name as the user of a gRPC client such as etcdctl. It rejects an HTTP client,
    # such as Patroni, whose certificate has a common name.
    if role is Role.CONSENSUS:
        return tls.CertRequestSubjectArgs(common_name=role.value)
    return tls.CertRequestSubjectArgs(organizational_unit=role.value)
