"""What `python -m sandbox watch` shows, from the answers of machines and Workers. Pure."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

CONSENSUS, GATEWAY = "consensus", "gateway"


@dataclass(frozen=True)
class Member:
    """One machine: its role and state in its group, and its replication lag in bytes, if it is a standby."""

    name: str
    group: str
    role: str
    state: str
    well: bool
    lag: int | None = None


@dataclass(frozen=True)
class Backups:
    """A group's newest backup and newest restore point: label, and times in ISO 8601."""

    group: str
    run: str
    finished_at: str
    point: str


@dataclass(frozen=True)
class Facts:
    """What the view shows."""

    at: datetime
    members: Sequence[Member]
    backups: Sequence[Backups]
    alarms: Sequence[str]
    """The newest alarms, the newest first."""
    pages: Mapping[str, str]
    """What each custom domain answers, by its name."""


def group_of(name: str) -> str:
    """Return the group of a machine."""
    return name.rpartition("-")[0]


def database_members(group: str, names: Iterable[str], answer: str) -> list[Member]:
    """Return the members of a database group as Patroni's `/cluster` describes them."""
    known: dict[str, Any] = {one["name"]: one for one in _parsed(answer).get("members", ())}
    absent = "unknown to Patroni" if known else "no answer"
    return [
        _database_member(group, known[name]) if name in known else Member(name, group, "", absent, well=False)
        for name in names
    ]


def _database_member(group: str, one: Mapping[str, Any]) -> Member:
    lag, state = one.get("lag"), one["state"]
    well = state in {"running", "streaming"}
    return Member(one["name"], group, one["role"], state, well, lag if isinstance(lag, int) else None)


def etcd_members(names: Mapping[str, str], answer: str) -> list[Member]:
    """Return the etcd members as `etcdctl endpoint status` describes them. `names` are by address."""
    found = {one["Endpoint"].split("//")[-1].rpartition(":")[0]: one["Status"] for one in _listed(answer)}
    members: list[Member] = []
    for address, name in names.items():
        status = found.get(address)
        if status is None:
            members.append(Member(name, CONSENSUS, "", "no answer", well=False))
            continue
        leader = status.get("leader")  # absent without a quorum
        leads = leader == status["header"]["member_id"]
        well = leader is not None and not status.get("errors")
        members.append(Member(name, CONSENSUS, "leader" if leads else "follower", "ok" if well else "no quorum", well))
    return members


def gateway_member(name: str, answer: str) -> Member:
    """Return a gateway: whether it reaches the coordinator's leader, and whether its tunnel is connected."""
    words = answer.split()
    problems = [text for word, text in (("leader", "no leader"), ("tunnel", "no tunnel")) if word not in words]
    return Member(name, GATEWAY, "gateway", ", ".join(problems) or "connected", not problems)


def subject_of_mail(content: bytes) -> str:
    """Return the subject of an e-mail."""
    return str(email.message_from_bytes(content, policy=email.policy.default)["subject"] or "without subject")


def subject_of_webhook(content: str) -> str:
    """Return the text of a webhook."""
    body = _parsed(str(_parsed(content).get("body", "")))
    ended = "ended: " if body.get("endedAt") else ""
    return ended + str(body.get("text") or body.get("title") or body.get("type") or "without text")


def health_of(status: int, body: str) -> str:
    """Return the API's health in one line."""
    if not status:
        return "no answer"
    components: dict[str, Any] = _parsed(body).get("components", {})
    bad = [f"{name} {one['status']}" for name, one in components.items() if one["status"] != "ok"]
    return f"{status}" + (f": {', '.join(bad)}" if bad else (" ok" if components else ""))


def incidents_of(status: int, body: str) -> str:
    """Return the open incidents of the status page in one line."""
    if not status:
        return "no answer"
    answer = _parsed(body)
    titles = [str(one["name"]) for one in answer.get("incidents", ())]
    recorded = str(answer.get("page", {}).get("updated_at", ""))[:16]
    return f"{status}" + (f": {', '.join(titles) or 'no open incident'}, recorded {recorded}" if recorded else "")


def _parsed(text: str) -> dict[str, Any]:
    """Return the object in a text; an empty one if the text is no JSON."""
    with suppress(ValueError):
        return json.loads(text)
    return {}


def _listed(text: str) -> list[dict[str, Any]]:
    """Return the objects of the list in a text; none if the text is no JSON."""
    with suppress(ValueError):
        return json.loads(text)
    return []


def age(now: datetime, moment: str) -> str:
    """Return how long ago a moment in ISO 8601 was."""
    if not moment:
        return "none"
    seconds = max(0, round((now - datetime.fromisoformat(moment)).total_seconds()))
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60} h {minutes % 60} min ago" if minutes >= 60 else f"{minutes} min {rest} s ago"


def frame(facts: Facts) -> RenderableType:
    """Return the view."""
    members = Table("machine", "role", "state", "lag", box=None, title_justify="left", title=f"{facts.at:%H:%M:%S} UTC")
    group = ""
    for one in facts.members:
        if group and one.group != group:
            members.add_row()
        group = one.group
        style = "" if one.well else "bold red"
        lag = "" if one.lag is None else f"{one.lag} B"
        members.add_row(one.name, "leader *" if one.role == "leader" else one.role, Text(one.state, style), lag)
    backups = Table("group", "newest backup", "ended", "newest restore point in the catalogue", box=None)
    for one in facts.backups:
        backups.add_row(one.group, one.run, age(facts.at, one.finished_at), age(facts.at, one.point))
    pages = Table("Workers", "answer", box=None)
    for name, text in facts.pages.items():
        pages.add_row(name, text)
    alarms = Table("newest alarms", box=None)
    for text in facts.alarms or ["none"]:
        alarms.add_row(Text(text, no_wrap=True, overflow="ellipsis"))
    return Group(members, "", backups, "", pages, "", alarms)
