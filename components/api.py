"""The API: a Cloudflare Worker at the customers' hostname, connected to the database through Hyperdrive."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.worker import Binding, EdgeWorker, EdgeWorkerArgs
from model.topology import Topology
from model.worker_modules import application_of

PROBE_SECONDS = 60
PROBE_TIMEOUT_SECONDS = 5  # /health answers within 2 seconds (workers/api/index.js)


@dataclass(frozen=True)
class ApiArgs:
    """The topology, the zone of the API, the Hyperdrive configuration, and the script name of the report Worker."""

    topology: Topology
    zone_id: Input[str]
    hyperdrive_id: Input[str]
    backup_report: Input[str]


class Api(ComponentResource):
    """`backbuild:index:Api`: the API Worker, its hostname, its route and its health check.

    Makes: the `EdgeWorker` with the operator's script, rolled out to the percentage in the settings; its custom domain;
    a route for the domain's `/api/`; and a health check that requests `/health` from several regions.
    """

    url: Output[str]
    """The API's public URL."""
    version_id: Output[str]
    """The id of the newest version. The setting `api.rollout.stableVersion` takes such an id."""
    health_check_id: Output[str]
    """The health check, for notification policies."""

    def __init__(self, name: str, args: ApiArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Api", name, {}, opts)
        topology, hostnames = args.topology, args.topology.hostnames
        account = topology.settings.edge.account_id
        own = ResourceOptions(parent=self)
        script = topology.settings.api.script
        application = application_of(script) if script is not None else None
        application_binding: list[Binding] = (
            [{"name": "APPLICATION", "type": "plain_text", "text": f"../{application.main}"}] if application else []
        )
        worker = EdgeWorker(
            name,
            EdgeWorkerArgs(
                account_id=account,
                script_name=f"{topology.prefix}-api",
                folder="api",
                added=application.modules if application else (),
                rollout=topology.settings.api.rollout,
                bindings=[
                    {"name": "HYPERDRIVE", "type": "hyperdrive", "id": args.hyperdrive_id},
                    {
                        "name": "BACKUPS",
                        "type": "r2_bucket",
                        "bucket_name": topology.primary.bucket,
                        "jurisdiction": topology.primary.jurisdiction,
                    },
                    {"name": "BACKUP_REPORT", "type": "service", "service": args.backup_report},
                    {
                        "name": "STANZAS",
                        "type": "json",
                        "json": json.dumps([group.name for group in topology.database_groups]),
                    },
                    {"name": "VERSION", "type": "version_metadata"},
                    {"name": "ENVIRONMENT", "type": "plain_text", "text": topology.settings.tier.value},
                    *application_binding,
                ],
            ),
            ResourceOptions(parent=self),
        )
        domain = cloudflare.WorkersCustomDomain(
            name,
            account_id=account,
            zone_id=args.zone_id,
            hostname=hostnames.api,
            service=worker.script_name,
            opts=own,
        )
        cloudflare.WorkersRoute(
            name, zone_id=args.zone_id, pattern=f"{hostnames.domain}/api/*", script=worker.script_name, opts=own
        )
        check = cloudflare.Healthcheck(
            name,
            zone_id=args.zone_id,
            name=f"{topology.prefix}-api",
            address=hostnames.api,
            type="HTTPS",
            check_regions=["WEU", "ENAM", "SEAS"],  # three continents, so that a problem of one region is not an outage
            http_config={"path": "/health", "method": "GET", "port": 443, "expected_codes": ["200"]},
            interval=PROBE_SECONDS,
            timeout=PROBE_TIMEOUT_SECONDS,
            retries=2,
            consecutive_fails=2,
            consecutive_successes=2,
            opts=ResourceOptions(parent=self, depends_on=[domain]),
        )
        self.url = domain.hostname.apply(lambda host: f"https://{host}")
        self.version_id = worker.version_id
        self.health_check_id = check.id
        self.register_outputs({"url": self.url, "versionId": self.version_id})
