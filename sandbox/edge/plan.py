"""What the edge of a stack must run, as the simulated Cloudflare contains it. Pure: JSON for `host.mjs`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from sandbox.edge.crons import expand
from sandbox.machines.inventory import Inventory

BUCKET = "cloudflare:index/r2Bucket:R2Bucket"
LOCK = "cloudflare:index/r2BucketLock:R2BucketLock"
EVENTS = "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification"
TOKEN = "cloudflare:index/accountToken:AccountToken"  # noqa: S105 (a resource type)
DATABASE = "cloudflare:index/d1Database:D1Database"
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


def encoded(document: Json) -> bytes:
    """Return the JSON of a plan, the same for the same plan."""
    return json.dumps(document, sort_keys=True).encode()


def version(encoded: bytes) -> str:
    """Return the digest of a plan's JSON."""
    return hashlib.sha256(encoded).hexdigest()


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
        """Yield every rule of the bucket's settings of a type, after its setting."""
        for setting in inventory.of_type(type):
            if _place(setting.outputs, "bucketName") == id:
                rules: Any = setting.outputs.get("rules") or ()
                yield from ((setting.outputs, rule) for rule in rules)

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
    versions: dict[str, Json] = {one.id: {**one.outputs, "id": one.id} for one in inventory.of_type(VERSION)}
    for deployment in inventory.of_type(DEPLOYMENT):
        fields: Any = deployment.outputs
        newest = max(fields["versions"], key=lambda share: share["percentage"])["versionId"]
        yield _worker(fields["scriptName"], versions[newest], inventory)


def _worker(name: str, version: Json, inventory: Inventory) -> Json:
    domains = [f"{one.outputs['hostname']}/*" for one in inventory.of_type(DOMAIN) if one.outputs["service"] == name]
    routes = [str(one.outputs["pattern"]) for one in inventory.of_type(ROUTE) if one.outputs.get("script") == name]
    databases = {one.id for one in inventory.of_type(DATABASE)}
    # A version keeps its binding to a database that was deleted, but every query fails.
    bindings = [one for one in version.get("bindings") or () if one["type"] != "d1" or one["id"] in databases]
    return {
        "name": name,
        "main": version["mainModule"],
        "modules": [
            {"name": module["name"], "type": module["contentType"], "content": module["contentBase64"]}
            for module in version["modules"]
        ],
        "compatibilityDate": version["compatibilityDate"],
        "compatibilityFlags": version.get("compatibilityFlags") or [],
        "routes": domains + routes,
        "bindings": [_binding(name, one, version) for one in bindings],
    }


def _binding(worker: str, fields: Json, version: Json) -> Json:
    """Return what a binding gives a Worker: its kind, and the value or the target."""
    kind = _BINDINGS.get(fields["type"])
    if kind is None:
        raise UnsupportedError(
            f"{worker} has the binding {fields['name']} of type {fields['type']}, which the sandbox's edge does not "
            f"support; supported: {', '.join(_BINDINGS)}"
        )
    return {"name": fields["name"], **kind(fields, version)}


def _value(value: Any) -> Json:
    return {"kind": "value", "value": value}


def _metadata(version: Json) -> Json:
    annotations: Mapping[str, Any] = version.get("annotations") or {}
    return {"id": version["id"], "tag": annotations.get("workersTag", ""), "timestamp": version["createdOn"]}


_BINDINGS: dict[str, Callable[[Json, Json], Json]] = {
    "plain_text": lambda one, _: _value(one["text"]),
    "secret_text": lambda one, _: _value(one["text"]),
    "json": lambda one, _: _value(json.loads(one["json"])),
    "version_metadata": lambda _, version: _value(_metadata(version)),
    "d1": lambda one, _: {"kind": "d1", "id": one["id"]},
    "r2_bucket": lambda one, version: {"kind": "r2", "id": _place({**one, **version}, "bucketName")},
    "service": lambda one, _: {"kind": "service", "service": one["service"]},
    "ratelimit": lambda one, _: {
        "kind": "ratelimit",
        "simple": {"limit": one["simple"]["limit"], "period": one["simple"]["period"]},
    },
    "send_email": lambda one, _: {"kind": "email", "senders": one.get("allowedSenderAddresses")},
    "hyperdrive": lambda one, _: {"kind": "hyperdrive", "id": one["id"]},
}
