"""Maintenance of a live stack, announced with `python -m status` as an operator does, and its notifications."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from drills.running import cloud
from drills.sites.site import SiteError
from sandbox.edge import databases, start
from status import uptime

if TYPE_CHECKING:
    from drills.running.stage import Stage

TIMEOUT = 60.0  # seconds, for one command
PAGE_SECONDS = 120.0  # until the page answers, also after its edge was started again
COMPONENTS = ("database", "replication")  # standbys stop with the machines
HOOK = "https://customer.example/status"
NAME = "a drill's customer"
ALLOWANCE = timedelta(minutes=5)  # more notice than promised, as the announcement itself takes a moment
LENGTH = timedelta(minutes=30)
PAST = """
UPDATE maintenances SET announced_at = announced_at - ?1 * 60000, start_minute = start_minute - ?1,
end_minute = end_minute - ?1, updated_at = updated_at - ?1 * 60000 WHERE id = ?2
"""


@dataclass(frozen=True)
class Accounted:
    """The figures of the accounts of one or several months around one maintenance."""

    failed: int
    """Minutes of the maintenance in which the platform did not serve."""
    unknown: int
    """Minutes of the maintenance that the page did not sample; the statement excuses these, too."""
    excused: int
    """Minutes of the months that do not count."""
    down: int
    """Minutes of the months that count as downtime."""
    unexplained: tuple[str, ...]
    """Published figures that differ from those that are counted again from the samples."""

    @property
    def text(self) -> str:
        """The minutes in words."""
        return (
            f"{self.failed} min failed, {self.unknown} not sampled, {self.excused} excused, {self.down} counted as down"
        )

    def since(self, before: Accounted) -> Accounted:
        """Return the minutes that were counted after an earlier account; a drill judges these alone."""
        return Accounted(
            failed=self.failed - before.failed,
            unknown=self.unknown - before.unknown,
            excused=self.excused - before.excused,
            down=self.down - before.down,
            unexplained=self.unexplained,
        )


def accounted(account: uptime.Account, id: str) -> Accounted:
    """Return what a month's account says of the maintenance with this id, which may be absent."""
    window = next((range(one.starts, one.ends) for one in account.maintenances if one.id == id), range(0))
    seen = {minute: state for begin, length, state in account.runs for minute in range(begin, begin + length)}
    counted = [one for one in window if account.statement.from_ <= one < account.statement.to]
    failed = sum(seen.get(one) == "down" for one in counted)
    unknown = sum(one not in seen for one in counted)
    minutes = account.statement.minutes
    wrong = tuple(f"{one.figure} {one.published}, {one.recomputed}" for one in uptime.differences(account))
    return Accounted(failed, unknown, minutes.excused, minutes.down, wrong)


def total(months: Sequence[Accounted]) -> Accounted:
    """Return the sums of the figures of several months."""
    return Accounted(
        failed=sum(one.failed for one in months),
        unknown=sum(one.unknown for one in months),
        excused=sum(one.excused for one in months),
        down=sum(one.down for one in months),
        unexplained=tuple(text for one in months for text in one.unexplained),
    )


def months(first: datetime, last: datetime) -> list[str]:
    """Return the months from one moment to another, such as 2026-11."""
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [f"{number // 12}-{number % 12 + 1:02}" for number in numbers]


