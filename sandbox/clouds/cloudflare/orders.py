"""What Cloudflare demands of its other objects before it makes one: an order that no reference between them shows.

| type | is refused | source |
|---|---|---|
| WorkersCustomDomain | in a zone that is not active; beside an A, AAAA or CNAME record of its name (100117); before its Worker is deployed | developers.cloudflare.com/workers/configuration/routing/custom-domains/ |
| DnsRecord | A, AAAA or CNAME at the name of a custom domain | the same |
| WorkersRoute, WorkersCronTrigger, QueueConsumer | before their Worker is deployed | …/workers/configuration/versions-and-deployments/ |
| CertificatePack, ZoneDnssec, EmailSendingSubdomain | in a zone that is not active | …/dns/zone-setups/reference/domain-status/ |
| ZeroTrustAccessApplication | when no zone of the account holds its domain | …/cloudflare-one/access-controls/applications/http-apps/self-hosted-public-app/ |
| HyperdriveConfig | when the database does not answer (2015) | …/hyperdrive/observability/troubleshooting/ |

A Hyperdrive behind Access answers once its name is in an active zone and leads to a tunnel, the tunnel has an ingress for
it, and a machine that may read the tunnel's token has passed its health gate.
"""  # noqa: E501 (a table)

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, cast

from sandbox.clouds.facts import Making, World
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


def zone_is_active(making: Making) -> str | None:
    """Why a zone takes no such object yet."""
    return _inactive(making.world.look(ZONE, making["zoneId"]))


def custom_domain(making: Making) -> str | None:
    """Why a custom domain is refused."""
    host, zone = making["hostname"], making["zoneId"]
    for record in making.world.of_type(RECORD):
        if record.get("name") == host and record.get("zoneId") == zone and record.get("type") in _ADDRESSES:
            return (
                f"hostname {host!r} already has an externally managed {record['type']} record (100117); "
                "remove the record, the custom domain makes its own"
            )
    return zone_is_active(making) or worker_is_deployed(making, "service")


def record(making: Making) -> str | None:
    """Why a DNS record is refused."""
    taken = making["type"] in _ADDRESSES and any(
        domain.get("hostname") == making["name"] for domain in making.world.of_type(CUSTOM_DOMAIN)
    )
    return (
        f"name {making['name']!r} has a record that a Worker's custom domain manages; remove one of them"
        if taken
        else None
    )


def script_is_deployed(making: Making) -> str | None:
    """Why what names a script is refused."""
    return worker_is_deployed(making, "scriptName")


def routed_script_is_deployed(making: Making) -> str | None:
    """Why a route is refused."""
    return worker_is_deployed(making, "script")


def worker_is_deployed(making: Making, field: str) -> str | None:
    """Why a Worker cannot be used yet: it has no deployment, only its name."""
    name = making[field]
    bare = any(worker.get("name") == name for worker in making.world.of_type(WORKER))
    if not bare or any(each.get("scriptName") == name for each in making.world.of_type(DEPLOYMENT)):
        return None
    return f"{field} {name!r} is a Worker without a deployment; let this wait for its deployment"


def access_application(making: Making) -> str | None:
    """Why an Access application is refused."""
    domain = making["domain"]
    if not domain or _zone_of(making.world, domain) is not None:
        return None
    return f"domain {domain!r} is in no zone of the account; let the application wait for its zone and record"


def database_answers(making: Making) -> str | None:
    """Why Hyperdrive cannot connect; a database outside the account's zones is taken to answer."""
    host: object = cast("dict[str, object]", making.get("origin") or {}).get("host")
    zone = _zone_of(making.world, host) if isinstance(host, str) else None
    if not isinstance(host, str) or zone is None:
        return None
    reason = _inactive(zone) or _unreachable(making.world, host)
    return f"origin.host {host!r} cannot be reached (2015): {reason}" if reason else None


def _inactive(zone: Properties | None) -> str | None:
    if zone is None or zone.get("status") == "active":
        return None
    return (
        f"zone {zone.get('name')!r} is {zone.get('status')}, not active; give the registrar its name servers and wait"
    )


def _zone_of(world: World, host: str) -> Properties | None:
    zones = (zone for zone in world.of_type(ZONE))
    return next((zone for zone in zones if host == zone["name"] or host.endswith(f".{zone['name']}")), None)


def _unreachable(world: World, host: str) -> str | None:
    names = [str(record.get("content")) for record in world.of_type(RECORD) if record.get("name") == host]
    tunnels = [name.removesuffix(_TUNNELS) for name in names if name.endswith(_TUNNELS)]
    if not tunnels:
        return "no record of this name leads to a tunnel"
    if not any(host in _hosts(config) for config in world.of_type(TUNNEL_CONFIG) if config.get("tunnelId") in tunnels):
        return "the tunnel's configuration has no ingress for it"
    if not any(True for tunnel in tunnels for _ in _connectors(world, tunnel)):
        return "no machine with the tunnel's token has passed its health gate; wait for the gateways' gates"
    return None


def _hosts(config: Properties) -> Iterator[Any]:
    inner = cast("dict[str, Any]", config.get("config") or {})
    yield from (rule.get("hostname") for rule in cast("list[dict[str, Any]]", inner.get("ingresses") or []))


def _connectors(world: World, tunnel: str) -> Iterator[str]:
    """The ids of machines that may read the tunnel's token and were found healthy."""
    held = [
        str(one["secretId"]) for one in world.of_type(SECRET_VERSION) if _tunnel_of(one.get("secretString")) == tunnel
    ]
    roles = {str(one["role"]) for one in world.of_type(ROLE_POLICY) for arn in held if arn in str(one.get("policy"))}
    profiles = {str(one["name"]) for one in world.of_type(PROFILE) if one.get("role") in roles}
    healthy = {
        value for gate in world.of_type(GATE) for target in _targets(gate) for value in target.get("values") or ()
    }
    for machine in world.of_type(INSTANCE):
        if machine.get("iamInstanceProfile") in profiles and machine["id"] in healthy:
            yield str(machine["id"])


def _targets(gate: Properties) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", gate.get("targets") or [])


def _tunnel_of(token: Any) -> str | None:
    """The tunnel in a connector's token; None for any other secret."""
    try:
        document: Any = json.loads(base64.b64decode(str(token), validate=True))
    except (binascii.Error, ValueError):
        return None
    return str(cast("dict[str, Any]", document).get("t")) if isinstance(document, dict) else None
