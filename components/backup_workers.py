"""The backup Workers (Cloudflare Workers): replicate, verify and age out backups, send alarms, and serve the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.tokens import digest, generated
from components.vault import BackupVault
from components.worker import Binding, EdgeWorker, EdgeWorkerArgs
from model.copies import R2Copy, binding_name, binding_of
from model.topology import Topology

BATCH = 10  # messages per call: each means copying one object, and a call may take 15 minutes
BATCH_WAIT_MS = 5_000
RETRIES = 20  # with the delay below, no message is lost if a store is down for an hour and a half
RETRY_DELAY_SECONDS = 300
CONCURRENCY = 5
# The consumer records a dead letter in D1; the dead-letter queue has no such queue of its own. While D1 is down, it
# retries as often as Queues allow: 100 times, over at least 8 hours. After that the message is lost, but reconciliation
# still finds the object.
DEAD_LETTER_RETRIES = 100
CPU_MS = 300_000  # the maximum. SHA-256 over gigabytes takes longer than the default, 30 seconds


@dataclass(frozen=True)
class BackupWorkersArgs:
    """The topology, the vault, and the keys, addresses and secrets of the Workers.

    `manifest_keys` are the public keys that verify manifests; `zone_id` is the zone of the report's hostname;
    `mail_domain` is the sender domain of alarms by e-mail; `alarm_secret` signs webhooks to operators.
    """

    topology: Topology
    vault: BackupVault
    manifest_keys: Input[list[str]]
    zone_id: Input[str]
    mail_domain: Input[str]
    alarm_secret: Input[str]


class BackupWorkers(ComponentResource):
    """`backbuild:index:BackupWorkers`: four scheduled Cloudflare Workers, the report Worker, and their database.

    Makes: a D1 database with the catalogue of expected objects, findings, alarms and runs of the Workers; the
    `EdgeWorker`s replicate, verify, age-out and watch, each with its schedule, and report with its custom domain; the
    token for the report; and the queue consumers of replicate, for the vault's events and for its dead letters.
    """

    script_names: dict[str, Output[str]]
    """The script name of each Worker, by its purpose."""
    url: Output[str]
    """The URL of the report."""
    token: Output[str]
    """The bearer token for the report; secret."""

    def __init__(self, name: str, args: BackupWorkersArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:BackupWorkers", name, {}, opts)
        topology, settings = args.topology, args.topology.settings
        self._name: str = name
        self._args: BackupWorkersArgs = args
        self._account: str = settings.edge.account_id
        self._own: ResourceOptions = ResourceOptions(parent=self)
        data = ResourceOptions(parent=self, protect=settings.protect)
        database = cloudflare.D1Database(
            name,
            account_id=self._account,
            name=f"{topology.prefix}-backups",
            # Explicit although it is the default: a refresh reads `disabled` back, and Cloudflare refuses an update
            # that removes it (error 7400).
            read_replication={"mode": "disabled"},
            opts=data,
        )
        self.token = generated(f"{name}-report-token", data)
        catalogue: list[Binding] = [
            {"name": "DB", "type": "d1", "id": database.id},
            _json("GROUPS", [group.name for group in topology.database_groups]),
            _json("ROTATION", topology.rotation),
            _json("COPIES", binding_of(topology.copies)),
        ]
        stores = [*catalogue, *self._stores()]
        verifying: list[Binding] = [
            *stores,
            {"name": "MANIFEST_KEYS", "type": "json", "json": Output.json_dumps(args.manifest_keys)},
        ]
        schedules = topology.schedules
        self.script_names = {
            "replicate": self._worker("replicate", verifying, schedules.reconcile, cpu_ms=CPU_MS),
            "verify": self._worker("verify", verifying, schedules.verify, cpu_ms=CPU_MS),
            "age-out": self._worker("age-out", stores, schedules.age_out),
            "watch": self._worker("watch", [*stores, *self._alarm_bindings()], schedules.watch),
            "report": self._worker(
                "report",
                [*catalogue, {"name": "TOKEN_SHA256", "type": "secret_text", "text": self.token.apply(digest)}],
            ),
        }
        self._consumers()
        domain = cloudflare.WorkersCustomDomain(
            f"{name}-report",
            account_id=self._account,
            zone_id=args.zone_id,
            hostname=topology.hostnames.backups,
            service=self.script_names["report"],
            opts=self._own,
        )
        self.url = domain.hostname.apply(lambda host: f"https://{host}")
        self.register_outputs({"scriptNames": self.script_names, "url": self.url})

    def _worker(
        self, purpose: str, bindings: list[Binding], schedule: str | None = None, *, cpu_ms: int | None = None
    ) -> Output[str]:
        return EdgeWorker(
            f"{self._name}-{purpose}",
            EdgeWorkerArgs(
                account_id=self._account,
                script_name=f"{self._args.topology.prefix}-backup-{purpose}",
                folder=f"backups/{purpose}",
                bindings=bindings,
                schedules=[schedule] if schedule else [],
                cpu_ms=cpu_ms,
            ),
            self._own,
        ).script_name

    def _consumers(self) -> None:
        """Declare the queue consumers of replicate: new objects, and events that failed after all retries."""
        vault = self._args.vault
        script = self.script_names["replicate"]
        cloudflare.QueueConsumer(
            f"{self._name}-replicate",
            account_id=self._account,
            queue_id=vault.queue.queue_id,
            type="worker",
            script_name=script,
            dead_letter_queue=vault.dead_letters.queue_name,
            settings={
                "batch_size": BATCH,
                "max_wait_time_ms": BATCH_WAIT_MS,
                "max_retries": RETRIES,
                "retry_delay": RETRY_DELAY_SECONDS,
                "max_concurrency": CONCURRENCY,
            },
            opts=self._own,
        )
        cloudflare.QueueConsumer(
            f"{self._name}-dead-letters",
            account_id=self._account,
            queue_id=vault.dead_letters.queue_id,
            type="worker",
            script_name=script,
            settings={
                "batch_size": BATCH,
                "max_wait_time_ms": BATCH_WAIT_MS,
                "max_retries": DEAD_LETTER_RETRIES,
                "retry_delay": RETRY_DELAY_SECONDS,
                "max_concurrency": 1,
            },
            opts=self._own,
        )

    def _stores(self) -> list[Binding]:
        """Return the bindings of each copy: an R2 bucket, or the keys of an S3-compatible store."""
        keys = self._args.vault.writer_keys
        stores: list[Binding] = []
        for copy in self._args.topology.copies:
            name = binding_name(copy)
            if isinstance(copy, R2Copy):
                stores.append(_bucket(name, copy))
            else:
                own = keys[copy.name]
                for key, text in (("ACCESS_KEY_ID", own.access_key_id), ("SECRET_ACCESS_KEY", own.secret_access_key)):
                    stores.append({"name": f"{name}_{key}", "type": "secret_text", "text": text})
        return stores

    def _alarm_bindings(self) -> list[Binding]:
        """Return the bindings for alarms: recipients, sender, and the secret that signs webhooks."""
        topology = self._args.topology
        sender = Output.concat("backups@", self._args.mail_domain)
        alarms = topology.settings.alarms
        return [
            {"name": "EMAIL", "type": "send_email", "allowed_sender_addresses": [sender]},
            {"name": "SENDER", "type": "plain_text", "text": sender},
            _json("ALARM_EMAILS", alarms.emails),
            # A secret, because a webhook's URL is enough to call it.
            {"name": "ALARM_WEBHOOKS", "type": "secret_text", "text": json.dumps(alarms.webhooks)},
            {"name": "ALARM_SECRET", "type": "secret_text", "text": self._args.alarm_secret},
            {"name": "PLATFORM", "type": "plain_text", "text": topology.prefix},
            {"name": "REPORT_URL", "type": "plain_text", "text": f"https://{topology.hostnames.backups}"},
        ]


def _bucket(binding: str, copy: R2Copy) -> Binding:
    return {"name": binding, "type": "r2_bucket", "bucket_name": copy.bucket, "jurisdiction": copy.jurisdiction}


def _json(binding: str, document: Any) -> Binding:
    return {"name": binding, "type": "json", "json": json.dumps(document)}
