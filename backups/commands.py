"""The commands of `python -m backups`. Each returns its exit code."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime

from backups import client, display, judgement, rotation_table
from backups.report import parse
from backups.stack import topology_of
from console.callers import address_from, token_from

TOKEN = "BACKUPS_TOKEN"  # noqa: S105 (the variable's name)
REMEDY = "export it, from `pulumi stack output backupsToken --show-secrets`"


def status(options: argparse.Namespace) -> int:
    """Show the report of the backup Workers. Return 1 if it contains a problem."""
    topology = topology_of(options.stack)
    url = address_from(options.url or f"https://{topology.hostnames.backups}")
    text = client.read(url, token_from(TOKEN, REMEDY))
    report = parse(text, url)
    problems = judgement.problems(report, topology, datetime.now(UTC))
    if options.json:
        # The report unchanged, with fields that this version does not know, and the problems that were found in it.
        print(json.dumps({**json.loads(text), "well": not problems, "problems": problems}))
    else:
        display.show(report, problems, everything=options.all)
    return 1 if problems else 0


def rotation(options: argparse.Namespace) -> int:
    """Print the retention of each class."""
    topology = topology_of(options.stack)
    print(json.dumps(rotation_table.document(topology)) if options.json else rotation_table.markdown(topology))
    return 0
