"""The Workers that look after backups: replicate at once, verify always, age out by the rotation, watch for gaps."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Output, ResourceOptions

from components.topology import Topology
from components.vault import BackupVault
from components.worker import Binding, EdgeWorker, EdgeWorkerArgs

BATCH = 10  # messages at once: each is a whole object to copy, within the 15 minutes that a batch may take
BATCH_WAIT_MS = 5_000
RETRIES = 20  # with the delay below: an outage of a store of an hour and a half loses nothing
RETRY_DELAY_SECONDS = 300
CONCURRENCY = 5


@dataclass(frozen=True)
class BackupWorkersArgs:
    """The shape to declare, and the vault they look after."""

    topology: Topology
    vault: BackupVault


class BackupWorkers(ComponentResource):
    """`backbuild:index:BackupWorkers`: four scheduled Workers and what they remember.

    Makes: a D1 database for their runs; the `EdgeWorker`s replicate, verify, age-out and watch, each with its schedule
    and the buckets it needs; and the queue consumer that feeds replicate, with a dead-letter queue behind it.
    """

    script_names: dict[str, Output[str]]
    """Purpose to script."""

    def __init__(self, name: str, args: BackupWorkersArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:BackupWorkers", name, {}, opts)
        topology, vault, settings = args.topology, args.vault, args.topology.settings
        account, schedules, buckets = settings.edge.account_id, args.topology.schedules, args.topology.buckets
        memory = cloudflare.D1Database(
            name,
            account_id=account,
            name=f"{topology.prefix}-backups",
            opts=ResourceOptions(parent=self, protect=settings.protect),
        )
        copies: list[Binding] = [
            _bucket("PRIMARY", buckets.primary, buckets.primary_jurisdiction),
            _bucket("REPLICA", buckets.replica, buckets.replica_jurisdiction),
        ]
        runs: Binding = {"name": "DB", "type": "d1", "id": memory.id}
        offsite: list[Binding] = [
            {"name": "OFFSITE_BUCKET", "type": "plain_text", "text": buckets.offsite},
            {"name": "OFFSITE_REGION", "type": "plain_text", "text": buckets.offsite_region},
            {"name": "OFFSITE_ACCESS_KEY_ID", "type": "secret_text", "text": vault.offsite_keys.access_key_id},
            {"name": "OFFSITE_SECRET_ACCESS_KEY", "type": "secret_text", "text": vault.offsite_keys.secret_access_key},
        ]
        plan: dict[str, tuple[list[Binding], list[str]]] = {
            "replicate": ([*copies, *offsite], []),
            "verify": ([*copies, *offsite, runs], [schedules.verify]),
            "age-out": ([*copies, runs], [schedules.age_out]),
            "watch": ([*copies, runs], [schedules.watch]),
        }
        self.script_names = {
            purpose: EdgeWorker(
                f"{name}-{purpose}",
                EdgeWorkerArgs(
                    account_id=account,
                    script_name=f"{topology.prefix}-backup-{purpose}",
                    folder=f"backups/{purpose}",
                    bindings=bindings,
                    schedules=crons,
                ),
                ResourceOptions(parent=self),
            ).script_name
            for purpose, (bindings, crons) in plan.items()
        }
        cloudflare.QueueConsumer(
            f"{name}-replicate",
            account_id=account,
            queue_id=vault.queue.queue_id,
            type="worker",
            script_name=self.script_names["replicate"],
            dead_letter_queue=vault.dead_letters.queue_name,
            settings={
                "batch_size": BATCH,
                "max_wait_time_ms": BATCH_WAIT_MS,
                "max_retries": RETRIES,
                "retry_delay": RETRY_DELAY_SECONDS,
                "max_concurrency": CONCURRENCY,
            },
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"scriptNames": self.script_names})


def _bucket(binding: str, bucket: str, jurisdiction: str) -> Binding:
    return {"name": binding, "type": "r2_bucket", "bucket_name": bucket, "jurisdiction": jurisdiction}
