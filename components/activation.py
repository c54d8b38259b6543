"""Waiting until a zone is active: the registrar must be given the name servers that Cloudflare assigned to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pulumi
import pulumi_cloudflare as cloudflare
from pulumi import Output

CHECK_SECONDS = 30
# Machines take as long to come up; registries publish a new delegation within minutes to hours. The next `up` goes on.
PATIENCE_SECONDS = 3600


def active(zone: cloudflare.Zone) -> Output[str]:
    """The zone's id, once the zone is active. A preview does not wait.

    A first `up` says which name servers the registrar needs, makes meanwhile what needs no active zone, and continues
    when the zone is active. After an hour it ends with an error; the next `up` continues.
    """
    return Output.all(zone.id, zone.name, zone.name_servers).apply(lambda known: _activated(*known))


def _activated(zone_id: str, domain: str, name_servers: Sequence[str]) -> Awaitable[str] | str:
    return zone_id if pulumi.runtime.is_dry_run() else _wait(zone_id, domain, name_servers)


async def _wait(zone_id: str, domain: str, name_servers: Sequence[str]) -> str:
    needed = f"give the registrar of {domain} these name servers: {', '.join(name_servers)}"
    for waited in range(0, PATIENCE_SECONDS, CHECK_SECONDS):
        status = await _status(zone_id)
        if status == "active":
            return zone_id
        if waited == 0:
            pulumi.log.warn(f"the zone {domain} is {status}, not active; {needed}. Waiting for up to an hour")
        await asyncio.sleep(CHECK_SECONDS)
    raise pulumi.RunError(
        f"the zone {domain} has not become active within {PATIENCE_SECONDS // 60} minutes; {needed}, and run `up` again"
    )


async def _status(zone_id: str) -> str | None:
    return await cloudflare.get_zone_output(zone_id=zone_id).status.future()
