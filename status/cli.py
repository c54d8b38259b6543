"""The command line: `python -m status COMMAND …`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from console.running import carry_out
from status import commands

Run = Callable[[argparse.Namespace], int]


class Group(Protocol):
    """Commands that share a name, as argparse keeps them."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """Add a command."""
        ...


IMPACTS = ("none", "minor", "major", "critical")
DELIVERY_STATES = ("dead", "pending", "delivered", "cancelled")
STATUSES = ("investigating", "identified", "monitoring")


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command line and return the exit code: 0 done, 1 failed or differs, 2 the input cannot be used."""
    interrupted = "interrupted; what was asked for may have been done: look with `list` or `audit`"
    return carry_out(parser(), arguments, interrupted)


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    whole = argparse.ArgumentParser(
        prog="python -m status",
        description="Say things on the status page, and recompute its uptime. The token comes from STATUS_TOKEN.",
    )
    rooms = whole.add_subparsers(required=True, metavar="COMMAND")
    sla = _command(rooms, "sla", commands.sla, "recompute a month's published account")
    sla.add_argument("account", metavar="FILE_OR_URL", help="what https://STATUS_PAGE/sla/YYYY-MM.json answers")
    _incidents(_group(rooms, "incidents", "what goes wrong"))
    _maintenance(_group(rooms, "maintenance", "what is planned"))
    _contacts(_group(rooms, "contacts", "who is told"))
    _deliveries(_group(rooms, "deliveries", "what contacts are owed"))
    amend = _calling(rooms, "amend", commands.amend, "correct a text that was published")
    amend.add_argument("id", help="of an update (with --body), or of an incident or maintenance (with --title)")
    text = amend.add_mutually_exclusive_group(required=True)
    text.add_argument("--body", help="what people read instead; - reads standard input")
    text.add_argument("--title")
    redact = _calling(rooms, "redact", commands.redact, "withdraw a text that should not have been published")
    redact.add_argument("id", help="of an update (its text), or of an incident or maintenance (its title)")
    audit = _calling(rooms, "audit", commands.audit, "who did what, newest first")
    audit.add_argument("--before", metavar="ID", help="the page that ends before this entry")
    return whole


def _incidents(group: Group) -> None:
    declare = _calling(group, "declare", commands.declare_incident, "open an incident")
    declare.add_argument("--title", required=True)
    declare.add_argument("--impact", required=True, choices=IMPACTS)
    _components(declare)
    declare.add_argument("--started", type=_time, metavar="TIME", help="when it began, if before now")
    declare.add_argument("--status", choices=STATUSES, default=STATUSES[0])
    _body(declare)
    update = _calling(group, "update", commands.update_incident, "say something about an open incident")
    update.add_argument("id")
    update.add_argument("--status", required=True, choices=STATUSES)
    _body(update)
    update.add_argument("--title", help="a better one")
    update.add_argument("--started", type=_time, metavar="TIME", help="when it really began")
    update.add_argument("--impact", choices=IMPACTS, help="as it is now")
    _components(update)
    resolve = _calling(group, "resolve", commands.resolve_incident, "end an incident")
    resolve.add_argument("id")
    resolve.add_argument("--ended", type=_time, metavar="TIME", help="when it was over, if before now")
    _body(resolve)
    postmortem = _calling(group, "postmortem", commands.add_postmortem, "say what was learnt, after it was resolved")
    postmortem.add_argument("id")
    _body(postmortem)
    _showing(group, "incidents")
    _calling(group, "list", commands.list_incidents, "open ones first")


def _maintenance(group: Group) -> None:
    plan = _calling(group, "plan", commands.plan_maintenance, "announce maintenance")
    plan.add_argument("--title", required=True)
    _components(plan, required=True)
    plan.add_argument("--starts", required=True, type=_time, metavar="TIME", help="such as 2026-12-01T02:00Z")
    plan.add_argument("--ends", required=True, type=_time, metavar="TIME")
    plan.add_argument("--emergency", action="store_true", help="less notice than promised; it excuses no minute")
    _body(plan)
    for name, status, text in (
        ("begin", "in_progress", "begin it before its time"),
        ("complete", "completed", "end it before its time"),
        ("cancel", "cancelled", "call it off before it begins"),
        ("update", None, "say something about it"),
    ):
        say = _calling(group, name, commands.say_of_maintenance, text)
        say.add_argument("id")
        _body(say)
        say.set_defaults(status=status, ends=None)
        if status is None:
            say.add_argument("--ends", type=_time, metavar="TIME", help="a later end than was planned")
    _showing(group, "maintenances")
    _calling(group, "list", commands.list_maintenance, "the latest to begin first")


def _contacts(group: Group) -> None:
    add = _calling(group, "add", commands.add_contact, "tell somebody from now on")
    add.add_argument("--name", required=True)
    address = add.add_mutually_exclusive_group(required=True)
    address.add_argument("--email", metavar="ADDRESS")
    address.add_argument("--webhook", metavar="URL")
    _components(add)
    add.add_argument(
        "--minimum", choices=IMPACTS, default="major", help="the least impact worth telling (default: major)"
    )
    test = _calling(group, "test", commands.test_contact, "send a test message now")
    test.add_argument("id")
    rotate = _calling(group, "rotate", commands.rotate_secret, "give a webhook another signing secret")
    rotate.add_argument("id")
    hours = "how long what it is sent is signed with both secrets (default: 72)"
    rotate.add_argument("--overlap-hours", type=int, default=72, metavar="HOURS", help=hours)
    remove = _calling(group, "remove", commands.remove_contact, "tell somebody no more, not even what is owed")
    remove.add_argument("id")
    _calling(group, "list", commands.list_contacts, "by name")


def _deliveries(group: Group) -> None:
    listed = _calling(group, "list", commands.list_deliveries, "what has not arrived, and who was told what and when")
    listed.add_argument("--state", choices=DELIVERY_STATES, default=DELIVERY_STATES[0], help="(default: dead)")
    listed.add_argument("--of", metavar="ID", help="of one incident, maintenance or contact")
    retry = _calling(group, "retry", commands.retry_delivery, "send a dead letter again")
    retry.add_argument("update")
    retry.add_argument("contact")


def _group(rooms: Group, name: str, text: str) -> Group:
    return rooms.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")


def _command(group: Group, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    added = group.add_parser(name, help=text, description=text)
    added.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    added.set_defaults(run=run)
    return added


def _calling(group: Group, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    added = _command(group, name, run, text)
    added.add_argument("--url", help="the status page (default: STATUS_URL)")
    return added


def _components(command: argparse.ArgumentParser, *, required: bool = False) -> None:
    command.add_argument(
        "--component", action="append", dest="components", metavar="ID", required=required, help="may be repeated"
    )


def _body(command: argparse.ArgumentParser) -> None:
    command.add_argument("--body", required=True, help="what people read; - reads standard input")


def _showing(group: Group, subjects: str) -> None:
    shown = _calling(group, "show", commands.show_updates, "everything that was said of one, the latest first")
    shown.add_argument("id")
    shown.set_defaults(subjects=subjects)


def _time(text: str) -> str:
    """A whole minute with its zone, in UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time; write 2026-12-01T02:00Z") from None
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no zone; if it is UTC, write {time:%Y-%m-%dT%H:%M}Z")
    if time.second or time.microsecond:
        raise argparse.ArgumentTypeError(f"{text} is not a whole minute")
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
