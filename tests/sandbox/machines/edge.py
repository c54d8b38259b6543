"""Requests to the Cloudflare Workers of a live stack, through this computer's loopback interface."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from sandbox.edge import urls
from tests.sandbox.machines.staging import LIMIT_SECONDS, Stack

API, STATUS, BACKUPS = "api.backbuild.dev", "backbuild-status.dev", "backups.backbuild.dev"
COPIES = ("primary", "replica", "offsite")
PAUSE = 0.5  # seconds between two requests


def fetch(stack: Stack, host: str, path: str, **headers: str) -> tuple[int, str]:
    """Request a path of a Worker; return the status, 0 without an answer, and the body."""
    request = urllib.request.Request(urls.known(stack.place)[host] + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def health(stack: Stack) -> dict[str, str]:
    """Return the status of each component in the API's health report; nothing without an answer."""
    _, text = fetch(stack, API, "health")
    if not text.startswith("{"):
        return {}
    return {name: one["status"] for name, one in json.loads(text)["components"].items()}


def report(stack: Stack) -> Any:
    """Return the report on all backups, with the token that the stack exports."""
    exported = json.loads(stack.sandbox("export", "--show-secrets").stdout)
    (root,) = (one for one in exported["deployment"]["resources"] if one["type"] == "pulumi:pulumi:Stack")
    token = json.loads(root["outputs"]["backupsToken"]["plaintext"])
    status, text = fetch(stack, BACKUPS, "report.json", authorization=f"Bearer {token}")
    assert status == 200, text
    return json.loads(text)


def complete_runs(stack: Stack) -> set[tuple[str, str]]:
    """Return the group and the label of each hourly run whose objects are verified in every copy."""
    return {
        (group["group"], run["run"])
        for group in report(stack)["groups"]
        for run in group["runs"]
        if run["class"] == "hourly" and all(run["copies"][name]["verified"] == run["objects"] for name in COPIES)
    }


def wait_until(condition: Callable[[], Any], stack: Stack) -> Any:
    """Wait until a condition holds, and return its value."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, (stack.place.folder / "edge/log").read_text()[-3000:]
        time.sleep(PAUSE)
    return found
