"""A domain at Cloudflare: DNS with DNSSEC, TLS settings and certificates, and mail records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Output, ResourceOptions

from components.activation import active
from model.settings import Mail

# The certificate authorities that Cloudflare uses. Only they may issue certificates for the domain (CAA).
# https://developers.cloudflare.com/ssl/reference/certificate-authorities/
ISSUERS = ("letsencrypt.org", "pki.goog", "ssl.com")
HSTS_SECONDS = 31_536_000  # a year, which is also what browsers' preload lists ask for
CERTIFICATE_DAYS = 90
# A hostname that only Cloudflare Workers serve has no origin. Its record points to the discard prefix (RFC 6666).
NO_ORIGIN = "100::"


@dataclass(frozen=True)
class DomainArgs:
    """The domain, its account, the contact for CAA reports (iodef), and whether the zone is protected.

    `apex_routed` creates a proxied record at the domain itself, which Worker routes there need. It must be off if a
    Worker has a custom domain there: that creates its own record and fails beside another (Cloudflare's error 100117).
    """

    account_id: str
    domain: str
    contact: str
    protect: bool
    apex_routed: bool
    mail: Mail = field(default_factory=Mail)


class Domain(ComponentResource):
    """`backbuild:index:Domain`: a zone with DNSSEC, TLS and mail records.

    Makes: the zone; settings for strict TLS to origins, TLS 1.2 and 1.3, HTTPS always and HSTS; DNSSEC; CAA records; an
    advanced certificate for the domain and its first level; MX, SPF, DKIM and DMARC records, which forbid all mail
    unless the settings name mail servers; and a proxied apex record if `apex_routed`. DNSSEC and the certificate wait
    until the zone is active.
    """

    zone_id: Output[str]
    """The zone's id, known once the zone is active. Certificates, custom domains and health checks depend on that."""
    name_servers: Output[Sequence[str]]
    """The name servers to enter at the registrar."""
    ds_record: Output[str]
    """The DS record to enter at the registrar."""

    def __init__(self, name: str, args: DomainArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Domain", name, {}, opts)
        self._name: str = name
        self._args: DomainArgs = args
        self._own: ResourceOptions = ResourceOptions(parent=self)
        zone = cloudflare.Zone(
            name,
            account={"id": args.account_id},
            name=args.domain,
            type="full",
            opts=ResourceOptions(parent=self, protect=args.protect),
        )
        self._pending_id: Output[str] = zone.id
        self.zone_id = active(zone)
        self.name_servers = zone.name_servers
        self._encrypt()
        self._records()
        self.ds_record = cloudflare.ZoneDnssec(name, zone_id=self.zone_id, status="active", opts=self._own).ds
        self.register_outputs({"zoneId": self.zone_id, "nameServers": self.name_servers, "dsRecord": self.ds_record})

    def _encrypt(self) -> None:
        settings: dict[str, object] = {
            "ssl": "strict",
            "min_tls_version": "1.2",
            "tls_1_3": "on",
            "always_use_https": "on",
            "automatic_https_rewrites": "on",
            "security_header": {
                "strict_transport_security": {
                    "enabled": True,
                    "max_age": HSTS_SECONDS,
                    "include_subdomains": True,
                    "nosniff": True,
                    "preload": True,
                }
            },
        }
        for setting, value in settings.items():
            cloudflare.ZoneSetting(
                f"{self._name}-{setting.replace('_', '-')}",
                zone_id=self._pending_id,
                setting_id=setting,
                value=value,
                opts=self._own,
            )
        cloudflare.CertificatePack(
            self._name,
            zone_id=self.zone_id,
            type="advanced",
            certificate_authority="google",
            hosts=[self._args.domain, f"*.{self._args.domain}"],
            validation_method="txt",
            validity_days=CERTIFICATE_DAYS,
            opts=self._own,
        )

    def _records(self) -> None:
        domain = self._args.domain
        if self._args.apex_routed:
            self._record("apex", type="AAAA", content=NO_ORIGIN, proxied=True, ttl=1)
        for issuer in ISSUERS:
            for tag in ("issue", "issuewild"):
                self._caa(f"{tag}-{issuer.replace('.', '-')}", tag, issuer)
        self._caa("iodef", "iodef", f"mailto:{self._args.contact}")
        mail = self._args.mail
        for exchanger in mail.exchangers:
            label = f"mx-{exchanger.host.replace('.', '-')}"
            self._record(label, type="MX", content=exchanger.host, ttl=3600, priority=exchanger.priority)
        for key in mail.dkim:
            signed = f"{key.selector}._domainkey.{domain}"
            self._record(f"dkim-{key.selector}", name=signed, type="CNAME", content=key.target, ttl=3600)
        senders = "".join(f"include:{sender} " for sender in mail.senders)
        self._record("spf", type="TXT", content=f'"v=spf1 {senders}-all"', ttl=3600)
        self._record("dmarc", name=f"_dmarc.{domain}", type="TXT", content='"v=DMARC1; p=reject"', ttl=3600)

    def _caa(self, label: str, tag: str, value: str) -> None:
        cloudflare.DnsRecord(
            f"{self._name}-caa-{label}",
            zone_id=self._pending_id,
            name=self._args.domain,
            type="CAA",
            data={"flags": 0, "tag": tag, "value": value},
            ttl=3600,
            opts=self._own,
        )

    def _record(
        self,
        label: str,
        *,
        type: str,
        content: str,
        ttl: int,
        name: str | None = None,
        proxied: bool = False,
        priority: int | None = None,
    ) -> None:
        cloudflare.DnsRecord(
            f"{self._name}-{label}",
            zone_id=self._pending_id,
            name=name or self._args.domain,
            type=type,
            content=content,
            proxied=proxied,
            priority=priority,
            ttl=ttl,
            opts=self._own,
        )
