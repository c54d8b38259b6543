"""Objects that must exist before Cloudflare creates another one, without a reference between them.

| type | is rejected | source |
|---|---|---|
| WorkersCustomDomain | in a zone that is not active; beside an A, AAAA or CNAME record of its name (100117); before its Cloudflare Worker is deployed | developers.cloudflare.com/workers/configuration/routing/custom-domains/ |
| DnsRecord | if it is an A, AAAA or CNAME record with the name of a custom domain | the same |
| WorkersRoute, WorkersCronTrigger, QueueConsumer | before their Worker is deployed | …/workers/configuration/versions-and-deployments/ |
| CertificatePack, ZoneDnssec, EmailSendingSubdomain | in a zone that is not active | …/dns/zone-setups/reference/domain-status/ |
| ZeroTrustAccessApplication | if no zone of the account contains its domain | …/cloudflare-one/access-controls/applications/http-apps/self-hosted-public-app/ |
| HyperdriveConfig | if the database is not reachable (2015) | …/hyperdrive/observability/troubleshooting/ |

A Hyperdrive origin behind Access is reachable if its name is in an active zone and its record points at a tunnel, the
tunnel has an ingress for it, and a machine that may read the tunnel's token has passed its health gate.
"""  # noqa: E501 (a table)

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, cast

from sandbox.clouds.facts import EvaluationContext, ObjectLookup
from sandbox.values import Properties

ZONE = "cloudflare:index/zone:Zone"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
CUSTOM_DOMAIN = "cloudflare:index/workersCustomDomain:WorkersCustomDomain"
WORKER = "cloudflare:index/worker:Worker"
DEPLOYMENT = "cloudflare:index/workersDeployment:WorkersDeployment"
TUNNEL_CONFIG = "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105 (a type token)
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
INSTANCE = "aws:ec2/instance:Instance"
GATE = "aws:ssm/association:Association"
_TUNNELS = ".cfargotunnel.com"
_ADDRESSES = ("A", "AAAA", "CNAME")


def zone_is_active(context: EvaluationContext) -> str | None:
    """Return an error if the zone is not active."""
    return _inactive(context.objects.look(ZONE, context["zoneId"]))


def custom_domain(context: EvaluationContext) -> str | None:
    """Return an error if a custom domain's name has a record, its zone is not active, or its Worker not deployed."""
    host, zone = context["hostname"], context["zoneId"]
    for record in context.objects.of_type(RECORD):
        if record.get("name") == host and record.get("zoneId") == zone and record.get("type") in _ADDRESSES:
            return (
                f"hostname {host!r} already has an externally managed {record['type']} record (100117); "
                "remove the record, because the custom domain creates its own"
            )
    return zone_is_active(context) or worker_is_deployed(context, "service")


def record(context: EvaluationContext) -> str | None:
    """Return an error if an A, AAAA or CNAME record has the name of a custom domain."""
    taken = context["type"] in _ADDRESSES and any(
        domain.get("hostname") == context["name"] for domain in context.objects.of_type(CUSTOM_DOMAIN)
    )
    return (
        f"name {context['name']!r} already has a record, which a Worker's custom domain manages; remove one of them"
        if taken
        else None
    )


def script_is_deployed(context: EvaluationContext) -> str | None:
    """Return an error if the Worker in `scriptName` is not deployed."""
    return worker_is_deployed(context, "scriptName")


def routed_script_is_deployed(context: EvaluationContext) -> str | None:
    """Return an error if the Worker in a route's `script` is not deployed."""
    return worker_is_deployed(context, "script")


def worker_is_deployed(context: EvaluationContext, field: str) -> str | None:
    """Return an error if the Worker named in `field` is a resource of the stack without a deployment."""
    name = context[field]
    bare = any(worker.get("name") == name for worker in context.objects.of_type(WORKER))
    if not bare or any(each.get("scriptName") == name for each in context.objects.of_type(DEPLOYMENT)):
        return None
    return f"{field} {name!r} is a Worker without a deployment; let this resource depend on its deployment"


def access_application(context: EvaluationContext) -> str | None:
    """Return an error if no zone of the account contains the application's domain."""
    domain = context["domain"]
    if not domain or _zone_of(context.objects, domain) is not None:
        return None
    return f"domain {domain!r} is in no zone of the account; let the application depend on its zone and record"


def database_answers(context: EvaluationContext) -> str | None:
    """Return an error if Hyperdrive cannot connect. A database outside the account's zones counts as reachable."""
    host: object = cast("dict[str, object]", context.get("origin") or {}).get("host")
    zone = _zone_of(context.objects, host) if isinstance(host, str) else None
    if not isinstance(host, str) or zone is None:
        return None
    reason = _inactive(zone) or _unreachable(context.objects, host)
    return f"origin.host {host!r} cannot be reached (2015): {reason}" if reason else None


def _inactive(zone: Properties | None) -> str | None:
    if zone is None or zone.get("status") == "active":
        return None
    return f"zone {zone.get('name')!r} is {zone.get('status')}, not active; enter its name servers at the registrar"


def _zone_of(objects: ObjectLookup, host: str) -> Properties | None:
    zones = (zone for zone in objects.of_type(ZONE))
    return next((zone for zone in zones if host == zone["name"] or host.endswith(f".{zone['name']}")), None)


def _unreachable(objects: ObjectLookup, host: str) -> str | None:
    names = [str(record.get("content")) for record in objects.of_type(RECORD) if record.get("name") == host]
    tunnels = [name.removesuffix(_TUNNELS) for name in names if name.endswith(_TUNNELS)]
    if not tunnels:
        return "no record of this name points at a tunnel"
    if not any(
        host in _hosts(config) for config in objects.of_type(TUNNEL_CONFIG) if config.get("tunnelId") in tunnels
    ):
        return "the tunnel's configuration has no ingress for it"
    if not any(True for tunnel in tunnels for _ in _connectors(objects, tunnel)):
        return "no machine with the tunnel's token has passed its health gate; wait for the gateways"
    return None


def _hosts(config: Properties) -> Iterator[Any]:
    inner = cast("dict[str, Any]", config.get("config") or {})
    yield from (rule.get("hostname") for rule in cast("list[dict[str, Any]]", inner.get("ingresses") or []))


def _connectors(objects: ObjectLookup, tunnel: str) -> Iterator[str]:
    """Yield the ids of machines that may read the tunnel's token and have passed their health gate."""
    held = [
        str(one["secretId"]) for one in objects.of_type(SECRET_VERSION) if _tunnel_of(one.get("secretString")) == tunnel
    ]
    roles = {str(one["role"]) for one in objects.of_type(ROLE_POLICY) for arn in held if arn in str(one.get("policy"))}
    profiles = {str(one["name"]) for one in objects.of_type(PROFILE) if one.get("role") in roles}
    healthy = {
        value for gate in objects.of_type(GATE) for target in _targets(gate) for value in target.get("values") or ()
    }
    for machine in objects.of_type(INSTANCE):
        if machine.get("iamInstanceProfile") in profiles and machine["id"] in healthy:
            yield str(machine["id"])


def _targets(gate: Properties) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", gate.get("targets") or [])


def _tunnel_of(token: Any) -> str | None:
    """Return the tunnel id in a connector's token, or None for any other secret."""
    try:
        document: Any = json.loads(base64.b64decode(str(token), validate=True))
    except (binascii.Error, ValueError):
        return None
    return str(cast("dict[str, Any]", document).get("t")) if isinstance(document, dict) else None
