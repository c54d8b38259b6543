"""The way from the edge to the database: dialled from inside, so that the network admits nobody from outside."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import pulumi
import pulumi_cloudflare as cloudflare
import pulumi_random as random
from pulumi import ComponentResource, Input, Output, ResourceOptions

from model.topology import Port, Topology

TOKEN_BYTES = 32  # what cloudflared requires at least


@dataclass(frozen=True)
class DatabaseTunnelArgs:
    """The shape to declare, and the zone that names the database."""

    topology: Topology
    zone_id: Input[str]


class DatabaseTunnel(ComponentResource):
    """`backbuild:index:DatabaseTunnel`: a Cloudflare Tunnel to the gateways, guarded by Access.

    Makes: the tunnel, its secret and its configuration; a proxied name for it; an Access service token, a policy that
    admits that token alone, and the application it guards. `DatabaseConnection` puts Hyperdrive on top.
    """

    token: Output[str]
    """What the connectors start with; secret."""
    tunnel_id: Output[str]
    """The tunnel."""
    client_id: Output[str]
    """The service token that Access admits."""
    client_secret: Output[str]
    """Its secret."""
    guarded: list[pulumi.Resource]
    """What must stand before anything reaches the database through the tunnel: its ingress, its name and its guard."""

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
            # An application is refused while no zone of the account holds its name.
            opts=ResourceOptions(parent=self, depends_on=[record]),
        )
        self.client_id = visitor.client_id
        self.client_secret = visitor.client_secret
        self.guarded = [ingress, record, guard]
        self.register_outputs({"tunnelId": self.tunnel_id})


def connector_token(account_id: str, tunnel_id: str, secret: str) -> str:
    """What `cloudflared tunnel run --token` takes: account, tunnel and secret as base64 of compact JSON."""
    parts = json.dumps({"a": account_id, "t": tunnel_id, "s": secret}, separators=(",", ":"))
    return base64.b64encode(parts.encode()).decode()
