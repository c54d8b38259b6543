"""What the edge of a stack must run, as the simulated Cloudflare contains it. Pure: JSON for `host.mjs`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from sandbox.edge.crons import expand
from sandbox.machines.inventory import Inventory

BUCKET = "cloudflare:index/r2Bucket:R2Bucket"
LOCK = "cloudflare:index/r2BucketLock:R2BucketLock"
EVENTS = "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification"
TOKEN = "cloudflare:index/accountToken:AccountToken"  # noqa: S105 (a resource type)
QUEUE = "cloudflare:index/queue:Queue"
CONSUMER = "cloudflare:index/queueConsumer:QueueConsumer"
WORKER = "cloudflare:index/worker:Worker"
VERSION = "cloudflare:index/workerVersion:WorkerVersion"
DEPLOYMENT = "cloudflare:index/workersDeployment:WorkersDeployment"
CRON = "cloudflare:index/workersCronTrigger:WorkersCronTrigger"
DOMAIN = "cloudflare:index/workersCustomDomain:WorkersCustomDomain"
HYPERDRIVE = "cloudflare:index/hyperdriveConfig:HyperdriveConfig"
TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared"
TUNNEL_CONFIG = "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig"
ROUTE = "cloudflare:index/workersRoute:WorkersRoute"

R2 = "r2.cloudflarestorage.com"
# R2's permission groups for objects, by the ids that Cloudflare's API documents.
READ_ITEMS = "6a018a9f2fc74eb6b293b0c548f38b39"
WRITE_ITEMS = "2efd5506f9c8494dacb1fa10a3e7d5b6"
_BUCKET_RESOURCE = "com.cloudflare.edge.r2.bucket."

Json = dict[str, Any]


class UnsupportedError(Exception):
    """A Cloudflare Worker needs something that the sandbox's edge does not have."""


def plan(inventory: Inventory) -> Json:
    """Return the plan. Raises `UnsupportedError` if the edge cannot run a Cloudflare Worker as it is declared."""
    return {
        "buckets": [_bucket(one.outputs, inventory) for one in inventory.of_type(BUCKET)],
        "tokens": {one.id: _token(one.outputs) for one in inventory.of_type(TOKEN)},
        "queues": [_queue(one.outputs) for one in inventory.of_type(QUEUE)],
        "consumers": [_consumer(one.outputs) for one in inventory.of_type(CONSUMER)],
        "triggers": [one for trigger in inventory.of_type(CRON) for one in _triggers(trigger.outputs)],
        "tunnels": [_tunnel(one.id, one.outputs, inventory) for one in inventory.of_type(TUNNEL)],
        "hyperdrives": [_hyperdrive(one.id, one.outputs) for one in inventory.of_type(HYPERDRIVE)],
        "workers": list(_workers(inventory)),
    }


def version(document: Json) -> str:
    """Return a digest of a plan."""
    return hashlib.sha256(encoded(document)).hexdigest()


def encoded(document: Json) -> bytes:
    """Return the JSON of a plan, the same for the same plan."""
    return json.dumps(document, sort_keys=True).encode()


def hostnames(inventory: Inventory) -> list[str]:
    """Return the custom domains of the Cloudflare Workers."""
    return sorted(str(one.outputs["hostname"]) for one in inventory.of_type(DOMAIN))


def bucket_id(account: str, jurisdiction: str | None, name: str) -> str:
    """Return a bucket's id, as the resources of an API token name it."""
    return f"{account}_{jurisdiction or 'default'}_{name}"


def _place(fields: Mapping[str, Any], name: str) -> str:
    return bucket_id(fields["accountId"], fields.get("jurisdiction"), fields[name])


