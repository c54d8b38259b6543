"""The status page: in a zone of its own, with a database of its own, asking the API from outside as a customer does."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.topology import Topology
from components.worker import EdgeWorker, EdgeWorkerArgs

PLATFORM_NAME = "Backbuild"


@dataclass(frozen=True)
class StatusPageArgs:
    """The shape to declare, and the page's own zone."""

    topology: Topology
    zone_id: Input[str]


class StatusPage(ComponentResource):
    """`backbuild:index:StatusPage`: the public status page.

    Makes: a D1 database for its samples; the `EdgeWorker`, run every minute; and its custom domain.
    """

    url: Output[str]
    """Where everybody looks."""

    def __init__(self, name: str, args: StatusPageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:StatusPage", name, {}, opts)
        topology, hostnames, settings = args.topology, args.topology.hostnames, args.topology.settings
        account = settings.edge.account_id
        history = cloudflare.D1Database(
            name,
            account_id=account,
            name=f"{topology.prefix}-status",
            read_replication={"mode": "auto"},  # the page reads near its reader, and outlives the primary's location
            opts=ResourceOptions(parent=self, protect=settings.protect),
        )
        worker = EdgeWorker(
            name,
            EdgeWorkerArgs(
                account_id=account,
                script_name=f"{topology.prefix}-status",
                folder="status",
                schedules=[topology.schedules.probe],
                bindings=[
                    {"name": "DB", "type": "d1", "id": history.id},
                    {"name": "HEALTH_URL", "type": "plain_text", "text": hostnames.health_url},
                    {"name": "CONTACT", "type": "plain_text", "text": settings.contact},
                    {"name": "PLATFORM", "type": "plain_text", "text": PLATFORM_NAME},
                ],
            ),
            ResourceOptions(parent=self),
        )
        domain = cloudflare.WorkersCustomDomain(
            name,
            account_id=account,
            zone_id=args.zone_id,
            hostname=hostnames.status,
            service=worker.script_name,
            opts=ResourceOptions(parent=self),
        )
        self.url = domain.hostname.apply(lambda host: f"https://{host}/")
        self.register_outputs({"url": self.url})
