"""Simulated Cloudflare: facts that the SDK's schema does not contain, in one module for each group of services."""

from __future__ import annotations

import re

from sandbox.clouds import rules
from sandbox.clouds.cloudflare import access, functions, storage, workers, zones
from sandbox.clouds.facts import Package
from sandbox.values import Properties


def _settings(_: Properties) -> dict[str, str]:
    """Return no settings: Cloudflare has no regions, and the account is an input of the resources."""
    return {"region": "", "account": ""}


_HEX32 = rules.text(r"[0-9a-f]{32}", "32 lower-case hexadecimal digits")

PACKAGE = Package(
    name="cloudflare",
    types={**zones.TYPES, **storage.TYPES, **workers.TYPES, **access.TYPES},
    functions=functions.FUNCTIONS,
    lookups=functions.LOOKUPS,
    settings=_settings,
    rules={"accountId": _HEX32, "zoneId": _HEX32, "account.id": _HEX32},
    config_rules={"apiToken": rules.text(r"[\w-]{40,}", "an API token of at least 40 letters, digits, _ and -")},
    replaces=("accountId", "zoneId"),
    # Namespaces of rate limits are numbers that the author of a Cloudflare Worker chooses.
    external_references=re.compile(r"^\d{1,10}$"),
)
