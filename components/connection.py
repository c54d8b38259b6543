"""The edge's pooled connections to the database: Hyperdrive, over the tunnel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_cloudflare as cloudflare
from pulumi import Alias, ComponentResource, Output, ResourceOptions

from components.tunnel import DatabaseTunnel
from model.topology import APPLICATION_ROLE, DATABASE_NAME, Topology

# Workers speak through pooled connections; PostgreSQL keeps the rest of its 200 for members, backups and operators.
HYPERDRIVE_CONNECTIONS = 60


@dataclass(frozen=True)
class DatabaseConnectionArgs:
    """The shape to declare, the way to the database, what Hyperdrive signs in with, and who must answer before.

    `after` are the health gates of the gateways: Cloudflare connects to the database when it makes the configuration,
    and refuses one that it cannot reach (error 2015).
    """

    topology: Topology
    tunnel: DatabaseTunnel
    application_password: Output[str]
    after: Sequence[pulumi.Resource]


class DatabaseConnection(ComponentResource):
    """`backbuild:index:DatabaseConnection`: what Workers reach the database through.

    Makes: the Hyperdrive configuration, which holds the service token that Access admits.
    """

    hyperdrive_id: Output[str]
    """What Workers bind."""

    def __init__(self, name: str, args: DatabaseConnectionArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:DatabaseConnection", name, {}, opts)
        topology, tunnel = args.topology, args.tunnel
        self.hyperdrive_id = cloudflare.HyperdriveConfig(
            name,
            account_id=topology.settings.edge.account_id,
            name=topology.prefix,
            origin={
                "scheme": "postgresql",
                # Without a port: behind Access the tunnel's configuration names it.
                "host": topology.hostnames.database,
                "database": DATABASE_NAME,
                "user": APPLICATION_ROLE,
                "password": args.application_password,
                "access_client_id": tunnel.client_id,
                "access_client_secret": tunnel.client_secret,
            },
            # A cached answer would outlive the failover that made it wrong.
            caching={"disabled": True},
            origin_connection_limit=HYPERDRIVE_CONNECTIONS,
            opts=ResourceOptions(
                parent=self, depends_on=[*tunnel.guarded, *args.after], aliases=[Alias(parent=tunnel)]
            ),
        ).id
        self.register_outputs({"hyperdriveId": self.hyperdrive_id})