def _bucket(fields: Mapping[str, Any], inventory: Inventory) -> Json:
    id, jurisdiction = _place(fields, "name"), fields.get("jurisdiction") or "default"
    place = "" if jurisdiction == "default" else f".{jurisdiction}"

    def rules_of(type: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        for setting in inventory.of_type(type):
            if _place(setting.outputs, "bucketName") == id:
                yield from ((setting.outputs, rule) for rule in setting.outputs.get("rules") or ())  # pyright: ignore[reportGeneralTypeIssues]

    return {
        "id": id,
        "account": fields["accountId"],
        "name": fields["name"],
        "host": f"{fields['accountId']}{place}.{R2}",
        "locks": [
            {"prefix": rule.get("prefix") or "", "condition": rule["condition"]}
            for _, rule in rules_of(LOCK)
            if rule["enabled"]
        ],
        "events": [
            {
                "queue": setting["queueName"],
                "actions": rule["actions"],
                "prefix": rule.get("prefix") or "",
                "suffix": rule.get("suffix") or "",
            }
            for setting, rule in rules_of(EVENTS)
        ],
    }


def _token(fields: Mapping[str, Any]) -> Json:
    """Return what an API token allows on R2, and the secret that belongs to it as an access key."""
    allowed = {
        kind: sorted(_buckets_of(fields["policies"], "allow", groups) - _buckets_of(fields["policies"], "deny", groups))
        for kind, groups in (("read", {READ_ITEMS, WRITE_ITEMS}), ("write", {WRITE_ITEMS}))
    }
    return {"secret": hashlib.sha256(str(fields["value"]).encode()).hexdigest(), **allowed}


def _buckets_of(policies: Iterable[Mapping[str, Any]], effect: str, groups: set[str]) -> set[str]:
    """Return the buckets that the policies of an effect name for one of the permission groups."""
    return {
        resource.removeprefix(_BUCKET_RESOURCE)
        for policy in policies
        if policy["effect"] == effect and groups & {group["id"] for group in policy["permissionGroups"]}
        for resource, extent in json.loads(policy["resources"]).items()
        if resource.startswith(_BUCKET_RESOURCE) and extent == "*"
    }


def _queue(fields: Mapping[str, Any]) -> Json:
    return {"name": fields["queueName"], "seconds": fields["settings"]["messageRetentionPeriod"]}


def _consumer(fields: Mapping[str, Any]) -> Json:
    settings: Mapping[str, Any] = fields.get("settings") or {}
    # The defaults are Cloudflare's: developers.cloudflare.com/queues/configuration/configure-queues/
    return {
        "queue": fields["queueName"],
        "script": fields["scriptName"],
        "batchSize": settings.get("batchSize", 10),
        "waitMilliseconds": settings.get("maxWaitTimeMs", 5000),
        "retries": settings.get("maxRetries", 3),
        "retrySeconds": settings.get("retryDelay", 0),
        "concurrency": settings.get("maxConcurrency", 250),
        "deadLetters": fields.get("deadLetterQueue"),
    }


def _triggers(fields: Mapping[str, Any]) -> Iterator[Json]:
    for schedule in fields["schedules"]:
        try:
            times = expand(schedule["cron"])
        except ValueError:
            raise UnsupportedError(
                f"{fields['scriptName']} has the schedule {schedule['cron']!r}; the sandbox's edge supports numbers, "
                "names, ranges, lists and steps"
            ) from None
        yield {"script": fields["scriptName"], "cron": schedule["cron"], **times}


def _tunnel(id: str, fields: Mapping[str, Any], inventory: Inventory) -> Json:
    """Return a tunnel: the token of its connectors, and the service behind them for each host name."""
    ingresses = [
        rule
        for one in inventory.of_type(TUNNEL_CONFIG)
        if one.outputs["tunnelId"] == id
        for rule in cast("Json", one.outputs["config"])["ingresses"]
    ]
    return {
        "id": id,
        "token": {"a": fields["accountId"], "t": id, "s": fields["tunnelSecret"]},
        "services": {rule["hostname"]: rule["service"] for rule in ingresses if rule.get("hostname")},
    }


def _hyperdrive(id: str, fields: Mapping[str, Any]) -> Json:
    origin = fields["origin"]
    return {"id": id, **{name: origin[name] for name in ("host", "database", "user", "password")}}


def _workers(inventory: Inventory) -> Iterator[Json]:
    """Yield every deployed Worker, in the version that most requests get."""
    versions: dict[str, Mapping[str, Any]] = {one.id: one.outputs for one in inventory.of_type(VERSION)}
    for deployment in inventory.of_type(DEPLOYMENT):
        fields: Any = deployment.outputs
        newest = max(fields["versions"], key=lambda share: share["percentage"])["versionId"]
        yield _worker(fields["scriptName"], newest, versions[newest], inventory)


def _worker(name: str, id: str, fields: Mapping[str, Any], inventory: Inventory) -> Json:
    domains = [f"{one.outputs['hostname']}/*" for one in inventory.of_type(DOMAIN) if one.outputs["service"] == name]
    routes = [str(one.outputs["pattern"]) for one in inventory.of_type(ROUTE) if one.outputs.get("script") == name]
    metadata = {
        "id": id,
        "tag": (fields.get("annotations") or {}).get("workersTag", ""),
        "timestamp": fields["createdOn"],
    }
    bindings: list[Mapping[str, Any]] = fields.get("bindings") or []
    return {
        "name": name,
        "main": fields["mainModule"],
        "modules": [
            {"name": one["name"], "type": one["contentType"], "content": one["contentBase64"]}
            for one in fields["modules"]
        ],
        "compatibilityDate": fields["compatibilityDate"],
        "compatibilityFlags": fields.get("compatibilityFlags") or [],
        "routes": domains + routes,
        "bindings": [{"name": one["name"], **_binding(name, one, fields["accountId"], metadata)} for one in bindings],
    }


def _binding(worker: str, fields: Mapping[str, Any], account: str, metadata: Json) -> Json:
    """Return what a binding gives a Worker: its kind, and the value or the target."""
    kind = fields["type"]
    if kind in {"plain_text", "secret_text"}:
        return {"kind": "value", "value": fields["text"]}
    if kind == "json":
        return {"kind": "value", "value": json.loads(fields["json"])}
    if kind == "version_metadata":
        return {"kind": "value", "value": metadata}
    if kind == "d1":
        return {"kind": "d1", "id": fields["id"]}
    if kind == "r2_bucket":
        return {"kind": "r2", "id": bucket_id(account, fields.get("jurisdiction"), fields["bucketName"])}
    if kind == "service":
        return {"kind": "service", "service": fields["service"]}
    if kind == "ratelimit":
        return {
            "kind": "ratelimit",
            "simple": {"limit": fields["simple"]["limit"], "period": fields["simple"]["period"]},
        }
    if kind == "send_email":
        return {"kind": "email", "senders": fields.get("allowedSenderAddresses")}
    if kind == "hyperdrive":
        return {"kind": "hyperdrive", "id": fields["id"]}
    raise UnsupportedError(
        f"{worker} has the binding {fields['name']} of type {kind}, which the sandbox's edge does not support; "
        "supported: plain_text, secret_text, json, version_metadata, d1, r2_bucket, service, ratelimit, send_email, "
        "hyperdrive"
    )