class Maintenance:
    """One maintenance of the database, and a customer who has asked to be notified of it."""

    def __init__(self, stage: Stage, token: str) -> None:
        self._stage: Stage = stage
        self._token: str = token
        self._contact: str | None = None
        self._first_asked: datetime | None = None
        self.id: str = ""

    def begin_listening(self) -> None:
        """Let a customer ask to be notified of the database's maintenance, by a webhook."""
        for one in self._status("contacts", "list")["contacts"]:
            if one["name"] == NAME:  # of a drill that was interrupted
                self._status("contacts", "remove", one["id"])
        added = self._status("contacts", "add", "--name", NAME, "--webhook", HOOK, "--component", COMPONENTS[0])
        self._contact = added["id"]

    def announce(self, title: str) -> None:
        """Plan maintenance with the promised notice."""
        hours = self._stage.topology.settings.maintenance.notice_hours
        self._plan(title, datetime.now(UTC) + timedelta(hours=hours) + ALLOWANCE)
        self._stage.timeline.add("recovery", f"maintenance {self.id} announced, {hours} h ahead")

    def announce_emergency(self, title: str) -> None:
        """Plan maintenance that begins now."""
        self._plan(title, datetime.now(UTC), "--emergency")
        self._stage.timeline.add("recovery", f"emergency maintenance {self.id} announced, without notice")

    def let_notice_pass(self) -> None:
        """Move the plan's times in the database back, as if the notice had passed: it starts in two minutes."""
        planned = self._planned()
        starts = datetime.fromisoformat(planned["startsAt"])
        minutes = int((starts - datetime.now(UTC)).total_seconds()) // 60 - 2
        stage = self._stage
        place = stage.fleet().place
        id = databases.id_of(stage.site().inventory, f"{stage.topology.prefix}-status")
        assert id is not None, "the status page has published a maintenance"
        with cloud.edge_stopped(place):
            databases.change(place, id, PAST, minutes, self.id)
        stage.timeline.add("recovery", f"{minutes / 60:.0f} h pass: the drill moves the plan's times instead")

    def until_begun(self, seconds: float = 300) -> None:
        """Wait until the maintenance is in progress."""
        self._stage.until("the maintenance has begun", lambda: self._planned()["status"] == "in_progress", seconds)
        self._stage.timeline.add("recovery", "the maintenance is in progress")

    def complete(self, text: str) -> None:
        """End it before its planned end."""
        self._status("maintenance", "complete", self.id, "--body", text)
        self._stage.timeline.add("recovery", "the maintenance is completed")

    def notified(self, kind: str, seconds: float = 180) -> dict[str, Any]:
        """Wait until the customer has got a message of a kind about the maintenance, and return its data."""
        self._stage.until(f"the customer gets {kind}", lambda: kind in self._messages(), seconds)
        return self._messages()[kind]

    def account(self) -> Accounted:
        """Return the figures since the first month that this was asked in, once all minutes until now are counted."""
        now = datetime.now(UTC)
        if self._first_asked is None:
            self._first_asked = now
        edge = self._stage.edge
        return total([accounted(edge.account(month), self.id) for month in months(self._first_asked, now)])

    def incidents(self) -> frozenset[str]:
        """Wait until the page tells which incidents it has recorded, and return their ids."""
        found: list[frozenset[str]] = []

        def is_known() -> bool:
            page = self._stage.edge.status_page()
            if page is not None and page.has_history:
                found.append(page.incidents)
            return bool(found)

        self._stage.until("the status page tells its incidents", is_known, PAGE_SECONDS)
        return found[-1]

    def end(self) -> None:
        """Cancel or complete the maintenance if a stopped drill has left it, and remove the customer's contact."""
        try:
            if self.id and self._planned()["status"] in {"scheduled", "in_progress"}:
                verb = "cancel" if self._planned()["status"] == "scheduled" else "complete"
                self._status("maintenance", verb, self.id, "--body", "The drill has stopped.")
        finally:
            if self._contact is not None:
                self._status("contacts", "remove", self._contact)

    def _plan(self, title: str, starts: datetime, *options: str) -> None:
        first = starts.replace(second=0, microsecond=0)
        times = ("--starts", f"{first:%Y-%m-%dT%H:%MZ}", "--ends", f"{first + LENGTH:%Y-%m-%dT%H:%MZ}")
        text = ("--title", title, "--body", "The database stops for some minutes.")
        affected = [word for one in COMPONENTS for word in ("--component", one)]
        self.id = self._status("maintenance", "plan", *text, *affected, *times, *options)["id"]

    def _planned(self) -> dict[str, Any]:
        listed = self._status("maintenance", "list")["maintenances"]
        found = next((one for one in listed if one["id"] == self.id), None)
        if found is None:
            raise SiteError(f"the status page does not know the maintenance {self.id}")
        return found

    def _messages(self) -> dict[str, dict[str, Any]]:
        """Return the customer's newest message of each kind about this maintenance."""
        found: dict[str, dict[str, Any]] = {}
        for file in sorted((start.folder(self._stage.fleet().place) / "webhooks").glob("*.json")):
            received = json.loads(file.read_text(encoding="utf-8"))
            if received["url"] == HOOK:
                message = json.loads(received["body"])
                if message["data"].get("subject") == self.id:
                    found[message["type"]] = message["data"]
        return found

    def _page(self) -> str:
        return self._stage.edge.url(self._stage.topology.hostnames.status).rstrip("/")

    def _status(self, *words: str) -> dict[str, Any]:
        """Run `python -m status`, as an operator does."""
        done = subprocess.run(
            [sys.executable, "-m", "status", *words, "--json"],
            cwd=self._stage.root,
            env={**os.environ, "STATUS_URL": self._page(), "STATUS_TOKEN": self._token},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise SiteError(f"`python -m status {' '.join(words[:2])}` failed: {(done.stdout + done.stderr).strip()}")
        return json.loads(done.stdout)
