"""Faults of the edge of a live stack, and the answers of its API, status page and report on backups."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import httpx

from drills.running import cloud, prober
from drills.running.prober import Answer, Prober
from drills.sites.parallel import everywhere
from drills.sites.site import SiteError
from sandbox.edge import databases, start, urls
from sandbox.engine.transfer import export_state
from sandbox.machines.processes import Group
from status import uptime

if TYPE_CHECKING:
    from drills.running.stage import Stage
    from sandbox.machines.place import Place

TIMEOUT = 15.0  # seconds, for a page or a report; the Workers themselves give up after 10
RESTART_SECONDS = 15.0
"""All Workers of the sandbox share one process, which starts again with each change; Cloudflare's do not."""
LAST_MINUTE = "SELECT coalesce(max(minute), 0) FROM samples"
TUNNEL = "backbuild-tunnel"

Run = tuple[str, str, str]
"""The group, the class and the label of a backup."""


@dataclass(frozen=True)
class StatusPage:
    """The present content of the status page."""

    components: Mapping[str, str]
    """The status of each component, by its id, in Statuspage's words."""
    incidents: frozenset[str]
    """The ids of all recorded incidents."""
    has_history: bool
    """Whether its database answers."""


def status_page_of(summary: Mapping[str, Any], incidents: Mapping[str, Any], *, has_history: bool) -> StatusPage:
    """Return what the files `summary.json` and `incidents.json` of the status page say."""
    return StatusPage(
        {one["id"]: one["status"] for one in summary["components"]},
        frozenset(one["id"] for one in incidents["incidents"]),
        has_history,
    )


def verified_runs(report: Mapping[str, Any]) -> dict[Run, bool]:
    """Return the runs in the report on all backups, and whether every copy has verified all objects of each."""
    return {
        (group["group"], run["class"], run["run"]): all(
            copy["verified"] == run["objects"] for copy in run["copies"].values()
        )
        for group in report["groups"]
        for run in group["runs"]
    }


