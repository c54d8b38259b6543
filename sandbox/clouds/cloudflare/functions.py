"""Simulated Cloudflare functions: zones, and the permission groups of API tokens."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import replace

from sandbox.clouds.cloudflare.prerequisites import ZONE
from sandbox.clouds.cloudflare.storage import EPOCH
from sandbox.clouds.facts import Store, digits
from sandbox.provider import ProviderError
from sandbox.values import Properties, Value

_ACCOUNT = "com.cloudflare.api.account"
_ZONE = f"{_ACCOUNT}.zone"
_BUCKET = "com.cloudflare.edge.r2.bucket"
_PERMISSIONS = {
    "Workers R2 Storage Bucket Item Read": _BUCKET,
    "Workers R2 Storage Bucket Item Write": _BUCKET,
    "Workers R2 Storage Read": _ACCOUNT,
    "Workers R2 Storage Write": _ACCOUNT,
    "Workers Scripts Read": _ACCOUNT,
    "Workers Scripts Write": _ACCOUNT,
    "Workers KV Storage Read": _ACCOUNT,
    "Workers KV Storage Write": _ACCOUNT,
    "D1 Read": _ACCOUNT,
    "D1 Write": _ACCOUNT,
    "Queues Read": _ACCOUNT,
    "Queues Write": _ACCOUNT,
    "Cloudflare Tunnel Read": _ACCOUNT,
    "Cloudflare Tunnel Write": _ACCOUNT,
    "Account Settings Read": _ACCOUNT,
    "DNS Read": _ZONE,
    "DNS Write": _ZONE,
    "Zone Read": _ZONE,
    "Zone Settings Read": _ZONE,
    "Zone Settings Write": _ZONE,
}


def _zone(arguments: Properties, _: Mapping[str, str]) -> Properties:
    """Return an active zone. The same name always has the same id."""
    wanted = arguments.get("filter")
    name = wanted.get("name") if isinstance(wanted, dict) else None
    id = arguments.get("zoneId") or (digits(f"zone {name}", 32) if name else None)
    if not isinstance(id, str):
        raise ProviderError("getZone: set zoneId or filter.name")
    account = wanted.get("account") if isinstance(wanted, dict) else None
    return {
        **arguments,
        "id": id,
        "zoneId": id,
        "name": name or f"{id[:8]}.example",
        "account": account or {"id": digits("account", 32), "name": "Simulated account"},
        "nameServers": ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
        "status": "active",
        "type": "full",
        "paused": False,
        "createdOn": EPOCH,
        "activatedOn": EPOCH,
        "modifiedOn": EPOCH,
        "permissions": [],
        "vanityNameServers": [],
        "originalNameServers": [],
    }


def _own_zone(arguments: Properties, objects: Store) -> Properties | None:
    """Return a zone of this stack, and activate it: the sandbox assumes that the registrar has its name servers."""
    zone = objects.find(ZONE, str(arguments.get("zoneId") or ""), "")
    if zone is None:
        return None
    if zone.outputs.get("status") == "pending":
        zone = replace(zone, outputs={**zone.outputs, "status": "active", "activatedOn": EPOCH})
        objects.replace(zone)
    return {**_zone({"zoneId": zone.id}, {}), **zone.outputs, "id": zone.id, "zoneId": zone.id}


def _groups(arguments: Properties) -> list[Value]:
    # The API expects a URL-encoded name and compares it exactly.
    name, scope = (urllib.parse.unquote(str(arguments.get(key) or "")) for key in ("name", "scope"))
    return [
        {"id": digits(f"permission {each}", 32), "name": each, "scopes": [place], "category": "", "isSelectable": True}
        for each, place in _PERMISSIONS.items()
        if (not name or each == name) and (not scope or place == scope)
    ]


def _list(arguments: Properties, _: Mapping[str, str]) -> Properties:
    return {**arguments, "results": _groups(arguments)}


def _permission_groups(arguments: Properties, _: Mapping[str, str]) -> Properties:
    return {**arguments, "permissionGroups": _groups(arguments)}


LOOKUPS = {"cloudflare:index/getZone:getZone": _own_zone}
FUNCTIONS = {
    "cloudflare:index/getZone:getZone": _zone,
    "cloudflare:index/getAccountApiTokenPermissionGroupsList:getAccountApiTokenPermissionGroupsList": _list,
    "cloudflare:index/getApiTokenPermissionGroupsList:getApiTokenPermissionGroupsList": _list,
    "cloudflare:index/getAccountApiTokenPermissionGroups:getAccountApiTokenPermissionGroups": _permission_groups,
}
