"""Facts of Cloudflare Workers: scripts, versions, deployments, routes, schedules.

Limits: https://developers.cloudflare.com/workers/platform/limits/, …/workers/configuration/cron-triggers/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from sandbox.clouds import rules
from sandbox.clouds.cloudflare import prerequisites
from sandbox.clouds.cloudflare.storage import BUCKET, DATABASE, EPOCH, NAMESPACE, QUEUE, UUID
from sandbox.clouds.cloudflare.zones import HOSTNAME
from sandbox.clouds.facts import Facts, Rule, matching
from sandbox.clouds.schedules import worker_cron
from sandbox.provider import CheckFailure
from sandbox.values import Properties, Value

SCRIPT = "cloudflare:index/workersScript:WorkersScript"
WORKER = "cloudflare:index/worker:Worker"
VERSION = "cloudflare:index/workerVersion:WorkerVersion"
KIND = "Worker"

_NAME = rules.text(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", "1 to 63 lower-case letters, digits, _ and -")
# The required properties of each type of binding.
_NEEDED = {
    "d1": ("id", "databaseId"),
    "hyperdrive": ("id",),
    "json": ("json",),
    "kv_namespace": ("namespaceId",),
    "plain_text": ("text",),
    "queue": ("queueName",),
    "r2_bucket": ("bucketName",),
    "ratelimit": ("namespaceId",),
    "secret_text": ("text",),
    "service": ("service",),
}
_REFERENCES = {
    "bindings[].bucketName": BUCKET,
    "bindings[].queueName": QUEUE,
    "bindings[].namespaceId": NAMESPACE,
    "bindings[].databaseId": DATABASE,
    "bindings[].service": KIND,
}
# The provider declares these sensitive for bindings of every type, even `plain_text`.
_SENSITIVE = ("bindings[].text", "bindings[].keyBase64", "bindings[].keyJwk")
_RULES: dict[str, Rule] = {
    "compatibilityDate": rules.day,
    "bindings": rules.distinct("name"),
    "bindings[].name": rules.text(r"[A-Za-z_$][\w$]*", "a JavaScript identifier"),
    "bindings[].simple.period": rules.one_of(10, 60),
    "limits.cpuMs": rules.between(10, 300_000, "milliseconds"),
}


def _bindings(inputs: Properties) -> Iterator[CheckFailure]:
    for path, binding in matching(inputs, "bindings[]"):
        if isinstance(binding, dict):
            needed = _NEEDED.get(str(binding.get("type")))
            if needed and all(binding.get(name) is None for name in needed):
                yield CheckFailure(f"{path}.{needed[0]}", f"is required for a binding of type {binding['type']}")


def _by_name(outputs: Properties) -> Properties:
    """Sort bindings by name, as the API does in its responses."""
    listed = cast("list[dict[str, Any]]", outputs.get("bindings") or [])
    ordered = cast(Value, sorted(listed, key=lambda one: str(one["name"])))
    return {**outputs, "bindings": ordered} if listed else outputs


def _content(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("contentFile") is not None:
        if inputs.get("content") is not None:
            yield CheckFailure("contentFile", "cannot be combined with content; set one of them")
        if inputs.get("contentSha256") is None:
            yield CheckFailure("contentSha256", "is required if contentFile is set")
    if inputs.get("mainModule") is not None and inputs.get("bodyPart") is not None:
        yield CheckFailure("bodyPart", "cannot be combined with mainModule; a Worker is either a module or a script")


def _main_module(inputs: Properties) -> Iterator[CheckFailure]:
    names = [name for _, name in matching(inputs, "modules[].name")]
    main = inputs.get("mainModule")
    if isinstance(main, str) and names and main not in names:
        yield CheckFailure("mainModule", f"{main!r} is not among the modules: {', '.join(map(str, names))}")


def _percentages(inputs: Properties) -> Iterator[CheckFailure]:
    listed = inputs.get("versions")
    shares = [value for _, value in matching(inputs, "versions[].percentage")]
    if not isinstance(listed, list) or len(shares) != len(listed):
        return
    if not 1 <= len(listed) <= 2:
        yield CheckFailure("versions", f"has {len(listed)} versions; a deployment has one or two")
    if sum(cast(list[float], shares)) != 100:
        yield CheckFailure("versions", f"percentages {' + '.join(map(str, shares))} must add up to 100")


TYPES = {
    SCRIPT: Facts(
        id="{scriptName}",
        kind=KIND,
        computed={
            "createdOn": EPOCH,
            "modifiedOn": EPOCH,
            "etag": "{hex64}",
            "handlers": ["fetch"],
            "hasAssets": False,
            "hasModules": lambda context: context.get("mainModule") is not None,
            "lastDeployedFrom": "api",
            "startupTimeMs": 5,
            "migrationTag": None,
            "compatibilityDate": None,
            "bodyPart": None,
            "placementMode": None,
            "placementStatus": None,
        },
        defaults={"logpush": False, "usageModel": "standard", "compatibilityFlags": []},
        replaces=("scriptName",),
        rules={"scriptName": _NAME, **_RULES},
        inputs_rules=(_bindings, _content),
        references=_REFERENCES,
        sensitive=_SENSITIVE,
        read_back=_by_name,
        scope="{accountId}",
        unique=(("scriptName",),),
        known_as=("scriptName",),
    ),
    WORKER: Facts(
        kind=KIND,
        computed={"createdOn": EPOCH, "updatedOn": EPOCH, "deployedOn": None},
        defaults={"logpush": False, "tags": []},
        rules={"name": _NAME, "observability.headSamplingRate": rules.between(0, 1)},
        unique=(("accountId", "name"),),
        known_as=("name",),
        cascades_to=(VERSION,),
    ),
    VERSION: Facts(
        id=UUID,
        computed={
            "createdOn": EPOCH,
            "number": 1,
            "source": "api",
            "startupTimeMs": 5,
            "usageModel": "standard",
            "authorEmail": "sandbox@example.com",
            "authorId": "{hex32}",
            "mainScriptBase64": None,
            "migrationTag": None,
        },
        # Versions are immutable: every change forces a replacement.
        replaces=("*",),
        rules=_RULES,
        inputs_rules=(_bindings, _main_module),
        references={"workerId": KIND, **_REFERENCES},
        sensitive=_SENSITIVE,
        read_back=_by_name,
        known_as=(),
    ),
    "cloudflare:index/workersDeployment:WorkersDeployment": Facts(
        id=UUID,
        computed={"createdOn": EPOCH, "source": "api", "authorEmail": "sandbox@example.com"},
        replaces=("*",),
        rules={"versions[].percentage": rules.between(0, 100, "percent")},
        inputs_rules=(_percentages,),
        references={"scriptName": KIND, "versions[].versionId": VERSION},
        known_as=(),
    ),
    "cloudflare:index/workersRoute:WorkersRoute": Facts(
        rules={
            "pattern": rules.text(
                r"(https?://)?(\*|\*?[\w.-]*[\w-]+\.[a-zA-Z][\w-]*)(/[^?#]*)?",
                "a host and path with at most a leading * in the host, such as example.com/api/*",
            )
        },
        references={"script": KIND},
        rejects_in_update=prerequisites.routed_script_is_deployed,
        unique=(("zoneId", "pattern"),),
        known_as=(),
    ),
    "cloudflare:index/workersCustomDomain:WorkersCustomDomain": Facts(
        computed={"certId": UUID, "zoneName": "{hostname}", "zoneId": "{hex32}"},
        defaults={"environment": "production"},
        replaces=("hostname",),
        rules={"hostname": HOSTNAME},
        references={"service": KIND},
        rejects_in_update=prerequisites.custom_domain,
        unique=(("hostname",),),
        known_as=(),
    ),
    "cloudflare:index/workersCronTrigger:WorkersCronTrigger": Facts(
        id="{scriptName}",
        replaces=("scriptName",),
        undeletable=(
            "scriptName",
            "first declare schedules: [] and run `up`, then remove it; until then the schedules apply",
        ),
        rules={"schedules[].cron": worker_cron, "schedules": rules.distinct("cron")},
        references={"scriptName": KIND},
        rejects_in_update=prerequisites.script_is_deployed,
        scope="{accountId}",
        unique=(("scriptName",),),
        known_as=(),
    ),
    "cloudflare:index/workersScriptSubdomain:WorkersScriptSubdomain": Facts(
        id="{scriptName}",
        replaces=("scriptName",),
        references={"scriptName": KIND},
        scope="{accountId}",
        unique=(("scriptName",),),
        known_as=(),
    ),
}
