"""The placeholders of the coverage table and the baseline: names that follow from a stack's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policies.graph import Graph
from policies.views.shared import once

ZONE: Final = "cloudflare:index/zone:Zone"
PROVIDER: Final = "pulumi:providers:aws"


@once
def placeholders(graph: Graph) -> Mapping[str, str]:
    """Return placeholder to value.

    - `platform`: the project and the stack, the beginning of most names
    - `domain NAME`: the domain of the zone NAME
    - `account`: the Cloudflare account
    - `region`: the region of the database
    """
    project = graph.stack.urn.split("::")[1]
    found = {"platform": f"{project}-{graph.name}"}
    for zone in graph.of(ZONE):
        if zone.known("name"):
            found[f"domain {zone.name}"] = zone.text("name")
        if zone.known("account.id"):
            found["account"] = zone.text("account.id")
    for provider in graph.of(PROVIDER):
        if provider.name == "database" and provider.known("region"):
            found["region"] = provider.text("region")
    return found
