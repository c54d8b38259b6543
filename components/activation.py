"""Wait until a zone is active, that is until the registrar lists the name servers that Cloudflare assigned to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pulumi
import pulumi_cloudflare as cloudflare
from pulumi import Output

CHECK_SECONDS = 30
# Registries publish a new delegation within minutes to hours. An hour is also what the machines take to come up.
TIMEOUT_SECONDS = 3600


def active(zone: cloudflare.Zone) -> Output[str]:
    """Return the zone's id as soon as the zone is active. A preview does not wait.

    The first `up` warns which name servers the registrar needs. Meanwhile it creates the resources that need no active
    zone. If the zone is not active after an hour, it fails with an error, and the next `up` continues.
    """
    return Output.all(zone.id, zone.name, zone.name_servers).apply(lambda known: _activated(*known))


def _activated(zone_id: str, domain: str, name_servers: Sequence[str]) -> Awaitable[str] | str:
    return zone_id if pulumi.runtime.is_dry_run() else _wait(zone_id, domain, name_servers)


async def _wait(zone_id: str, domain: str, name_servers: Sequence[str]) -> str:
    remedy = f"enter these name servers at the registrar of {domain}: {', '.join(name_servers)}"
    for waited in range(0, TIMEOUT_SECONDS, CHECK_SECONDS):
        status = await _status(zone_id)
        if status == "active":
            return zone_id
        if waited == 0:
            pulumi.log.warn(f"the zone {domain} is {status}, not active; {remedy}. Waiting for up to an hour")
        await asyncio.sleep(CHECK_SECONDS)
    raise pulumi.RunError(
        f"the zone {domain} has not become active within {TIMEOUT_SECONDS // 60} minutes; {remedy}, and run `up` again"
    )


async def _status(zone_id: str) -> str | None:
    return await cloudflare.get_zone_output(zone_id=zone_id).status.future()
