"""The commands: each calls the status page's API and prints the result as text or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from backups.stack import topology_of
from console import tables
from console.errors import CommandError, InputError
from console.tables import Table
from status import report, terms, uptime
from status.client import TIMEOUT_SECONDS, client_of

NOTIFIED = "contacts are notified within a minute"


def sla(options: argparse.Namespace) -> int:
    """`sla`."""
    account = uptime.parse(_read(options.account), options.account)
    differences = uptime.differences(account)
    if options.json:
        print(json.dumps(report.document(account, differences)))
    else:
        report.show(account, differences)
    return 1 if differences else 0


def show_terms(options: argparse.Namespace) -> int:
    """`terms`."""
    topology = topology_of(options.stack)
    print(json.dumps(terms.terms(topology)) if options.json else terms.blocks(topology))
    return 0


def _read(place: str) -> str:
    if place.startswith(("https://", "http://")):
        try:
            answer = httpx.get(place, timeout=TIMEOUT_SECONDS)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise CommandError(f"{place} cannot be fetched: {type(error).__name__}") from None
        if not answer.is_success:
            raise CommandError(
                f"{place} answers {answer.status_code}; check the month: the page publishes an account only for a month"
                " with samples"
            )
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
    return _print_result(options, answer, f"Incident {answer['id']} is open; {NOTIFIED}.")


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
    return _print_result(options, answer, f"Published; {NOTIFIED}.")


def resolve_incident(options: argparse.Namespace) -> int:
    """`incidents resolve`."""
    body = {"status": "resolved", "body": _text(options.body), "endedAt": options.ended}
    answer = client_of(options.url).post(f"incidents/{_id(options.id)}/updates", body)
    return _print_result(options, answer, f"Incident {answer['id']} is resolved; {NOTIFIED}.")


def add_postmortem(options: argparse.Namespace) -> int:
    """`incidents postmortem`."""
    body = {"status": "postmortem", "body": _text(options.body)}
    answer = client_of(options.url).post(f"incidents/{_id(options.id)}/updates", body)
    return _print_result(options, answer, f"Published; {NOTIFIED}.")


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
    field = next(iter(text))
    return _print_result(
        options, answer, f"Corrected; contacts that received the old {field} are notified within a minute."
    )


def redact(options: argparse.Namespace) -> int:
    """`redact`."""
    answer = client_of(options.url).post("redactions", {"id": options.id})
    return _print_result(options, answer, "Withdrawn; contacts that received it are notified within a minute.")


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
    return _print_result(options, answer, f"Maintenance {answer['id']} is announced; {NOTIFIED}.")


def update_maintenance(options: argparse.Namespace) -> int:
    """`maintenance begin`, `complete`, `cancel` and `update`."""
    body = {"body": _text(options.body), "status": options.status, "endsAt": options.ends}
    answer = client_of(options.url).post(f"maintenances/{_id(options.id)}/updates", body)
    return _print_result(options, answer, f"Published; {NOTIFIED}.")


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
    secret = f"\nIts signing secret, shown only once: {answer['secret']}" if "secret" in answer else ""
    added = f"Contact {answer['id']} is notified from now on; test it with `contacts test`."
    return _print_result(options, answer, added + secret)


def test_contact(options: argparse.Namespace) -> int:
    """`contacts test`."""
    answer = client_of(options.url).post(f"contacts/{_id(options.id)}/test", {})
    return _print_result(options, answer, f"Contact {answer['id']} accepted a test message.")


def rotate_secret(options: argparse.Namespace) -> int:
    """`contacts rotate`."""
    body = {"overlapHours": options.overlap_hours}
    answer = client_of(options.url).post(f"contacts/{_id(options.id)}/secret", body)
    until = f"Until {_minute(answer['overlapUntil'])}, notifications are also signed with the previous secret."
    return _print_result(options, answer, f"The new signing secret, shown only once: {answer['secret']}\n{until}")


def remove_contact(options: argparse.Namespace) -> int:
    """`contacts remove`."""
    answer = client_of(options.url).delete(f"contacts/{_id(options.id)}")
    return _print_result(options, answer, f"Contact {answer['id']} is removed and no longer notified.")


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
        "saidAt": "published",
        "dueAt" if options.state == "pending" else "settledAt": ended[options.state],
        "attempts": "attempts",
        "failure": "failure",
        "name": "name",
    }
    return _listed(options, answer, "deliveries", columns, prose=("name",))


def retry_delivery(options: argparse.Namespace) -> int:
    """`deliveries retry`."""
    answer = client_of(options.url).post("deliveries/retry", {"update": options.update, "contact": options.contact})
    return _print_result(options, answer, "The notification is sent again within a minute.")


def audit(options: argparse.Namespace) -> int:
    """`audit`."""
    query = {} if options.before is None else {"before": options.before}
    answer = client_of(options.url).get("audit", **query)
    columns = {name: name for name in ("id", "at", "operator", "action", "subject")}
    return _listed(options, answer, "entries", columns)


def _id(given: str) -> str:
    """Return an id if it is valid in a URL's path; raise `InputError` otherwise."""
    if not given.replace("-", "").replace("_", "").isalnum() or not given.isascii():
        raise InputError(f"{given} is not an id; remedy: take one from `list`")
    return given


def _text(given: str) -> str:
    """Return a text argument, or stdin for `-`; raise `InputError` if that is not UTF-8."""
    if given != "-":
        return given
    try:
        return sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8; convert the text and repeat the command") from None


def _print_result(options: argparse.Namespace, answer: dict[str, Any], text: str) -> int:
    print(json.dumps(answer) if options.json else text)
    return 0


def _listed(
    options: argparse.Namespace, answer: dict[str, Any], key: str, columns: Mapping[str, str], prose: Sequence[str] = ()
) -> int:
    """Print rows. `columns` maps the names of fields to their headings."""
    if options.json:
        print(json.dumps(answer))
        return 0
    table = Table(tuple(columns.values()), prose=prose)
    for row in answer[key]:
        table.add(*(_minute(row[name]) if name.endswith("At") or name == "at" else row[name] for name in columns))
    tables.show(table)
    return 0


def _minute(time: str | None) -> str | None:
    """Convert a time in a response to the form that the commands accept: `2026-12-01T02:00Z`."""
    return None if time is None else f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%dT%H:%MZ}"
