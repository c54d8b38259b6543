"""The commands and the receiver's code in the documents work."""

from __future__ import annotations

import argparse
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backups.stack import topology_of
from harness.status import Status, at
from status.cli import parser
from status.terms import terms

from .conftest import Run
from .test_commands import DECLARE

DOCUMENTS = [Path(__file__).parents[2] / "docs" / name for name in ("status-page.md", "uptime.md")]
COMMANDS = [
    command
    for path in DOCUMENTS
    for command in re.findall(r"python -m status ([^`\n|]+)", path.read_text(encoding="utf-8"))
]
WORDS = {"I": "minor", "T": "title", "B": "body", "N": "name", "A": "ann@customer.example"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_documented_command_parses(command: str) -> None:
    parser().parse_args([WORDS.get(word, word) for word in shlex.split(command)])


def test_each_command_is_documented() -> None:
    def names(of: argparse.ArgumentParser, before: str = "") -> list[str]:
        groups = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
        return [
            name
            for group in groups
            for word, inner in group.choices.items()
            for name in names(inner, f"{before}{word} ")
        ] or [before.strip()]

    assert [name for name in names(parser()) if not any(command.startswith(name) for command in COMMANDS)] == []


def receiver() -> Callable[[dict[str, str], bytes, str], str]:
    """Return the receiver's code from the document."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENTS[0].read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["verified"]


def test_a_receiver_verifies_as_documented(page: Status, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    added = run("contacts", "add", "--name", "Bot", "--webhook", "https://hook.example/", "--minimum", "none").out
    secret = added.split()[-1]
    run(*DECLARE)
    page.cron(0, clock=at(0))
    (hook,) = page.world.hooks
    verified = receiver()
    sent = int(hook.headers["webhook-timestamp"])
    monkeypatch.setattr(time, "time", lambda: sent + 299)
    assert verified(hook.headers, hook.body.encode(), secret) == hook.id
    two = {**hook.headers, "webhook-signature": f"v1,AAAA {hook.headers['webhook-signature']}"}
    assert verified(two, hook.body.encode(), secret) == hook.id
    for headers, body, key in (
        (hook.headers, hook.body + " ", secret),
        (hook.headers, hook.body, f"{secret[:-4]}AAA="),
        ({**hook.headers, "webhook-id": "another"}, hook.body, secret),
        ({**hook.headers, "webhook-timestamp": str(sent + 1)}, hook.body, secret),
    ):
        with pytest.raises(ValueError, match="not signed"):
            verified(headers, body.encode(), key)
    monkeypatch.setattr(time, "time", lambda: sent + 301)
    with pytest.raises(ValueError, match="more than five minutes off"):
        verified(hook.headers, hook.body.encode(), secret)


def test_the_terms_have_the_figures_of_production() -> None:
    document = (Path(__file__).parents[2] / "docs/terms-availability.md").read_text(encoding="utf-8")
    written = dict(re.findall(r"<!-- terms prod (\w+) -->\n(.*?)\n<!-- /terms -->", document, re.DOTALL))
    assert written == terms(topology_of("prod")), "update it with the output of `python -m status terms --stack prod`"
