"""Hyperdrive: pooled connections from Cloudflare Workers to the database, through the tunnel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_cloudflare as cloudflare
from pulumi import Alias, ComponentResource, Output, ResourceOptions

from components.tunnel import DatabaseTunnel
from model.topology import APPLICATION_ROLE, DATABASE_NAME, Topology

# PostgreSQL's other 140 of 200 connections remain for members, backups and operators.
HYPERDRIVE_CONNECTIONS = 60


@dataclass(frozen=True)
class DatabaseConnectionArgs:
    """The topology, the tunnel, the application role's password, and the gateways' health gates (`after`).

    Cloudflare connects to the database when it creates the configuration, and fails with error 2015 if it cannot.
    """

    topology: Topology
    tunnel: DatabaseTunnel
    application_password: Output[str]
    after: Sequence[pulumi.Resource]


class DatabaseConnection(ComponentResource):
    """`backbuild:index:DatabaseConnection`: the database connection of Cloudflare Workers.

    Makes: the Hyperdrive configuration, with the service token of the Access application.
    """

    hyperdrive_id: Output[str]
    """The Hyperdrive configuration, for Workers' bindings."""

    def __init__(self, name: str, args: DatabaseConnectionArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:DatabaseConnection", name, {}, opts)
        topology, tunnel = args.topology, args.tunnel
        self.hyperdrive_id = cloudflare.HyperdriveConfig(
            name,
            account_id=topology.settings.edge.account_id,
            name=topology.prefix,
            origin={
                "scheme": "postgresql",
                # No port: with Access, the tunnel's configuration contains the port.
                "host": topology.hostnames.database,
                "database": DATABASE_NAME,
                "user": APPLICATION_ROLE,
                "password": args.application_password,
                "access_client_id": tunnel.client_id,
                "access_client_secret": tunnel.client_secret,
            },
            # No caching: cached results could be stale after a failover.
            caching={"disabled": True},
            origin_connection_limit=HYPERDRIVE_CONNECTIONS,
            opts=ResourceOptions(
                parent=self, depends_on=[*tunnel.prerequisites, *args.after], aliases=[Alias(parent=tunnel)]
            ),
        ).id
        self.register_outputs({"hyperdriveId": self.hyperdrive_id})
