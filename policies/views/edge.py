"""What runs at the edge: Workers with what they are bound to and when they run, and domains."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

from policies.graph import Graph, Node, Resource, Undetermined
from policies.views.calendars import cron_gap_seconds
from policies.views.shared import once

SCRIPT: Final = "cloudflare:index/worker:Worker"
VERSION: Final = "cloudflare:index/workerVersion:WorkerVersion"
DEPLOYMENT: Final = "cloudflare:index/workersDeployment:WorkersDeployment"
CRON: Final = "cloudflare:index/workersCronTrigger:WorkersCronTrigger"
DOMAIN: Final = "cloudflare:index/workersCustomDomain:WorkersCustomDomain"
ROUTE: Final = "cloudflare:index/workersRoute:WorkersRoute"
ZONE: Final = "cloudflare:index/zone:Zone"
D1: Final = "cloudflare:index/d1Database:D1Database"

PURPOSES: Final = ("replicate", "verify", "age-out", "watch")


@dataclass(frozen=True)
class Worker:
    """One Worker: its newest version, and the triggers and deployments that name its script."""

    script: Resource
    version: Resource
    crons: tuple[str, ...]
    deployments: tuple[Resource, ...]

    @property
    def urn(self) -> str:
        """Its version's: there stands what it is bound to."""
        return self.version.urn

    @property
    def label(self) -> str:
        """`Worker backups-watch`."""
        return f"Worker {self.version.name}"

    @property
    def name(self) -> str:
        """Its script's name."""
        return self.script.text("name")

    @property
    def folder(self) -> str:
        """Where its main module lies: `backups/watch`."""
        return self.version.text("mainModule").rpartition("/")[0]

    @cached_property
    def bindings(self) -> dict[str, Node]:
        """What it is bound to, by name."""
        return {one.text("name"): one for one in self.version.items("bindings")}

    def text(self, binding: str) -> str:
        """The text of a `plain_text` binding; empty where there is none."""
        return self.bindings[binding].text("text") if binding in self.bindings else ""

    def document(self, binding: str) -> object:
        """The value of a `json` binding; None where there is none."""
        if binding not in self.bindings:
            return None
        try:
            return json.loads(self.bindings[binding].text("json"))
        except ValueError:
            raise Undetermined(self.urn, f"bindings.{binding}.json", "is not JSON") from None

    def names(self, binding: str) -> set[str] | None:
        """The names that a `json` binding lists; None where there is none."""
        bound = self.document(binding)
        if bound is None:
            return None
        return {str(one) for one in cast("list[object]", bound)} if isinstance(bound, list) else set()

    @property
    def gap_seconds(self) -> float | None:
        """The longest time between two of its runs; None for one that never runs by itself."""
        gaps = [gap for cron in self.crons if (gap := cron_gap_seconds(cron)) is not None]
        return min(gaps, default=None)


@once
def workers(graph: Graph) -> list[Worker]:
    """Workers."""
    crons: dict[str, list[str]] = {}
    for trigger in graph.of(CRON):
        crons.setdefault(trigger.text("scriptName"), []).extend(one.text("cron") for one in trigger.items("schedules"))
    deployments: dict[str, list[Resource]] = {}
    for deployment in graph.of(DEPLOYMENT):
        deployments.setdefault(deployment.text("scriptName"), []).append(deployment)
    found: list[Worker] = []
    for script in graph.of(SCRIPT):
        name = script.text("name")
        found += [
            Worker(script, version, tuple(crons.get(name, ())), tuple(deployments.get(name, ())))
            for version in graph.referring(script, VERSION, "workerId")
        ]
    return found


def databases_of(graph: Graph, worker: Worker) -> list[Resource]:
    """The D1 databases that a Worker is bound to: by id, or while ids are unknown by what its bindings depend on."""
    bound = [one for one in worker.bindings.values() if one.text("type") == "d1"]
    if not bound:
        return []
    ids = {one.text("id") for one in bound if one.known("id")}
    depended = graph.targets(worker.version, "bindings", D1)
    return [one for one in depended if not one.known("id") or one.text("id") in ids]


def in_folder(graph: Graph, folder: str) -> list[Worker]:
    """The Workers whose main module lies in a folder."""
    return [worker for worker in workers(graph) if worker.folder == folder]


def status_workers(graph: Graph) -> list[Worker]:
    """Status page's Worker."""
    return in_folder(graph, "status")


def api_workers(graph: Graph) -> list[Worker]:
    """API's Worker."""
    return in_folder(graph, "api")


def backup_workers(graph: Graph) -> list[Worker]:
    """Workers that look after backups."""
    return [worker for purpose in PURPOSES for worker in in_folder(graph, f"backups/{purpose}")]


def zones(graph: Graph) -> list[Resource]:
    """DNS zones."""
    return graph.of(ZONE)


def domains_of(graph: Graph, worker: Worker) -> list[Resource]:
    """The custom domains that a Worker answers under."""
    return [domain for domain in graph.of(DOMAIN) if domain.text("service") == worker.name]
