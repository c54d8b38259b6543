"""A Worker as it is deployed: its modules as they lie in `workers/`, its bindings, and how far it is rolled out."""

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
    """A Worker: its name at Cloudflare, its folder below `workers/`, what it is bound to and when it runs.

    `added` are modules from elsewhere, that the folder's own load at run time; `cpu_ms` is the computing time that one
    call may take, where the edge's default is too little.
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
    """`backbuild:index:EdgeWorker`: one Worker, deployed.

    Makes: the Worker with observability on and no address below workers.dev; a version of its modules and bindings; a
    deployment of that version, whole or beside the stable one; and its cron triggers.
    """

    script_name: Output[str]
    """What routes, domains and queues name; known once the deployment stands."""
    version_id: Output[str]
    """The newest version."""

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
            # In the order in which the API answers them: the provider compares by index, and a refresh would replace.
            bindings=sorted(args.bindings, key=_name),
            limits=None if args.cpu_ms is None else {"cpu_ms": args.cpu_ms},
            compatibility_date=COMPATIBILITY_DATE,
            compatibility_flags=list(COMPATIBILITY_FLAGS),
            annotations={"workers_tag": fingerprint(modules)},
            # A version never changes, so any change is a new one; the old one stays at the edge to roll back to.
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
    """Which version how many percent of the requests get."""
    versions: list[cloudflare.WorkersDeploymentVersionArgsDict] = [
        {"version_id": version, "percentage": rollout.percentage}
    ]
    if rollout.stable_version is not None and rollout.percentage < 100:
        versions.append({"version_id": rollout.stable_version, "percentage": 100 - rollout.percentage})
    return versions
