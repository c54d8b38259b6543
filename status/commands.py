"""What each command does between the command line and the page: ask, then show it to a person or a machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from console import tables
from console.errors import CommandError, InputError
from console.tables import Table
from status import report, uptime
from status.client import PATIENCE_SECONDS, client_of

TOLD = "contacts are told within a minute"


def sla(options: argparse.Namespace) -> int:
    """`sla`."""
    account = uptime.parse(_read(options.account), options.account)
    differences = uptime.differences(account)
    if options.json:
        print(json.dumps(report.document(account, differences)))
    else:
        report.show(account, differences)
    return 1 if differences else 0


def _read(place: str) -> str:
    if place.startswith(("https://", "http://")):
        try:
            answer = httpx.get(place, timeout=PATIENCE_SECONDS)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise CommandError(f"{place} cannot be fetched: {type(error).__name__}") from None
        if not answer.is_success:
            raise CommandError(f"{place} answers {answer.status_code}; a month without a sample has no account")
        return answer.text
    try:
        return Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{place} cannot be read: {error}") from None


def declare_incident(options: argparse.Namespace) -> int:
    """`incidents declare`."""
    body = {
        "title": options.title,
        "impact": options.impact,
        "components": options.components,
        "status": options.status,
        "body": _text(options.body),
        "startedAt": options.started,
    }
    answer = client_of(options.url).post("incidents", body)
    return _said(options, answer, f"Incident {answer['id']} is open; {TOLD}.")


def update_incident(options: argparse.Namespace) -> int:
    """`incidents update`."""
    body = {
        "status": options.status,
        "body": _text(options.body),
        "title": options.title,
        "impact": options.impact,
        "components": options.components,
        "startedAt": options.started,
    }
    answer = client_of(options.url).post(f"incidents/{_id(options.id)}/updates", body)
    return _said(options, answer, f"Said; {TOLD}.")


def resolve_incident(options: argparse.Namespace) -> int:
    """`incidents resolve`."""
    body = {"status": "resolved", "body": _text(options.body), "endedAt": options.ended}
    answer = client_of(options.url).post(f"incidents/{_id(options.id)}/updates", body)
    return _said(options, answer, f"Incident {answer['id']} is resolved; {TOLD}.")


def add_postmortem(options: argparse.Namespace) -> int:
    """`incidents postmortem`."""
    body = {"status": "postmortem", "body": _text(options.body)}
    answer = client_of(options.url).post(f"incidents/{_id(options.id)}/updates", body)
    return _said(options, answer, f"Said; {TOLD}.")


def show_updates(options: argparse.Namespace) -> int:
    """`incidents show` and `maintenance show`."""
    answer = client_of(options.url).get(f"{options.subjects}/{_id(options.id)}/updates")
    if not options.json:
        tables.say(tables.cell(answer["title"]), "bold")
    columns = {"id": "update", "at": "at", "status": "status", "correctedAt": "corrected", "body": "text"}
    return _listed(options, answer, "updates", columns, prose=("text",))


def amend(options: argparse.Namespace) -> int:
    """`amend`."""
    text = {"title": options.title} if options.body is None else {"body": _text(options.body)}
    answer = client_of(options.url).post("amendments", {"id": options.id, **text})
    return _said(options, answer, f"Corrected; contacts who have the old {next(iter(text))} are told within a minute.")


def redact(options: argparse.Namespace) -> int:
    """`redact`."""
    answer = client_of(options.url).post("redactions", {"id": options.id})
    return _said(options, answer, "Withdrawn; contacts who have it are told within a minute that it was.")


def list_incidents(options: argparse.Namespace) -> int:
    """`incidents list`."""
    answer = client_of(options.url).get("incidents")
    columns = {
        "id": "id",
        "status": "status",
        "impact": "impact",
        "startedAt": "started",
        "resolvedAt": "resolved",
        "components": "components",
        "title": "title",
    }
    return _listed(options, answer, "incidents", columns, prose=("title",))


def plan_maintenance(options: argparse.Namespace) -> int:
    """`maintenance plan`."""
    body = {
        "title": options.title,
        "body": _text(options.body),
        "components": options.components,
        "startsAt": options.starts,
        "endsAt": options.ends,
        "emergency": options.emergency,
    }
    answer = client_of(options.url).post("maintenances", body)
    return _said(options, answer, f"Maintenance {answer['id']} is announced; {TOLD}.")


def say_of_maintenance(options: argparse.Namespace) -> int:
    """`maintenance begin`, `complete`, `cancel` and `update`."""
    body = {"body": _text(options.body), "status": options.status, "endsAt": options.ends}
    answer = client_of(options.url).post(f"maintenances/{_id(options.id)}/updates", body)
    return _said(options, answer, f"Said; {TOLD}.")


def list_maintenance(options: argparse.Namespace) -> int:
    """`maintenance list`."""
    answer = client_of(options.url).get("maintenances")
    columns = {
        "id": "id",
        "status": "status",
        "emergency": "emergency",
        "startsAt": "starts",
        "endsAt": "ends",
        "components": "components",
        "title": "title",
    }
    return _listed(options, answer, "maintenances", columns, prose=("title",))


def add_contact(options: argparse.Namespace) -> int:
    """`contacts add`."""
    body = {
        "name": options.name,
        "channel": "email" if options.webhook is None else "webhook",
        "address": options.email if options.webhook is None else options.webhook,
        "components": options.components,
        "minimum": options.minimum,
    }
    answer = client_of(options.url).post("contacts", body)
    secret = f"\nIts signing secret, shown this once: {answer['secret']}" if "secret" in answer else ""
    return _said(options, answer, f"Contact {answer['id']} is told from now on; try it with `contacts test`.{secret}")


def test_contact(options: argparse.Namespace) -> int:
    """`contacts test`."""
    answer = client_of(options.url).post(f"contacts/{_id(options.id)}/test", {})
    return _said(options, answer, f"Contact {answer['id']} took a test message.")


def rotate_secret(options: argparse.Namespace) -> int:
    """`contacts rotate`."""
    body = {"overlapHours": options.overlap_hours}
    answer = client_of(options.url).post(f"contacts/{_id(options.id)}/secret", body)
    until = f"Until {_minute(answer['overlapUntil'])}, what it is sent is signed with the one before, too."
    return _said(options, answer, f"The new signing secret, shown this once: {answer['secret']}\n{until}")


def remove_contact(options: argparse.Namespace) -> int:
    """`contacts remove`."""
    answer = client_of(options.url).delete(f"contacts/{_id(options.id)}")
    return _said(options, answer, f"Contact {answer['id']} is told no more.")


def list_contacts(options: argparse.Namespace) -> int:
    """`contacts list`."""
    answer = client_of(options.url).get("contacts")
    for contact in answer["contacts"]:
        contact["shown"] = contact["components"] or "all"
    columns = {
        "id": "id",
        "name": "name",
        "channel": "channel",
        "address": "address",
        "shown": "components",
        "minimum": "minimum",
        "createdAt": "added",
    }
    return _listed(options, answer, "contacts", columns, prose=("name",))


def list_deliveries(options: argparse.Namespace) -> int:
    """`deliveries list`."""
    query = {} if options.of is None else {"of": _id(options.of)}
    answer = client_of(options.url).get("deliveries", state=options.state, **query)
    ended = {"dead": "given up", "pending": "next attempt", "delivered": "delivered", "cancelled": "cancelled"}
    columns = {
        "update": "update",
        "contact": "contact",
        "type": "type",
        "saidAt": "said",
        "dueAt" if options.state == "pending" else "settledAt": ended[options.state],
        "attempts": "attempts",
        "failure": "failure",
        "name": "name",
    }
    return _listed(options, answer, "deliveries", columns, prose=("name",))


def retry_delivery(options: argparse.Namespace) -> int:
    """`deliveries retry`."""
    answer = client_of(options.url).post("deliveries/retry", {"update": options.update, "contact": options.contact})
    return _said(options, answer, "It is sent again within a minute.")


def audit(options: argparse.Namespace) -> int:
    """`audit`."""
    query = {} if options.before is None else {"before": options.before}
    answer = client_of(options.url).get("audit", **query)
    columns = {name: name for name in ("id", "at", "operator", "action", "subject")}
    return _listed(options, answer, "entries", columns)


def _id(given: str) -> str:
    """An id as it may stand in a path; raises `InputError`."""
    if not given.replace("-", "").replace("_", "").isalnum() or not given.isascii():
        raise InputError(f"{given} is no id; remedy: take one from `list`")
    return given


def _text(given: str) -> str:
    """A text as it was given, or standard input for `-`; raises `InputError`."""
    if given != "-":
        return given
    try:
        return sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8; convert the text and repeat the command") from None


def _said(options: argparse.Namespace, answer: dict[str, Any], text: str) -> int:
    print(json.dumps(answer) if options.json else text)
    return 0


def _listed(
    options: argparse.Namespace, answer: dict[str, Any], key: str, columns: Mapping[str, str], prose: Sequence[str] = ()
) -> int:
    """Print rows: `columns` are the names of fields, each with its heading."""
    if options.json:
        print(json.dumps(answer))
        return 0
    table = Table(tuple(columns.values()), prose=prose)
    for row in answer[key]:
        table.add(*(_minute(row[name]) if name.endswith("At") or name == "at" else row[name] for name in columns))
    tables.show(table)
    return 0


def _minute(time: str | None) -> str | None:
    """A time of an answer as the commands take it: `2026-12-01T02:00Z`."""
    return None if time is None else f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%dT%H:%MZ}"
