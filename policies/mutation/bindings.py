"""Operators on the bindings of Cloudflare Workers."""

from __future__ import annotations

import json
from typing import Any

from policies.mutation.operators import Change, Operator, Where, having, put
from policies.views.edge import PURPOSES, VERSION

BACKUPS = tuple(f"backups/{purpose}" for purpose in PURPOSES)
"""The folders of the Workers that handle backups."""
Bindings = list[dict[str, Any]]


def in_folder(*folders: str) -> Where:
    """Accept versions of the Workers whose main module is in one of these folders."""
    return having("mainModule", *(f"{folder}/index.js" for folder in folders))


def change_bindings(change: Change, *folders: str) -> Operator:
    """Change the list of a Worker's bindings."""
    return put(VERSION, "bindings", change, in_folder(*folders))


def bind(folder: str, **fields: str) -> Operator:
    """Add a binding."""
    return change_bindings(lambda bindings: [*bindings, fields], folder)


def unbind(name: str, *folders: str) -> Operator:
    """Remove a binding; a name that ends with `*` removes all that begin so."""

    def removed(one: dict[str, Any]) -> bool:
        return one["name"].startswith(name[:-1]) if name.endswith("*") else one["name"] == name

    return change_bindings(lambda bindings: [one for one in bindings if not removed(one)], *folders)


def rebind(name: str, *folders: str, **fields: str) -> Operator:
    """Set fields of a binding."""
    return change_bindings(rebound(name, **fields), *folders)


def rebound(name: str, **fields: Any) -> Change:
    """Return the change that sets fields of a binding."""
    return lambda bindings: [{**one, **fields} if one["name"] == name else one for one in bindings]


def redocument(name: str, *folders: str, **changes: Any) -> Operator:
    """Set top-level keys of a JSON binding's document."""
    return change_bindings(redocumented(name, lambda document: {**document, **changes}), *folders)


def redocumented(name: str, change: Change) -> Change:
    """Return the change that replaces a JSON binding's document with the result of `change`."""

    def changed(bindings: Bindings) -> Bindings:
        return [
            {**one, "json": json.dumps(change(json.loads(one["json"])))} if one["name"] == name else one
            for one in bindings
        ]

    return changed


def relist(name: str, *folders: str, **fields: str) -> Operator:
    """Set fields of one copy in a Worker's binding `COPIES`."""
    return change_bindings(
        redocumented("COPIES", lambda copies: [{**one, **fields} if one["name"] == name else one for one in copies]),
        *folders,
    )


def silenced(folder: str) -> dict[str, Operator]:
    """Return the changes after which a Worker's own alarms do not reach operators by e-mail and by webhook."""
    return {
        "it has no e-mail address": rebind("ALARM_EMAILS", folder, json="[]"),
        "it has no webhook": unbind("ALARM_WEBHOOKS", folder),
        "its e-mail address is empty": rebind("ALARM_EMAILS", folder, json='[""]'),
        "it has no plain texts": change_bindings(
            lambda bindings: [one for one in bindings if one["type"] != "plain_text"], folder
        ),
        "its sender address is not allowed": rebind("SENDER", folder, text="x@example.com"),
        "its list of webhooks is empty": rebind("ALARM_WEBHOOKS", folder, text="[]"),
    }
