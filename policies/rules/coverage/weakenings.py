"""Weakenings of coverage: resources, properties and options without a row, and contents without a review."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from policies.coverage.table import Covered, Row, covering, table
from policies.graph import Graph, Resource, Value
from policies.mutation.files import DATABASE, boot, edit, write
from policies.mutation.operators import (
    Mutant,
    Operator,
    assigned,
    declare,
    declare_another,
    declared,
    drop,
    each,
    optioned,
    put,
    replaced,
    revised,
)
from policies.mutation.weakening import Weakenings
from policies.views.contents import VERSION
from policies.views.machines import INSTANCE
from policies.views.permissions import BUCKET_POLICY, ROLE, ROLE_POLICY

TASK = "aws:ssm/maintenanceWindowTask:MaintenanceWindowTask"


def _listed(covered: Covered) -> Iterator[tuple[str, Row]]:
    for path, row in covered.rows.items():
        if row.limited:
            yield path, row


def elsewhere(type: str, *, options: bool) -> Operator:
    """Give each listed property, or each listed option, of a type another value, in the first resource that has it."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for covered in table()[type]:
            own = [one for one in graph.of(type) if covering(table(), type, one.name) is covered]
            for path, row in _listed(covered):
                if path.startswith("@") is not options:
                    continue
                changed = (_with_option(one, path) if options else _elsewhere(one, path, row) for one in own)
                first = next((one for one in changed if one is not None), None)
                if first is not None:
                    yield Mutant(f"{first.label}: {path}", replaced(graph, first))

    return make


def _with_option(resource: Resource, path: str) -> Resource:
    """Return a copy with another value of an option."""
    name = path.removeprefix("@")
    another: list[Value] = ["*", "more"]
    return optioned(resource, **{name: another})


def _elsewhere(resource: Resource, path: str, row: Row) -> Resource | None:
    try:
        changed = assigned(resource, path.replace("[]", "[*]"), lambda value: _other(value, row))
    except (AttributeError, TypeError, IndexError):  # the resource does not have this path
        return None
    if changed is None or not row.refers:
        return changed
    top = path.partition(".")[0].removesuffix("[]")
    return revised(changed, property_dependencies={**changed.property_dependencies, top: ()})


def _other(value: Value, row: Row) -> Value:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1000 if row.at_least is None else row.at_least - 1
    return f"{value}/elsewhere" if isinstance(value, str) else "elsewhere"


def _with_comment(encoded: str) -> str:
    return base64.b64encode(base64.b64decode(encoded) + b"\n// A comment\n").decode()


def _without_patch(document: dict[str, Any]) -> None:
    files = document["write_files"]
    document["write_files"] = [file for file in files if file["path"] != "/usr/local/sbin/backbuild-patch"]


def _beside(of: str, /, **properties: str | Callable[[Graph], Resource]) -> Operator:
    """Add a reviewed resource beside the platform. A property that is a function refers to the resource it returns."""

    def make(graph: Graph) -> Iterator[Mutant]:
        needs: dict[str, tuple[str, ...]] = {}
        values: dict[str, Value] = {}
        for name, value in properties.items():
            if isinstance(value, str):
                values[name] = value
            else:
                target = value(graph)
                values[name], needs[name] = target.properties.get("id"), (target.urn,)
        yield Mutant(of, Graph(graph.resources, [declared(graph, of, "more", values, needs)]))

    return make


def _first(type: str) -> Callable[[Graph], Resource]:
    return lambda graph: graph.of(type)[0]


WEAKENINGS: Weakenings = {
    "every-resource-is-covered": {
        "a Lambda function": declare("aws:lambda/function:Function", role="arn:aws:iam::1:role/x"),
        "a second maintenance task": declare_another(TASK),
        "a second policy of a role": declare_another(ROLE_POLICY),
        "a network ACL": declare("aws:ec2/networkAcl:NetworkAcl", vpcId="vpc-1"),
        "a page rule": declare("cloudflare:index/pageRule:PageRule", target="*/health"),
    },
    "every-property-is-covered": {
        "spot instances": put(INSTANCE, "instanceMarketOptions", {"marketType": "spot"}),
        "public addresses": put(INSTANCE, "associatePublicIpAddress", True),
        "a permissions boundary": put(ROLE, "permissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
        "a property of a nested mapping": put(INSTANCE, "metadataOptions.httpProtocolIpv6", "enabled"),
    },
    "every-option-is-covered": {
        "user data that is never changed": each(
            INSTANCE, lambda _: True, lambda _, one: optioned(one, ignoreChanges=["userData"])
        ),
        "an object that is kept when its resource is removed": each(
            INSTANCE, lambda _: True, lambda _, one: optioned(one, retainOnDelete=True)
        ),
        **{
            f"an option of {type.rpartition(':')[2]} has another value": elsewhere(type, options=True)
            for type, listed in table().items()
            if any(path.startswith("@") for covered in listed for path, _ in _listed(covered))
        },
    },
    "values-are-allowed": {
        f"a property of {type.rpartition(':')[2]} has another value": elsewhere(type, options=False)
        for type, listed in table().items()
        if any(not path.startswith("@") for covered in listed for path, _ in _listed(covered))
    },
    "content-is-reviewed": {
        "a health check that always succeeds": edit(
            "/usr/local/sbin/backbuild-healthy", r"\A(#!.*\n)", r"\1exit 0\n", DATABASE
        ),
        "a drop-in with another environment": write(
            "/etc/systemd/system/patroni.service.d/more.conf", "[Service]\nEnvironment=PATRONI_LOG_LEVEL=ERROR\n"
        ),
        "another script of a Cloudflare Worker": put(VERSION, "modules[0].contentBase64", _with_comment),
        "a role that anybody may assume": put(
            ROLE,
            "assumeRolePolicy",
            '{"Statement": [{"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"AWS": "*"}}]}',
        ),
        "a role that may do more": put(
            ROLE_POLICY, "policy", '{"Statement": [{"Action": "s3:*", "Effect": "Allow", "Resource": "*"}]}'
        ),
    },
    "resources-beside-leave-the-platform-alone": {
        "an association that stops Patroni everywhere": _beside("aws:ssm/association:Association", name="x"),
        "an event that stops machines": _beside("aws:cloudwatch/eventTarget:EventTarget", rule="x", arn="y"),
        "a page rule in the platform's zone": _beside(
            "cloudflare:index/pageRule:PageRule", zoneId=_first("cloudflare:index/zone:Zone"), target="*/health"
        ),
        "a route over the health check": _beside(
            "cloudflare:index/workersRoute:WorkersRoute", zoneId=_first("cloudflare:index/zone:Zone"), pattern="*"
        ),
        "another key of the writer": _beside("aws:iam/accessKey:AccessKey", user=_first("aws:iam/user:User")),
        "another version of a secret": _beside(
            "aws:secretsmanager/secretVersion:SecretVersion", secretId=_first("aws:secretsmanager/secret:Secret")
        ),
        "a record that takes over the API's name": _beside(
            "cloudflare:index/dnsRecord:DnsRecord",
            zoneId=_first("cloudflare:index/zone:Zone"),
            name="api.backbuild.ai",
            type="A",
        ),
        "a lifecycle of a backup bucket by its name": _beside(
            "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle", bucketName="backbuild-prod-backups"
        ),
    },
    "reviewed-content-is-there": {
        "a script is removed from all machines": boot(_without_patch, all=True),
        "a bucket's policy is removed": drop(BUCKET_POLICY),
    },
}
