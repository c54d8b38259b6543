"""Redundancy: every resource, property and option is in the coverage table, and has a value that the table allows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from policies.baseline import FILE, Review, committed
from policies.controls import CHANGE
from policies.coverage.beside import expected
from policies.coverage.table import PLACEHOLDER, Covered, Row, covering, table
from policies.coverage.walk import Missing, leaves, values_at
from policies.graph import Graph, Resource, Undetermined, Unknown, Value
from policies.rule import NotApplicable, Severity, define
from policies.views.contents import Content, contents
from policies.views.placeholders import ZONE, placeholders
from policies.views.shared import stack

EVERY_PROMISE = ("RED-1", "RED-2", "RED-3", "BAK-1", "BAK-3", "BAK-6")
SHOWN = 3  # problems in one message
SHORT = 6  # characters of an identity that may also be another word, such as `prod`


def declared(graph: Graph) -> list[Resource]:
    """Resources."""
    return [one for one in graph.resources if not one.is_component]


@define(
    "redundancy",
    "every-resource-is-covered",
    Severity.HIGH,
    "Every resource is in the coverage table",
    over=declared,
    promises=EVERY_PROMISE,
    controls=CHANGE,
    remedy="add it to policies/coverage, or, if it is beside the platform, review it by `python -m policies baseline`",
)
def every_resource(_: Graph, resource: Resource) -> str | None:
    """A resource that no rule reads, such as a further ingress rule, can cancel what the other resources promise.

    Reviewed resources beside the platform are removed first: `policies/coverage/beside.py`.
    """
    if expected(resource):
        return None
    if resource.type not in table():
        return f"the table has no type {resource.type}"
    return f"the table has no {resource.type} with this name"


def _covered(resource: Resource) -> Covered:
    covered = covering(table(), resource.type, resource.name)
    if covered is None:
        raise NotApplicable("it is not in the coverage table")
    return covered


@define(
    "redundancy",
    "every-property-is-covered",
    Severity.HIGH,
    "Every property has a row in the coverage table",
    over=declared,
    promises=EVERY_PROMISE,
    controls=CHANGE,
    remedy="add a row to policies/coverage that says who judges the property, or remove the property",
)
def every_property(_: Graph, resource: Resource) -> str | None:
    """A rule reads only the properties that its author thought of. The row of any other property limits it or says why
    it is free.
    """
    covered = _covered(resource)
    paths = dict.fromkeys(path for path, _ in leaves(resource.set_inputs))
    return _shown(f"the table has no row for {path}" for path in paths if covered.row(path) is None)


@define(
    "redundancy",
    "every-option-is-covered",
    Severity.HIGH,
    "Every resource option has a row in the coverage table",
    over=declared,
    promises=EVERY_PROMISE,
    controls=CHANGE,
    remedy="add a row to policies/coverage that says who judges the option, or remove the option",
)
def every_option(_: Graph, resource: Resource) -> str | None:
    """An option can cancel what the properties promise: with `ignoreChanges`, the cloud keeps an old value."""
    covered = _covered(resource)
    unknown = (f"the table has no row for @{name}" for name in resource.options if f"@{name}" not in covered.rows)
    return _shown(unknown) or _shown(_option_problems(resource, covered))


def _option_problems(resource: Resource, covered: Covered) -> Iterator[str]:
    for path, row in covered.rows.items():
        name = path.removeprefix("@")
        absent = name not in resource.options and (row.optional or name in resource.hidden_options)
        if absent or not path.startswith("@"):
            continue
        if row.values is not None and resource.options.get(name) not in row.values:
            yield f"{path} is {_text(resource.options.get(name))}; {_expected(row)} is expected"


@define(
    "redundancy",
    "values-are-allowed",
    Severity.HIGH,
    "Properties have values that the coverage table allows",
    over=declared,
    promises=EVERY_PROMISE,
    controls=CHANGE,
    remedy="restore the value, or change the allowed values in policies/coverage",
)
def values_allowed(graph: Graph, resource: Resource) -> str | None:
    """If a property has only a few safe values, the table lists them, and every other value fails."""
    covered = _covered(resource)
    return _shown(
        problem
        for path, row in covered.rows.items()
        if not path.startswith("@") and row.limited
        for problem in _problems(graph, resource, path, _filled(graph, resource, covered, row))
    )


def _filled(graph: Graph, resource: Resource, covered: Covered, row: Row) -> Row:
    """Return a row with the values of its placeholders."""
    own = covered.name.fullmatch(resource.name)
    groups = {str(number): text for number, text in enumerate(own.groups() if own else (), start=1)}
    values = {**placeholders(graph), **groups, "name": resource.name}

    def fill(text: str) -> str:
        text = re.sub(r"\{(\d)\}", lambda found: values.get(found[1], found[0]), text)
        return PLACEHOLDER.sub(lambda found: re.escape(values[found[1]]) if found[1] in values else found[0], text)

    pattern = None if row.pattern is None else fill(row.pattern)
    return row.model_copy(update={"pattern": pattern, "refers": [fill(one) for one in row.refers]})


def _problems(graph: Graph, resource: Resource, path: str, row: Row) -> Iterator[str]:
    for value in values_at(resource.set_inputs, path):
        if isinstance(value, Missing):
            if not row.optional:
                yield f"{path} is not set; {_expected(row)} is expected"
        elif row.refers:
            if not _refers(graph, resource, path, value, row.refers):
                yield f"{path} refers to something else than {_expected(row)}"
        elif value is Unknown.LATER:
            raise Undetermined(resource.urn, path, value.value)
        elif not (_listed(row, value) and _matches(row, value) and _within(row, value)):
            yield f"{path} is {_text(value)}; {_expected(row)} is expected"


def _listed(row: Row, value: Value) -> bool:
    # By type, too: in Python, 1 equals True.
    return row.values is None or any(value == one and type(value) is type(one) for one in row.values)


def _matches(row: Row, value: Value) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return row.pattern is None or re.fullmatch(row.pattern, text, re.DOTALL) is not None


def _within(row: Row, value: Value) -> bool:
    least, most = row.at_least, row.at_most
    if least is None and most is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (least is None or value >= least) and (most is None or value <= most)


def _refers(graph: Graph, resource: Resource, path: str, value: Value, expected: Iterable[str]) -> bool:
    top = path.partition(".")[0].removesuffix("[]")
    found = [one for urn in resource.property_dependencies.get(top, ()) if (one := graph.get(urn)) is not None]
    if not found and isinstance(value, str):
        found = [one for one in graph.resources if value in one.identities]
    return bool(found) and all(any(_is(one, reference) for reference in expected) for one in found)


def _is(resource: Resource, reference: str) -> bool:
    type, _, name = reference.partition(" ")
    return resource.type == type and (not name or re.fullmatch(name, resource.name) is not None)


def _expected(row: Row) -> str:
    if row.values is not None:
        return " or ".join(_text(one) for one in row.values)
    limits = ((row.at_least, "at least"), (row.at_most, "at most"))
    numbers = " and ".join(f"{word} {limit:g}" for limit, word in limits if limit is not None)
    return row.pattern or numbers or " or ".join(row.refers)


def _text(value: object) -> str:
    return "hidden" if isinstance(value, Unknown) else json.dumps(value, default=str)[:80]


def _shown(problems: Iterable[str]) -> str | None:
    found = list(dict.fromkeys(problems))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more if found else None


def _reviews(graph: Graph) -> Mapping[str, Review]:
    found = committed().get(graph.name)
    return {} if found is None else found.reviews


@define(
    "redundancy",
    "content-is-reviewed",
    Severity.HIGH,
    "Scripts, files and policy documents have the content that was reviewed",
    over=contents,
    promises=EVERY_PROMISE,
    controls=CHANGE,
    remedy="review the difference that `python -m policies baseline` shows, then record it with --write",
)
def content_reviewed(graph: Graph, content: Content) -> str | None:
    """No rule reads every line of a script. A person reviews it, and the SHA-256 shows whether it changed since."""
    review = _reviews(graph).get(content.key)
    if review is None:
        return f"it has no review ({content.key})"
    if content.waits and set(content.needs) != set(review.needs):
        differing = ", ".join(sorted(set(content.needs) ^ set(review.needs)))
        return f"it refers to other resources than those that {review.by} reviewed: {differing} ({content.key})"
    if content.sha256 != review.sha256:
        return f"it differs from what {review.by} reviewed on {review.on} ({content.key})"
    return None


@define(
    "redundancy",
    "reviewed-content-is-there",
    Severity.HIGH,
    "All reviewed scripts, files and policy documents still exist",
    over=stack,
    promises=EVERY_PROMISE,
    controls=CHANGE,
    remedy="restore the content, or remove its review by `python -m policies baseline --write`",
)
def reviewed_content_there(graph: Graph, _: Resource) -> str | None:
    """The removal of a file is a change that needs a review, too."""
    if graph.name not in committed():
        return f"{FILE.name} has no reviews of the stack {graph.name}"
    keys = {content.key for content in contents(graph)}
    return _shown(
        f"{key} has a review in {FILE.name}, but does not exist" for key in _reviews(graph) if key not in keys
    )


# What resources beside the platform may refer to. Other rules compute who may reach a security group, and use a key.
SHARED = (
    "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet", "aws:ec2/securityGroup:SecurityGroup", "aws:kms/key:Key",
    "pulumi:pulumi:Stack",
)  # fmt: skip
# Types that act on machines or on a whole account without a reference to a resource.
FAR_REACHING = (
    "aws:ssm/", "aws:budgets/", "aws:fis/", "aws:scheduler/", "aws:resourcegroups", "aws:backup/", "aws:dlm/",
    "aws:cloudwatch/eventTarget", "aws:ebs/snapshotBlockPublicAccess", "aws:ebs/encryptionByDefault",
    "aws:ec2/instanceMetadataDefaults", "aws:ec2/tag", "aws:ec2transitgateway/instanceState",
    "aws:s3/accountPublicAccessBlock",
    "aws:iam/account", "aws:organizations/", "cloudflare:index/account", "cloudflare:index/ruleset",
)  # fmt: skip


RECORD = "cloudflare:index/dnsRecord:DnsRecord"
# Types with a host name of the platform, and the property.
HOSTS = (
    (RECORD, "name"),
    ("cloudflare:index/workersCustomDomain:WorkersCustomDomain", "hostname"),
    ("cloudflare:index/healthcheck:Healthcheck", "address"),
    ("cloudflare:index/hyperdriveConfig:HyperdriveConfig", "origin.host"),
)


def _is_of_the_platform(graph: Graph, record: Resource) -> bool:
    """Whether a DNS record changes a name of the platform, or who may send mail for its domains."""
    name = record.text("name")
    if record.text("type") == "TXT" and not name.startswith("_"):
        return record.text("content").strip('"').lower().startswith("v=")  # others are such as a proof of ownership
    hosts = {one.text(path) for type, path in HOSTS for one in graph.of(type)}
    return name in hosts or "*" in name or name.startswith("_")


def beside(graph: Graph) -> list[Resource]:
    """Resources beside the platform."""
    return graph.beside


@define(
    "redundancy",
    "resources-beside-leave-the-platform-alone",
    Severity.HIGH,
    "Reviewed resources beside the platform do not act on it",
    over=beside,
    promises=EVERY_PROMISE,
    controls=CHANGE,
    remedy="declare it without a reference to the platform's resources, or cover it in policies/coverage",
    optional=True,
)
def beside_leave_alone(graph: Graph, resource: Resource) -> str | None:
    """The rules about the platform ignore these resources, so they must not change or stop a part of it."""
    if resource.type.startswith(FAR_REACHING):
        return f"the type {resource.type} may act on the platform without naming it"
    own = {one.urn: one for one in graph.resources if one.type not in SHARED and not one.is_component}
    if resource.type == RECORD and not _is_of_the_platform(graph, resource):
        own = {urn: one for urn, one in own.items() if one.type not in {ZONE, RECORD}}
    for urn in resource.needs:
        if urn in own:
            return f"it refers to {own[urn].label}"
    names = {identity: one for one in own.values() for identity in one.identities if len(identity) > SHORT}
    for path, value in leaves(resource.set_inputs):
        if isinstance(value, str) and value in names:
            return f"{path} names {names[value].label}"
    return None