class Edge:
    """The edge of the stage's stack."""

    def __init__(self, stage: Stage) -> None:
        self._stage: Stage = stage
        self._prober: Prober | None = None
        self._tunnels_stopped: bool = False

    @property
    def _place(self) -> Place:
        return self._stage.fleet().place

    @property
    def _group(self) -> Group:
        return Group(f"{self._place.prefix}/edge")

    def url(self, hostname: str) -> str:
        """Return the URL of a custom domain on this computer."""
        found = urls.known(self._place).get(hostname)
        if found is None:
            raise SiteError(f"{hostname} has no URL on this computer; run `python -m sandbox up --live`")
        return found

    # The API, as its clients see it.

    def probe(self) -> None:
        """Begin to ask the API for its health, and wait until it serves."""
        self._prober = Prober(self.url(self._stage.topology.hostnames.api) + "health")
        self._prober.start()
        self._stage.until("the API serves", lambda: prober.served_since(self.answers, 0) is not None, 120)

    @property
    def answers(self) -> list[Answer]:
        """The API's answers until now."""
        assert self._prober is not None, "the scenario has not called `probe`"
        return list(self._prober.answers)

    def failed(self, seconds: float = 60) -> Answer:
        """Wait until the API fails after the fault, and return its last answer."""
        since = self._fault_at()
        self._stage.until("the API fails", lambda: prober.first_failure(self.answers, since) is not None, seconds)
        last = next(one for one in reversed(self.answers) if not one.good)
        moment = prober.first_failure(self.answers, since)
        how = f"answers {last.status}" if last.status else "does not answer"
        self._stage.timeline.add("detection", f"the API {how}", moment)
        return last

    def served(self, seconds: float = 300) -> None:
        """Wait until the API serves again; that ends the outage."""
        since = self._fault_at()
        self._stage.until("the API serves again", lambda: prober.served_since(self.answers, since) is not None, seconds)
        moment = prober.served_since(self.answers, since)
        self._stage.served_at = self._stage.timeline.add("recovery", "the API serves again", moment)

    def outage(self) -> float:
        """Return the longest time without a good answer of the API since the fault, in seconds; 0 if nobody asks it."""
        if self._prober is None:
            return 0.0
        return prober.outage(self.answers, self._fault_at(), time.monotonic())

    def check_not_affected(self) -> None:
        """Record a check that the API answered all the time, but for a restart of the sandbox's Workers."""
        longest = self.outage()
        self._stage.check("the API is not affected", longest <= RESTART_SECONDS, f"longest gap {longest:.1f} s")

    def _fault_at(self) -> float:
        assert self._stage.fault_at is not None
        return self._stage.fault_at

    # The status page and the report on backups.

    def status_page(self) -> StatusPage | None:
        """Return what the status page says; None if it does not answer."""
        url = self.url(self._stage.topology.hostnames.status) + "api/v2/"
        try:
            summary, incidents = (httpx.get(url + name, timeout=TIMEOUT) for name in ("summary.json", "incidents.json"))
        except httpx.HTTPError:
            return None
        if not summary.is_success or not incidents.is_success:
            return None
        has_history = incidents.headers.get("x-history-available") == "true"
        return status_page_of(summary.json(), incidents.json(), has_history=has_history)

    def recorded(self, seconds: float = 300) -> str:
        """Wait until the status page has recorded a later minute than the present one, and return that minute."""
        since = time.time() // 60
        self._stage.until("the status page records another minute", lambda: self._last_minute() > since, seconds)
        return datetime.fromtimestamp(60 * self._last_minute(), UTC).strftime("%H:%M UTC")

    def _last_minute(self) -> int:
        """Return the newest minute in the status page's database, since 1970; 0 if there is none."""
        id = databases.id_of(self._stage.site().inventory, f"{self._stage.topology.prefix}-status")
        with suppress(sqlite3.Error):
            return databases.read(self._place, id, LAST_MINUTE)[0][0] if id else 0
        return 0

    def account(self, month: str, seconds: float = 300) -> uptime.Account:
        """Wait until the page's account of a month such as 2026-11 counts all its minutes until now, and return it."""
        address = f"{self.url(self._stage.topology.hostnames.status)}sla/{month}.json"
        wanted = min(int(time.time()) // 60, uptime.bounds(month)[1])  # the month may have ended meanwhile
        found: list[uptime.Account] = []

        def is_counted() -> bool:
            with suppress(httpx.HTTPError):  # the page may not answer for a moment
                answer = httpx.get(address, timeout=TIMEOUT)
                if answer.is_success:
                    found.append(uptime.parse(answer.text, address))
            return bool(found) and found[-1].statement.to >= wanted

        self._stage.until("the account counts the present minute", is_counted, seconds)
        return found[-1]

    def runs(self) -> dict[Run, bool]:
        """Return the runs in the report on backups, and whether they are verified; nothing without a report."""
        url = self.url(self._stage.topology.hostnames.backups) + "report.json"
        try:
            answer = httpx.get(url, headers={"authorization": f"Bearer {self._token}"}, timeout=TIMEOUT)
        except httpx.HTTPError:
            return {}
        return verified_runs(answer.json()) if answer.is_success else {}

    @cached_property
    def _token(self) -> str:
        return json.loads(self.output("backupsToken"))

    def output(self, name: str) -> str:
        """Return a secret output of the stack, as JSON."""
        exported: Any = export_state(self._stage.root, self._stage.topology.stack, show_secrets=True)
        root = next(one for one in exported["deployment"]["resources"] if one["type"] == "pulumi:pulumi:Stack")
        return root["outputs"][name]["plaintext"]

    # Faults, and their ends.

    def lose_worker(self, purpose: Literal["api", "status"]) -> None:
        """Delete a Cloudflare Worker with its versions, deployment, routes, domains and schedules."""
        script = f"{self._stage.topology.prefix}-{purpose}"
        self._stage.fault(f"the Cloudflare Worker {script} deleted, with its deployment, routes and schedules")
        cloud.lose_worker(self._place, self._stage.site().inventory, script)

    def lose_database(self, purpose: Literal["status", "backups"]) -> None:
        """Delete a D1 database with its rows."""
        name = f"{self._stage.topology.prefix}-{purpose}"
        id = databases.id_of(self._stage.site().inventory, name)
        if id is None:
            raise SiteError(f"{self._stage.topology.stack} has no D1 database {name}; run `python -m sandbox up`")
        self._stage.fault(f"the D1 database {name} deleted")
        cloud.lose_database(self._place, id)

    def stop_tunnels(self) -> None:
        """Stop the connector of the tunnel on every gateway."""
        self._stage.fault("the tunnel's connectors stopped on all gateways")
        self._tunnels("stop")

    def start_tunnels(self) -> None:
        """Start the connectors again."""
        self._stage.timeline.add("recovery", "the tunnel's connectors started")
        self._tunnels("start")

    def _tunnels(self, verb: Literal["start", "stop"]) -> None:
        self._tunnels_stopped = verb == "stop"
        # On all gateways, although one may fail: the error names each that did.
        everywhere(
            lambda gateway: self._stage.machines().run(gateway, f"systemctl {verb} {TUNNEL}", 120),
            self._stage.members("gateway"),
        )

    def stop(self) -> None:
        """End the whole edge at once: no Worker runs, and R2 does not answer."""
        self._stage.fault("Cloudflare's edge down: Workers, R2, queues and tunnels")
        self._group.kill()

    def start(self) -> None:
        """Start the edge again, with all that it stored."""
        self._stage.timeline.add("recovery", "Cloudflare's edge is back")
        start.ensure(self._place)
        start.wait(self._place)

    def mend(self) -> None:
        """Start the edge and stopped tunnels again, and stop asking the API."""
        if self._prober is not None:
            self._prober.stop()
        start.ensure(self._place)
        if self._tunnels_stopped:
            self._tunnels("start")
