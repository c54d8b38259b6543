"""A deployed Cloudflare Worker: its modules from `workers/`, its bindings, its schedules and its rollout."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from model.settings import Rollout
from model.worker_modules import COMPATIBILITY_DATE, COMPATIBILITY_FLAGS, Module, fingerprint, modules_of

Binding = cloudflare.WorkerVersionBindingArgsDict


@dataclass(frozen=True)
class EdgeWorkerArgs:
    """A Worker: its script name at Cloudflare, its folder below `workers/`, its bindings and its cron schedules.

    `added` are modules from outside `workers/` that are imported at run time. `cpu_ms` is the CPU limit of one
    invocation; None means Cloudflare's default.
    """

    account_id: str
    script_name: str
    folder: str
    added: Sequence[Module] = ()
    bindings: Sequence[Binding] = ()
    schedules: Sequence[str] = ()
    rollout: Rollout = field(default_factory=Rollout)
    cpu_ms: int | None = None


def _name(binding: Any) -> str:
    return binding["name"]


class EdgeWorker(ComponentResource):
    """`backbuild:index:EdgeWorker`: one deployed Cloudflare Worker.

    Makes: the Worker with observability and without a workers.dev address; a version with its modules and bindings; a
    deployment of that version, alone or beside the stable version; and its cron triggers.
    """

    script_name: Output[str]
    """The script name for routes, domains and queues; known once the deployment exists."""
    version_id: Output[str]
    """The id of the newest version."""

    def __init__(self, name: str, args: EdgeWorkerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:EdgeWorker", name, {}, opts)
        own = ResourceOptions(parent=self)
        modules = (*modules_of(args.folder), *args.added)
        worker = cloudflare.Worker(
            name,
            account_id=args.account_id,
            name=args.script_name,
            observability={
                "enabled": True,
                "head_sampling_rate": 1,
                "logs": {"enabled": True, "invocation_logs": True},
            },
            subdomain={"enabled": False, "previews_enabled": False},
            opts=own,
        )
        version = cloudflare.WorkerVersion(
            name,
            account_id=args.account_id,
            worker_id=worker.id,
            main_module=f"{args.folder}/index.js",
            modules=[
                {
                    "name": module.name,
                    "content_type": module.content_type,
                    "content_base64": base64.b64encode(module.content).decode(),
                }
                for module in modules
            ],
            # Sorted like the API's response: the provider compares by index, and a refresh would plan a replacement.
            bindings=sorted(args.bindings, key=_name),
            limits=None if args.cpu_ms is None else {"cpu_ms": args.cpu_ms},
            compatibility_date=COMPATIBILITY_DATE,
            compatibility_flags=list(COMPATIBILITY_FLAGS),
            annotations={"workers_tag": fingerprint(modules)},
            # A version is immutable: each change creates a new version. Old versions stay at Cloudflare for rollback.
            opts=ResourceOptions(parent=self, replace_on_changes=["*"], retain_on_delete=True),
        )
        deployment = cloudflare.WorkersDeployment(
            name,
            account_id=args.account_id,
            script_name=worker.name,
            strategy="percentage",
            versions=shares(version.id, args.rollout),
            opts=own,
        )
        if args.schedules:
            cloudflare.WorkersCronTrigger(
                name,
                account_id=args.account_id,
                script_name=deployment.script_name,
                schedules=[{"cron": schedule} for schedule in args.schedules],
                opts=own,
            )
        self.script_name = deployment.script_name
        self.version_id = version.id
        self.register_outputs({"scriptName": self.script_name, "versionId": self.version_id})


def shares(version: Input[str], rollout: Rollout) -> list[cloudflare.WorkersDeploymentVersionArgsDict]:
    """Return each version's percentage of requests."""
    versions: list[cloudflare.WorkersDeploymentVersionArgsDict] = [
        {"version_id": version, "percentage": rollout.percentage}
    ]
    if rollout.stable_version is not None and rollout.percentage < 100:
        versions.append({"version_id": rollout.stable_version, "percentage": 100 - rollout.percentage})
    return versions
