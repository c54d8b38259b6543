"""A Worker as it is deployed: its modules as they lie in `workers/`, its bindings, and how far it is rolled out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.settings import Rollout

WORKERS = Path(__file__).resolve().parent.parent / "workers"
COMPATIBILITY_DATE = "2026-04-24"  # what the tests' workerd knows; a later one would run here as something else
_CONTENT_TYPES = {".js": "application/javascript+module", ".sql": "text/plain"}
_IMPORT = re.compile(
    r"""^(?:import|export)\s[^;]*?from\s+["'](\.[^"']+)["']|^import\s+["'](\.[^"']+)["']""", re.MULTILINE
)

Binding = cloudflare.WorkerVersionBindingArgsDict


@dataclass(frozen=True)
class Module:
    """One uploaded file: its path below `workers/`, and its bytes."""

    name: str
    content: bytes

    @property
    def content_type(self) -> str:
        """What the edge takes the file for."""
        return _CONTENT_TYPES[Path(self.name).suffix]


def modules_of(folder: str, root: Path = WORKERS) -> tuple[Module, ...]:
    """A Worker's `index.js` and everything that it imports, by name; imports keep resolving because paths are kept.

    Raises `FileNotFoundError` naming the file that imports what is not there.
    """
    found: dict[str, Module] = {}
    waiting = [(root / folder / "index.js", root / folder)]
    while waiting:
        path, importer = waiting.pop()
        name = path.resolve().relative_to(root.resolve()).as_posix()
        if name in found:
            continue
        if not path.is_file():
            raise FileNotFoundError(f"{importer}: there is no module {name}")
        found[name] = Module(name, path.read_bytes())
        if path.suffix == ".js":
            imports = _IMPORT.findall(found[name].content.decode())
            waiting += [(path.parent / (plain or bare), path) for plain, bare in imports]
    return tuple(found[name] for name in sorted(found))


@dataclass(frozen=True)
class EdgeWorkerArgs:
    """A Worker: its name at Cloudflare, its folder below `workers/`, what it is bound to and when it runs."""

    account_id: str
    script_name: str
    folder: str
    bindings: Sequence[Binding] = ()
    schedules: Sequence[str] = ()
    rollout: Rollout = field(default_factory=Rollout)


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
        modules = modules_of(args.folder)
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
            bindings=list(args.bindings),
            compatibility_date=COMPATIBILITY_DATE,
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


def fingerprint(modules: Sequence[Module]) -> str:
    """The SHA-256 over names and contents, shortened to what a version's tag holds (25 characters)."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(f"{module.name}\0{len(module.content)}\0".encode())
        digest.update(module.content)
    return digest.hexdigest()[:25]


def shares(version: Input[str], rollout: Rollout) -> list[cloudflare.WorkersDeploymentVersionArgsDict]:
    """Which version how many percent of the requests get."""
    versions: list[cloudflare.WorkersDeploymentVersionArgsDict] = [
        {"version_id": version, "percentage": rollout.percentage}
    ]
    if rollout.stable_version is not None and rollout.percentage < 100:
        versions.append({"version_id": rollout.stable_version, "percentage": 100 - rollout.percentage})
    return versions
