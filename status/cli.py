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
    """A group of commands: argparse's subparsers."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """Add a command."""
        ...


IMPACTS = ("none", "minor", "major", "critical")
DELIVERY_STATES = ("dead", "pending", "delivered", "cancelled")
STATUSES = ("investigating", "identified", "monitoring")


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return the exit code: 0 success, 1 failure or a difference, 2 invalid input."""
    interrupted = "interrupted; the request may have been carried out: check with `list` or `audit`"
    return carry_out(parser(), arguments, interrupted)


def parser() -> argparse.ArgumentParser:
    """Return the parser with all commands and options."""
    whole = argparse.ArgumentParser(
        prog="python -m status",
        description="Publish on the status page, and recompute its uptime. STATUS_TOKEN holds the operator's token.",
    )
    groups = whole.add_subparsers(required=True, metavar="COMMAND")
    sla = _command(groups, "sla", commands.sla, "recompute the published uptime of a month")
    sla.add_argument("account", metavar="FILE_OR_URL", help="a copy or the URL of https://STATUS_PAGE/sla/YYYY-MM.json")
    terms = _command(groups, "terms", commands.show_terms, "print the terms of availability that follow from settings")
    terms.add_argument("--stack", required=True, help="the stack, such as prod (settings: Pulumi.prod.yaml)")
    _incidents(_group(groups, "incidents", "publish incidents"))
    _maintenance(_group(groups, "maintenance", "publish planned maintenance"))
    _contacts(_group(groups, "contacts", "manage the contacts that are notified"))
    _deliveries(_group(groups, "deliveries", "manage the notifications to contacts"))
    amend = _api_command(groups, "amend", commands.amend, "correct a published text")
    amend.add_argument("id", help="the id of an update (with --body), or of an incident or maintenance (with --title)")
    text = amend.add_mutually_exclusive_group(required=True)
    text.add_argument("--body", help="the new text; - reads stdin")
    text.add_argument("--title", help="the new title")
    redact = _api_command(groups, "redact", commands.redact, "withdraw a text that should not have been published")
    redact.add_argument("id", help="the id of an update (its text), or of an incident or maintenance (its title)")
    audit = _api_command(groups, "audit", commands.audit, "list operators' actions, newest first")
    audit.add_argument("--before", metavar="ID", help="only entries older than this one")
    return whole


def _incidents(group: Group) -> None:
    declare = _api_command(group, "declare", commands.declare_incident, "open an incident")
    declare.add_argument("--title", required=True)
    declare.add_argument("--impact", required=True, choices=IMPACTS)
    _components(declare)
    declare.add_argument("--started", type=_time, metavar="TIME", help="start of the incident (default: now)")
    declare.add_argument("--status", choices=STATUSES, default=STATUSES[0])
    _body(declare)
    update = _api_command(group, "update", commands.update_incident, "publish an update of an open incident")
    update.add_argument("id")
    update.add_argument("--status", required=True, choices=STATUSES)
    _body(update)
    update.add_argument("--title", help="a new title")
    update.add_argument("--started", type=_time, metavar="TIME", help="the corrected start")
    update.add_argument("--impact", choices=IMPACTS, help="the current impact")
    _components(update)
    resolve = _api_command(group, "resolve", commands.resolve_incident, "resolve an incident")
    resolve.add_argument("id")
    resolve.add_argument("--ended", type=_time, metavar="TIME", help="end of the incident (default: now)")
    _body(resolve)
    text = "publish the postmortem of a resolved incident"
    postmortem = _api_command(group, "postmortem", commands.add_postmortem, text)
    postmortem.add_argument("id")
    _body(postmortem)
    _show_command(group, "incidents")
    _api_command(group, "list", commands.list_incidents, "list incidents, open ones first")


