"""The status page: its own zone and database, so that it works while the API is down; probes the API from outside."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.tokens import digest, generated
from components.worker import Binding, EdgeWorker, EdgeWorkerArgs
from model.settings import Settings, Uptime, WebhookKey
from model.topology import Topology

PLATFORM_NAME = "Backbuild"
ADMIN_CALLS_A_MINUTE = 60  # by address and location: enough for an operator, too few to guess tokens


@dataclass(frozen=True)
class StatusPageArgs:
    """The topology, the page's zone, the secret that signs webhooks to operators, and the last verified restore."""

    topology: Topology
    zone_id: Input[str]
    alarm_secret: Input[str]
    last_restore: Mapping[str, object] | None


class StatusPage(ComponentResource):
    """`backbuild:index:StatusPage`: the public status page and its notifications.

    Makes: a D1 database; a token for each operator; the key that signs webhooks; the domain that e-mail is sent from;
    the `EdgeWorker`, which runs every minute; and its custom domain.
    """

    url: Output[str]
    """The public URL of the page."""
    operator_tokens: Output[dict[str, str]]
    """Operator to token; secret."""
    mail_domain: Output[str]
    """The sender domain of e-mail, known once it is created."""

    def __init__(self, name: str, args: StatusPageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:StatusPage", name, {}, opts)
        topology, hostnames, settings = args.topology, args.topology.hostnames, args.topology.settings
        account, own = settings.edge.account_id, ResourceOptions(parent=self)
        history = cloudflare.D1Database(
            name,
            account_id=account,
            name=f"{topology.prefix}-status",
            read_replication={"mode": "auto" if settings.status.read_replicas else "disabled"},
            opts=ResourceOptions(parent=self, protect=settings.protect),
        )
        # Not `Output.all`, which returns a list instead of a dictionary if there are no operators.
        tokens = {operator: generated(f"{name}-operator-{operator}", own) for operator in settings.status.operators}
        self.operator_tokens = cast("Output[dict[str, str]]", Output.from_input(tokens))
        # Each webhook contact's secret is derived from this key. If it is lost, every contact must enter a new secret.
        webhook_keys = [
            generated(_key_name(name, generation), ResourceOptions(parent=self, protect=settings.protect))
            for generation in signing_generations(settings.status.webhook_key)
        ]
        sending = cloudflare.EmailSendingSubdomain(name, zone_id=args.zone_id, name=hostnames.notifications, opts=own)
        worker = EdgeWorker(
            name,
            EdgeWorkerArgs(
                account_id=account,
                script_name=f"{topology.prefix}-status",
                folder="status",
                schedules=[topology.schedules.probe],
                bindings=[
                    {"name": "DB", "type": "d1", "id": history.id},
                    *_texts(topology),
                    *_documents(settings, args.last_restore),
                    {
                        "name": "EMAIL",
                        "type": "send_email",
                        "allowed_sender_addresses": [f"status@{hostnames.notifications}"],
                    },
                    {"name": "OPERATORS", "type": "secret_text", "text": self.operator_tokens.apply(digests)},
                    # Secret, because anyone who knows a webhook's URL can call it.
                    {"name": "ALARM_WEBHOOKS", "type": "secret_text", "text": json.dumps(settings.alarms.webhooks)},
                    {"name": "ALARM_SECRET", "type": "secret_text", "text": args.alarm_secret},
                    *(
                        {"name": binding, "type": "secret_text", "text": key}
                        for binding, key in zip(("WEBHOOK_KEY", "WEBHOOK_KEY_BEFORE"), webhook_keys, strict=False)
                    ),
                    {
                        "name": "ADMIN_LIMIT",
                        "type": "ratelimit",
                        "namespace_id": str(
                            zlib.crc32(topology.prefix.encode())
                        ),  # any number that is unique in the account
                        "simple": {"limit": ADMIN_CALLS_A_MINUTE, "period": 60},
                    },
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
            opts=own,
        )
        self.url = domain.hostname.apply(lambda host: f"https://{host}/")
        self.mail_domain = sending.name
        self.register_outputs({"url": self.url})


def signing_generations(key: WebhookKey) -> list[int]:
    """Return the generations of the webhook key that sign, newest first."""
    return [key.generation, *([key.generation - 1] if key.overlap and key.generation > 1 else [])]


def _key_name(name: str, generation: int) -> str:
    return f"{name}-webhook-key" + (f"-{generation}" if generation > 1 else "")


def digests(tokens: Mapping[str, str]) -> str:
    """Return the tokens' digests for the Worker: JSON, operator to SHA-256 in hexadecimal."""
    return json.dumps({operator: digest(token) for operator, token in tokens.items()})


def agreement(uptime: Uptime) -> dict[str, object]:
    """Return the uptime target and credits for the Worker, with percentages as integers in thousandths."""
    return {
        "target": _thousandths(uptime.target_percent),
        "credits": [
            {"below": _thousandths(credit.below_percent), "credit": credit.credit_percent} for credit in uptime.credits
        ],
    }


def _thousandths(percent: float) -> int:
    return round(percent * 1000)


def _texts(topology: Topology) -> list[Binding]:
    hostnames = topology.hostnames
    texts = {
        "HEALTH_URL": hostnames.health_url,
        "STATUS_URL": f"https://{hostnames.status}",
        "CONTACT": topology.settings.contact,
        "PLATFORM": PLATFORM_NAME,
        "SENDER": f"status@{hostnames.notifications}",
    }
    return [{"name": name, "type": "plain_text", "text": text} for name, text in texts.items()]


def _documents(settings: Settings, last_restore: Mapping[str, object] | None) -> list[Binding]:
    documents = {
        "COMPONENTS": [component.model_dump() for component in settings.status.components],
        "SLA": agreement(settings.uptime),
        "ALARM_EMAILS": settings.alarms.emails,
        "NOTICE_HOURS": settings.maintenance.notice_hours,
        **({"LAST_RESTORE": last_restore} if last_restore else {}),
    }
    return [{"name": name, "type": "json", "json": json.dumps(document)} for name, document in documents.items()]
