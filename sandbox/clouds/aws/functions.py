"""Simulated AWS functions: caller identity, partition, region, zones, images, policy documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from sandbox.clouds.facts import digits
from sandbox.provider import ProviderError
from sandbox.values import Properties, Value

Settings = Mapping[str, str]


def _identity(_: Properties, settings: Settings) -> Properties:
    account = settings["account"]
    return {
        "accountId": account,
        "arn": f"arn:{settings['partition']}:iam::{account}:user/sandbox",
        "userId": "AIDASANDBOX",
        "id": account,
    }


def _partition(_: Properties, settings: Settings) -> Properties:
    partition, suffix = settings["partition"], settings["dnsSuffix"]
    reverse = ".".join(reversed(suffix.split(".")))
    return {"partition": partition, "dnsSuffix": suffix, "reverseDnsPrefix": reverse, "id": partition}


def _region(arguments: Properties, settings: Settings) -> Properties:
    region = str(arguments.get("region") or arguments.get("name") or settings["region"])
    return {
        "region": region,
        "name": region,
        "id": region,
        "description": f"Simulated {region}",
        "endpoint": f"ec2.{region}.{settings['dnsSuffix']}",
    }


def _zones(arguments: Properties, settings: Settings) -> Properties:
    region = str(arguments.get("region") or settings["region"])
    names: list[Value] = [f"{region}{letter}" for letter in "abc"]
    ids: list[Value] = [f"{region}-az{number}" for number in (1, 2, 3)]
    return {"names": names, "zoneIds": ids, "groupNames": [region], "id": region, "region": region}


def _image(arguments: Properties, settings: Settings) -> Properties:
    """Return an image that matches the arguments; equal arguments give the same image."""
    region = str(arguments.get("region") or settings["region"])
    asked = json.dumps({**arguments, "region": region}, sort_keys=True, default=str)
    id = f"ami-{digits(asked, 17)}"
    filters = {
        str(each["name"]): cast(list[Any], each["values"])
        for each in cast(list[dict[str, Any]], arguments.get("filters") or [])
    }
    name, architecture = (
        str(filters.get(key, [other])[0]) for key, other in (("name", "image"), ("architecture", "x86_64"))
    )
    return {
        "id": id,
        "imageId": id,
        "arn": f"arn:{settings['partition']}:ec2:{region}::image/{id}",
        "name": name.replace("*", "20260101-0001"),
        "architecture": architecture,
        "creationDate": "2026-01-01T00:00:00.000Z",
        "rootDeviceName": "/dev/xvda",
        "rootDeviceType": "ebs",
        "virtualizationType": "hvm",
        "state": "available",
        "region": region,
        "tags": {},
        "blockDeviceMappings": [],
        "productCodes": [],
        "stateReason": {},
    }


_KEYS = {"actions": "Action", "notActions": "NotAction", "resources": "Resource", "notResources": "NotResource"}


def _one_or_list(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _principals(listed: list[dict[str, Any]]) -> Any:
    if any(each["type"] == "*" for each in listed):
        return "*"
    return {each["type"]: _one_or_list(each["identifiers"]) for each in listed}


def _statement(given: dict[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": given.get("effect") or "Allow"}
    if given.get("sid"):
        statement["Sid"] = given["sid"]
    statement |= {key: _one_or_list(given[name]) for name, key in _KEYS.items() if given.get(name)}
    for name, key in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if given.get(name):
            statement[key] = _principals(given[name])
    conditions: dict[str, dict[str, Any]] = {}
    listed: list[dict[str, Any]] = given.get("conditions") or []
    for each in listed:
        conditions.setdefault(each["test"], {})[each["variable"]] = _one_or_list(each["values"])
    return {**statement, **({"Condition": conditions} if conditions else {})}


def _policy_document(arguments: Properties, _: Settings) -> Properties:
    for name in ("overrideJson", "overridePolicyDocuments", "sourceJson", "sourcePolicyDocuments"):
        if arguments.get(name):
            raise ProviderError(f"getPolicyDocument: {name} is not simulated; write the statements into this document")
    statements = cast(list[dict[str, Any]], arguments.get("statements") or [])
    document: dict[str, Any] = {
        "Version": arguments.get("version") or "2012-10-17",
        "Statement": [_statement(statement) for statement in statements],
    }
    if arguments.get("policyId"):
        document["Id"] = arguments["policyId"]
    return {
        **arguments,
        "id": digits(json.dumps(document, sort_keys=True), 10),
        "json": json.dumps(document, indent=2),
        "minifiedJson": json.dumps(document, separators=(",", ":")),
    }


FUNCTIONS = {
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:ec2/getAmi:getAmi": _image,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
}