def _maintenance(group: Group) -> None:
    plan = _api_command(group, "plan", commands.plan_maintenance, "announce maintenance")
    plan.add_argument("--title", required=True)
    _components(plan, required=True)
    plan.add_argument("--starts", required=True, type=_time, metavar="TIME", help="such as 2026-12-01T02:00Z")
    plan.add_argument("--ends", required=True, type=_time, metavar="TIME")
    notice = "allow less than the promised notice; the downtime counts against uptime"
    plan.add_argument("--emergency", action="store_true", help=notice)
    _body(plan)
    for name, status, text in (
        ("begin", "in_progress", "begin maintenance before its planned start"),
        ("complete", "completed", "complete maintenance before its planned end"),
        ("cancel", "cancelled", "cancel maintenance before it begins"),
        ("update", None, "publish an update of maintenance"),
    ):
        say = _api_command(group, name, commands.update_maintenance, text)
        say.add_argument("id")
        _body(say)
        say.set_defaults(status=status, ends=None)
        if status is None:
            say.add_argument("--ends", type=_time, metavar="TIME", help="a new, later end")
    _show_command(group, "maintenances")
    _api_command(group, "list", commands.list_maintenance, "list maintenance, latest start first")


def _contacts(group: Group) -> None:
    add = _api_command(group, "add", commands.add_contact, "add a contact that is notified from now on")
    add.add_argument("--name", required=True)
    address = add.add_mutually_exclusive_group(required=True)
    address.add_argument("--email", metavar="ADDRESS")
    address.add_argument("--webhook", metavar="URL")
    _components(add)
    add.add_argument(
        "--minimum", choices=IMPACTS, default="major", help="the lowest impact to notify of (default: major)"
    )
    test = _api_command(group, "test", commands.test_contact, "send a test message now")
    test.add_argument("id")
    rotate = _api_command(group, "rotate", commands.rotate_secret, "replace the signing secret of a webhook")
    rotate.add_argument("id")
    hours = "how long notifications are signed with both secrets (default: 72)"
    rotate.add_argument("--overlap-hours", type=int, default=72, metavar="HOURS", help=hours)
    remove = _api_command(group, "remove", commands.remove_contact, "remove a contact and cancel its notifications")
    remove.add_argument("id")
    _api_command(group, "list", commands.list_contacts, "list contacts by name")


def _deliveries(group: Group) -> None:
    listed = _api_command(group, "list", commands.list_deliveries, "list notifications by state, with failures")
    listed.add_argument(
        "--state", choices=DELIVERY_STATES, default=DELIVERY_STATES[0], help="only those in this state (default: dead)"
    )
    listed.add_argument("--of", metavar="ID", help="only those of this incident, maintenance or contact")
    retry = _api_command(group, "retry", commands.retry_delivery, "send a dead notification again")
    retry.add_argument("update")
    retry.add_argument("contact")


def _group(groups: Group, name: str, text: str) -> Group:
    return groups.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")


def _command(group: Group, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    added = group.add_parser(name, help=text, description=text)
    added.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
    added.set_defaults(run=run)
    return added


def _api_command(group: Group, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    added = _command(group, name, run, text)
    added.add_argument("--url", help="the status page (default: STATUS_URL)")
    return added


def _components(command: argparse.ArgumentParser, *, required: bool = False) -> None:
    command.add_argument(
        "--component",
        action="append",
        dest="components",
        metavar="ID",
        required=required,
        help="the id of a component; repeat the option for several components",
    )


def _body(command: argparse.ArgumentParser) -> None:
    command.add_argument("--body", required=True, help="the text to publish; - reads stdin")


def _show_command(group: Group, subjects: str) -> None:
    shown = _api_command(group, "show", commands.show_updates, "show the published updates, newest first")
    shown.add_argument("id")
    shown.set_defaults(subjects=subjects)


def _time(text: str) -> str:
    """Convert a time with a zone and whole minutes to UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time; write 2026-12-01T02:00Z") from None
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no time zone; if it is UTC, write {time:%Y-%m-%dT%H:%M}Z")
    if time.second or time.microsecond:
        raise argparse.ArgumentTypeError(f"{text} is not a whole minute; write {time:%Y-%m-%dT%H:%M%z}")
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
