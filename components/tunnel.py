"""The Cloudflare Tunnel from the edge to the database. Gateways open it from inside; no port faces the internet."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import pulumi
import pulumi_cloudflare as cloudflare
import pulumi_random as random
from pulumi import ComponentResource, Input, Output, ResourceOptions

from model.topology import Port, Topology

TOKEN_BYTES = 32  # cloudflared's minimum


@dataclass(frozen=True)
class DatabaseTunnelArgs:
    """The topology, and the zone of the database's hostname."""

    topology: Topology
    zone_id: Input[str]


class DatabaseTunnel(ComponentResource):
    """`backbuild:index:DatabaseTunnel`: a Cloudflare Tunnel to the gateways, protected by Access.

    Makes: the tunnel, its secret and its configuration; a proxied DNS record for it; an Access service token, a policy
    that admits only that token, and the Access application. `DatabaseConnection` adds Hyperdrive.
    """

    token: Output[str]
    """The connectors' token; secret."""
    tunnel_id: Output[str]
    """The tunnel."""
    client_id: Output[str]
    """The client id of the service token that Access admits."""
    client_secret: Output[str]
    """The client secret of that service token."""
    prerequisites: list[pulumi.Resource]
    """The resources that a connection through the tunnel needs: configuration, DNS record and Access application."""

    def __init__(self, name: str, args: DatabaseTunnelArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:DatabaseTunnel", name, {}, opts)
        topology = args.topology
        account, host = topology.settings.edge.account_id, topology.hostnames.database
        own = ResourceOptions(parent=self)

        secret = random.RandomBytes(name, length=TOKEN_BYTES, opts=own)
        tunnel = cloudflare.ZeroTrustTunnelCloudflared(
            name,
            account_id=account,
            name=topology.prefix,
            config_src="cloudflare",
            tunnel_secret=secret.base64,
            opts=own,
        )
        self.tunnel_id = tunnel.id
        self.token = Output.all(tunnel.id, secret.base64).apply(lambda parts: connector_token(account, *parts))
        ingress = cloudflare.ZeroTrustTunnelCloudflaredConfig(
            name,
            account_id=account,
            tunnel_id=tunnel.id,
            source="cloudflare",
            config={
                "ingresses": [
                    {"hostname": host, "service": f"tcp://localhost:{Port.GATEWAY_WRITE.number}"},
                    {"service": "http_status:404"},
                ]
            },
            opts=own,
        )
        record = cloudflare.DnsRecord(
            name,
            zone_id=args.zone_id,
            name=host,
            type="CNAME",
            content=tunnel.id.apply(lambda tunnel_id: f"{tunnel_id}.cfargotunnel.com"),
            proxied=True,
            ttl=1,  # automatic, the only value that a proxied record accepts
            opts=own,
        )
        service_token = cloudflare.ZeroTrustAccessServiceToken(
            name, account_id=account, name=f"{topology.prefix}-hyperdrive", duration="8760h", opts=own
        )
        access_policy = cloudflare.ZeroTrustAccessPolicy(
            name,
            account_id=account,
            name=f"{topology.prefix}-hyperdrive",
            decision="non_identity",
            includes=[{"service_token": {"token_id": service_token.id}}],
            opts=own,
        )
        application = cloudflare.ZeroTrustAccessApplication(
            name,
            account_id=account,
            name=f"{topology.prefix}-database",
            type="self_hosted",
            domain=host,
            policies=[{"id": access_policy.id, "precedence": 1}],
            app_launcher_visible=False,
            # Cloudflare refuses an application whose hostname is in no zone of the account.
            opts=ResourceOptions(parent=self, depends_on=[record]),
        )
        self.client_id = service_token.client_id
        self.client_secret = service_token.client_secret
        self.prerequisites = [ingress, record, application]
        self.register_outputs({"tunnelId": self.tunnel_id})


def connector_token(account_id: str, tunnel_id: str, secret: str) -> str:
    """Return the token for `cloudflared tunnel run`: account, tunnel and secret as base64 of compact JSON."""
    parts = json.dumps({"a": account_id, "t": tunnel_id, "s": secret}, separators=(",", ":"))
    return base64.b64encode(parts.encode()).decode()
