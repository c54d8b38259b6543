"""The way from the edge to the database: dialled from inside, so that the network admits nobody from outside."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import pulumi_cloudflare as cloudflare
import pulumi_random as random
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.topology import APPLICATION_ROLE, DATABASE_NAME, Port, Topology

TOKEN_BYTES = 32  # what cloudflared requires at least
# Workers speak through pooled connections; PostgreSQL keeps the rest of its 200 for members, backups and operators.
HYPERDRIVE_CONNECTIONS = 60


@dataclass(frozen=True)
class DatabaseTunnelArgs:
    """The shape to declare, the zone that names the database, and what Hyperdrive signs in with."""

    topology: Topology
    zone_id: Input[str]
    application_password: Output[str]


class DatabaseTunnel(ComponentResource):
    """`backbuild:index:DatabaseTunnel`: a Cloudflare Tunnel to the gateways, guarded by Access, with Hyperdrive on top.

    Makes: the tunnel, its secret and its configuration; a proxied name for it; an Access service token, a policy that
    admits that token alone, and the application it guards; and the Hyperdrive configuration that holds the token.
    """

    token: Output[str]
    """What the connectors start with; secret."""
    hyperdrive_id: Output[str]
    """What Workers bind."""
    tunnel_id: Output[str]
    """The tunnel."""

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
        cloudflare.ZeroTrustTunnelCloudflaredConfig(
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
        cloudflare.DnsRecord(
            name,
            zone_id=args.zone_id,
            name=host,
            type="CNAME",
            content=tunnel.id.apply(lambda tunnel_id: f"{tunnel_id}.cfargotunnel.com"),
            proxied=True,
            ttl=1,  # automatic, the only value a proxied record takes
            opts=own,
        )
        visitor = cloudflare.ZeroTrustAccessServiceToken(
            name, account_id=account, name=f"{topology.prefix}-hyperdrive", duration="8760h", opts=own
        )
        rule = cloudflare.ZeroTrustAccessPolicy(
            name,
            account_id=account,
            name=f"{topology.prefix}-hyperdrive",
            decision="non_identity",
            includes=[{"service_token": {"token_id": visitor.id}}],
            opts=own,
        )
        guard = cloudflare.ZeroTrustAccessApplication(
            name,
            account_id=account,
            name=f"{topology.prefix}-database",
            type="self_hosted",
            domain=host,
            policies=[{"id": rule.id, "precedence": 1}],
            app_launcher_visible=False,
            opts=own,
        )
        self.hyperdrive_id = cloudflare.HyperdriveConfig(
            name,
            account_id=account,
            name=topology.prefix,
            origin={
                "scheme": "postgresql",
                "host": host,  # without a port: behind Access the tunnel's configuration names it
                "database": DATABASE_NAME,
                "user": APPLICATION_ROLE,
                "password": args.application_password,
                "access_client_id": visitor.client_id,
                "access_client_secret": visitor.client_secret,
            },
            # A cached answer would outlive the failover that made it wrong.
            caching={"disabled": True},
            origin_connection_limit=HYPERDRIVE_CONNECTIONS,
            opts=ResourceOptions(parent=self, depends_on=[guard]),
        ).id
        self.register_outputs({"tunnelId": self.tunnel_id, "hyperdriveId": self.hyperdrive_id})


def connector_token(account_id: str, tunnel_id: str, secret: str) -> str:
    """What `cloudflared tunnel run --token` takes: account, tunnel and secret as base64 of compact JSON."""
    parts = json.dumps({"a": account_id, "t": tunnel_id, "s": secret}, separators=(",", ":"))
    return base64.b64encode(parts.encode()).decode()
