"""The Workers that look after backups: replicate at once, verify always, age out by the rotation, watch, and report."""

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

BATCH = 10  # messages at once: each is a whole object to copy, within the 15 minutes that a batch may take
BATCH_WAIT_MS = 5_000
RETRIES = 20  # with the delay below: an outage of a store of an hour and a half loses nothing
RETRY_DELAY_SECONDS = 300
CONCURRENCY = 5
# A dead letter is only written down, and nothing stands behind its queue: one that cannot be, because D1 is down, is
# tried again as often as queues do (100 times, 8 hours at least), then gone. Reconciliation still finds the object.
DEAD_LETTER_RETRIES = 100
CPU_MS = 300_000  # the most there is: SHA-256 over gigabytes, where 30 seconds are the default


@dataclass(frozen=True)
class BackupWorkersArgs:
    """The shape to declare, the vault they look after, whom they believe, and where they are heard.

    `manifest_keys` are the public keys of what machines sign; `zone_id` is the zone that the report answers in;
    `mail_domain` is one that mail may be sent from; `alarm_secret` is what webhooks to operators are signed with.
    """

    topology: Topology
    vault: BackupVault
    manifest_keys: Input[list[str]]
    zone_id: Input[str]
    mail_domain: Input[str]
    alarm_secret: Input[str]


class BackupWorkers(ComponentResource):
    """`backbuild:index:BackupWorkers`: four scheduled Workers, one that answers for them, and what they remember.

    Makes: a D1 database for the catalogue of what is to exist, findings, alarms and their runs; the `EdgeWorker`s
    replicate, verify, age-out and watch, each with its schedule, and report with its custom domain; the token that the
    report is read with; and the queue consumers that feed replicate: of the vault's events and of its dead letters.
    """

    script_names: dict[str, Output[str]]
    """Purpose to script."""
    url: Output[str]
    """Where the report is read."""
    token: Output[str]
    """What it is read with; secret."""

    def __init__(self, name: str, args: BackupWorkersArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:BackupWorkers", name, {}, opts)
        topology, settings = args.topology, args.topology.settings
        self._name: str = name
        self._args: BackupWorkersArgs = args
        self._account: str = settings.edge.account_id
        self._own: ResourceOptions = ResourceOptions(parent=self)
        data = ResourceOptions(parent=self, protect=settings.protect)
        memory = cloudflare.D1Database(
            name,
            account_id=self._account,
            name=f"{topology.prefix}-backups",
            # Said, not left out: a refresh reads `disabled` back, and the update that would take it away is refused.
            read_replication={"mode": "disabled"},
            opts=data,
        )
        self.token = generated(f"{name}-report-token", data)
        catalogue: list[Binding] = [
            {"name": "DB", "type": "d1", "id": memory.id},
            _json("GROUPS", [group.name for group in topology.database_groups]),
            _json("ROTATION", topology.rotation),
            _json("COPIES", binding_of(topology.copies)),
        ]
        stores = [*catalogue, *self._stores()]
        believing: list[Binding] = [
            *stores,
            {"name": "MANIFEST_KEYS", "type": "json", "json": Output.json_dumps(args.manifest_keys)},
        ]
        schedules = topology.schedules
        self.script_names = {
            "replicate": self._worker("replicate", believing, schedules.reconcile, cpu_ms=CPU_MS),
            "verify": self._worker("verify", believing, schedules.verify, cpu_ms=CPU_MS),
            "age-out": self._worker("age-out", stores, schedules.age_out),
            "watch": self._worker("watch", [*stores, *self._telling()], schedules.watch),
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
        """What replicate hears of: each new object, and each one that it could not handle."""
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
        """What leads to each copy: a bucket's binding, or keys."""
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

    def _telling(self) -> list[Binding]:
        """Who is told when something is missing, and by whom."""
        topology = self._args.topology
        sender = Output.concat("backups@", self._args.mail_domain)
        alarms = topology.settings.alarms
        return [
            {"name": "EMAIL", "type": "send_email", "allowed_sender_addresses": [sender]},
            {"name": "SENDER", "type": "plain_text", "text": sender},
            _json("ALARM_EMAILS", alarms.emails),
            # Shown to nobody at the edge: whoever has a hook's address can call it.
            {"name": "ALARM_WEBHOOKS", "type": "secret_text", "text": json.dumps(alarms.webhooks)},
            {"name": "ALARM_SECRET", "type": "secret_text", "text": self._args.alarm_secret},
            {"name": "PLATFORM", "type": "plain_text", "text": topology.prefix},
            {"name": "REPORT_URL", "type": "plain_text", "text": f"https://{topology.hostnames.backups}"},
        ]


def _bucket(binding: str, copy: R2Copy) -> Binding:
    return {"name": binding, "type": "r2_bucket", "bucket_name": copy.bucket, "jurisdiction": copy.jurisdiction}


def _json(binding: str, document: Any) -> Binding:
    return {"name": binding, "type": "json", "json": json.dumps(document)}
