"""The edge: Cloudflare Workers with their bindings and schedules, and domains."""

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
        """The URN of its version, which has the bindings."""
        return self.version.urn

    @property
    def label(self) -> str:
        """`Worker backups-watch`."""
        return f"Worker {self.version.name}"

    @property
    def name(self) -> str:
        """The name of its script."""
        return self.script.text("name")

    @property
    def folder(self) -> str:
        """The folder of its main module: `backups/watch`."""
        return self.version.text("mainModule").rpartition("/")[0]

    @cached_property
    def bindings(self) -> dict[str, Node]:
        """Its bindings by name."""
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
        """The longest time between two of its runs; None without a schedule."""
        gaps = [gap for cron in self.crons if (gap := cron_gap_seconds(cron)) is not None]
        return min(gaps, default=None)

    def late(self, most_seconds: float) -> str | None:
        """Return what is wrong with its schedule if it must run at least this often."""
        gap = self.gap_seconds
        if gap is None or gap > most_seconds:
            runs = "on no schedule" if gap is None else f"every {gap:g} s"
            return f"it runs {runs}; at most {most_seconds:g} s between two runs are expected"
        return None

    def lacks(self, **types: str) -> str | None:
        """Return which of these bindings, name to type, is missing or of another type."""
        for name, type in types.items():
            if name not in self.bindings or self.bindings[name].text("type") != type:
                return f"it has no binding {name} ({type})"
        return None

    def cannot_send(self) -> str | None:
        """Return why it cannot send e-mail as its SENDER through its binding EMAIL."""
        sender = self.text("SENDER")
        allowed = sender in self.bindings["EMAIL"].words("allowedSenderAddresses")
        return None if allowed else f"SENDER is {sender or 'not set'}, which its binding EMAIL does not allow"


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
    """Return the D1 databases of a Worker's bindings: by id, or by dependency while ids are unknown."""
    bound = [one for one in worker.bindings.values() if one.text("type") == "d1"]
    if not bound:
        return []
    ids = {one.text("id") for one in bound if one.known("id")}
    depended = graph.targets(worker.version, "bindings", D1)
    return [one for one in depended if not one.known("id") or one.text("id") in ids]


def in_folder(graph: Graph, folder: str) -> list[Worker]:
    """Return the Workers whose main module is in a folder."""
    return [worker for worker in workers(graph) if worker.folder == folder]


def status_workers(graph: Graph) -> list[Worker]:
    """Status page's Worker."""
    return in_folder(graph, "status")


def api_workers(graph: Graph) -> list[Worker]:
    """API's Worker."""
    return in_folder(graph, "api")


def backup_workers(graph: Graph) -> list[Worker]:
    """Workers that handle backups."""
    return [worker for purpose in PURPOSES for worker in in_folder(graph, f"backups/{purpose}")]


def alarms_unheard(worker: Worker) -> str | None:
    """Return why the alarms that a Worker itself sends do not reach operators by e-mail and by webhook."""
    if wrong := worker.lacks(EMAIL="send_email", ALARM_EMAILS="json", ALARM_WEBHOOKS="secret_text"):
        return wrong
    if not any("@" in address for address in worker.names("ALARM_EMAILS") or ()):
        return "ALARM_EMAILS has no address"
    hooks = worker.bindings["ALARM_WEBHOOKS"]
    if hooks.known("text") and "https://" not in hooks.text("text"):
        return "ALARM_WEBHOOKS has no address"
    return worker.cannot_send()


def zones(graph: Graph) -> list[Resource]:
    """DNS zones."""
    return graph.of(ZONE)


def domains_of(graph: Graph, worker: Worker) -> list[Resource]:
    """Return the custom domains of a Worker."""
    return [domain for domain in graph.of(DOMAIN) if domain.text("service") == worker.name]
