"""Parses `pulumi config` into `Settings`, and reports every problem at once with its key and the allowed values.

Pydantic checks each field; `CROSS_CHECKS` check fields against each other. The cross checks also run if some fields are
invalid, so that one misspelt key does not hide an unsafe topology.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from model.copies import OLD_KEYS, migrated, problems_of_copies
from model.problems import NAMESPACE, Problem
from model.settings import ImagePipeline, Settings, Tier
from model.worker_modules import ModuleError, application_of

# https://developers.cloudflare.com/workers/platform/limits/
VARIABLE_BYTES = 5 * 1024
# Names of queues, Workers and buckets contain the stack's name and have at most 63 characters. The longest one is
# backbuild-STACK-backup-dead-letters.
STACK_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,31}[a-z0-9])?")
DAYS_A_MONTH = 31  # the longest month: a monthly backup is never dropped early
DAYS_A_YEAR = 366
RESERVED_LABELS = ("backups", "database")
"""Subdomains of other parts of the platform; the API cannot use them."""
# The status page's built-in components (workers/status/components.js).
STATUS_COMPONENTS = ("api", "edge", "database", "replication", "objectStorage", "backups", "platform")
SECRETS = ("accessKeyId", "secretAccessKey", "readAccessKeyId", "readSecretAccessKey")
"""Secret fields: error messages do not show their values."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class ConfigurationError(Exception):
    """The configuration is invalid; `problems` lists every reason."""

    def __init__(self, stack: str, problems: list[Problem]) -> None:
        self.problems: list[Problem] = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"the configuration of stack {stack} (Pulumi.{stack}.yaml) has {count}:\n{lines}")


def load(config: Mapping[str, str], stack: str) -> Settings:
    """Parse the stack's configuration. `config` maps `backbuild:key` to text; sections are JSON.

    Keys of other namespaces (`aws:…`) belong to the providers and are ignored. Raises `ConfigurationError`.
    """
    raw = {name: _read(name, text) for name, text in _own_keys(config)}
    if "backups" in raw:
        raw["backups"] = migrated(raw["backups"])
    problems: list[Problem] = []
    if not STACK_NAME.fullmatch(stack):
        allowed = "1 to 33 lower-case letters, digits and hyphens, with a letter or digit at both ends"
        problems.append(Problem("", f"the stack's name {stack!r} is part of its resources' names; allowed: {allowed}"))
    try:
        settings: Settings | None = Settings.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        settings = None
        problems += [_problem(cast("dict[str, Any]", detail)) for detail in error.errors()]
    problems += _contradictions(settings or _partial(Settings, raw))
    if settings is None or problems:
        raise ConfigurationError(stack, problems)
    return settings


def _own_keys(config: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, text in config.items():
        namespace, _, name = key.partition(":")
        if namespace == NAMESPACE and text:  # Pulumi.yaml's default of required keys is the empty text
            yield name, text


def _read(name: str, text: str) -> Any:
    """Return a key's value. Sections, numbers and booleans are JSON; strings are plain text."""
    field = {field.alias: field for field in Settings.model_fields.values()}.get(name)
    if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _problem(detail: dict[str, Any]) -> Problem:
    path = ""
    for part in detail["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    kind, given = detail["type"], detail["input"]
    if kind == "missing":
        return Problem(path, "is missing; set it in the stack's file")
    if kind == "extra_forbidden" and path.removeprefix("backups.") in OLD_KEYS:
        entry = OLD_KEYS[path.removeprefix("backups.")]
        return Problem(path, f"is an entry of backups.copies now; write {entry} there instead")
    if kind == "extra_forbidden":
        return Problem(path, f"unknown key{_siblings(detail['loc'])}")
    message = str(detail["msg"]).removeprefix("Value error, ")
    # The message must not contain secrets: neither a secret's value nor a section, which may contain one.
    shown = isinstance(given, str | int | float | bool) and detail["loc"][-1] not in SECRETS
    from_pydantic = f"{message[0].lower()}{message[1:]}{f'; given: {given!r}' if shown else ''}"
    return Problem(path, message if kind == "value_error" else from_pydantic)


def _siblings(location: tuple[str | int, ...]) -> str:
    """Return the allowed keys of the section that contains an unknown key."""
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        fields = {str(field.alias): field.annotation for field in model.model_fields.values()}
        annotation: Any = fields.get(part)
        if get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        model = annotation
    return f"; allowed: {', '.join(sorted(str(field.alias) for field in model.model_fields.values()))}"


def _partial(model: type[ModelT], raw: Any) -> ModelT:
    """Build `model` from the valid fields of `raw`. Reading one of the other fields raises AttributeError."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        alias = str(field.alias)
        if not isinstance(raw, dict) or alias not in raw:
            if not field.is_required():
                values[name] = field.get_default(call_default_factory=True)
            continue
        given = cast("dict[str, Any]", raw)[alias]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            values[name] = _partial(annotation, given)
        else:
            try:
                adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
                values[name] = adapter.validate_json(json.dumps(given), strict=True)
            except ValidationError:
                continue
    built = model.model_construct(**values)
    for name in model.model_fields.keys() - values.keys():
        vars(built).pop(name, None)  # model_construct gives an invalid field its default
    return built


def _contradictions(settings: Settings) -> list[Problem]:
    problems: list[Problem] = []
    for check in CROSS_CHECKS:
        try:
            problems += check(settings)
        except AttributeError:  # a field that this check needs is invalid, which is already reported
            continue
    return problems


def _production_is_redundant(settings: Settings) -> Iterator[Problem]:
    if settings.tier is not Tier.PRODUCTION:
        return
    for group in ("coordinator", "workers"):
        members = getattr(settings.database, group).members
        if members < 3:
            yield Problem(
                f"database.{group}.members",
                f"given: {members}; allowed in production: 3, one in each zone, so that every commit is on two disks",
            )


def _production_is_protected(settings: Settings) -> Iterator[Problem]:
    if settings.tier is Tier.PRODUCTION and not settings.protect:
        yield Problem("protect", "production data must be protected; allowed: true")


def _zones_lie_in_the_region(settings: Settings) -> Iterator[Problem]:
    region = settings.database.region
    for index, zone in enumerate(settings.database.zones):
        if not re.fullmatch(rf"{re.escape(region)}[a-z]", zone):  # refuses Local Zones, too: region-city-1a
            yield Problem(
                f"database.zones[{index}]", f"{zone} is not a zone of {region}; allowed: {region}a, {region}b, …"
            )


def _image_pipeline_has_a_base(settings: Settings) -> Iterator[Problem]:
    pipeline = settings.database.image_pipeline
    if pipeline.base_image is None and pipeline != ImagePipeline():
        yield Problem(
            "database.imagePipeline.baseImage",
            "is missing, so no image would be built; set it to a Debian 13 image in the region, ami-…, or remove "
            "database.imagePipeline",
        )


def _rotation_covers_the_point_in_time_window(settings: Settings) -> Iterator[Problem]:
    window, kept = settings.backups.point_in_time_days, settings.backups.rotation.hourly_days
    if kept < window:
        yield Problem(
            "backups.rotation.hourlyDays",
            f"{kept} days of increments and WAL do not cover the point-in-time window; allowed: {window} or more",
        )


def _rotation_grows(settings: Settings) -> Iterator[Problem]:
    rotation = settings.backups.rotation
    kept = [
        ("hourlyDays", rotation.hourly_days, 1),
        ("dailyDays", rotation.daily_days, 1),
        ("monthlyMonths", rotation.monthly_months, DAYS_A_MONTH),
        ("yearlyYears", rotation.yearly_years, DAYS_A_YEAR),
    ]
    for (shorter, short, short_unit), (longer, long, long_unit) in pairwise(kept):
        days, floor = long * long_unit, short * short_unit
        if days <= floor:
            yield Problem(
                f"backups.rotation.{longer}",
                f"keeps {days} days, but must keep more than {shorter} ({floor} days); "
                f"allowed: {floor // long_unit + 1} or more",
            )


def _former_groups_are_removed(settings: Settings) -> Iterator[Problem]:
    groups = settings.database.workers.groups
    for name in settings.backups.former_groups:
        if int(name.removeprefix("worker-")) <= groups:
            yield Problem(
                "backups.formerGroups",
                f"{name} is one of the present {groups} worker groups, whose backups have rules anyway; remove it here",
            )


def _api_hostname_is_not_reserved(settings: Settings) -> Iterator[Problem]:
    if settings.api.hostname in RESERVED_LABELS:
        yield Problem(
            "api.hostname",
            f"{settings.api.hostname}.{settings.domain} is used by another part of the platform; "
            f"allowed: any label but {', '.join(RESERVED_LABELS)}",
        )


def _partial_rollout_has_a_stable_version(settings: Settings) -> Iterator[Problem]:
    rollout = settings.api.rollout
    if rollout.percentage < 100 and rollout.stable_version is None:
        yield Problem(
            "api.rollout.stableVersion",
            f"is missing, and {100 - rollout.percentage} % of requests need it; allowed: the output apiVersion of an "
            "earlier deployment",
        )


def _script_can_be_uploaded(settings: Settings) -> Iterator[Problem]:
    if settings.api.script is not None:
        try:
            application_of(settings.api.script)
        except ModuleError as error:
            yield Problem("api.script", f"{error}; allowed: a folder in the project that contains index.js")


def _status_page_is_independent(settings: Settings) -> Iterator[Problem]:
    if settings.status_domain == settings.domain or settings.status_domain.endswith(f".{settings.domain}"):
        yield Problem(
            "statusDomain",
            f"a status page inside {settings.domain} would fail together with it; allowed: a domain outside of it",
        )


def _credits_grow(settings: Settings) -> Iterator[Problem]:
    tiers = [(100.0, 0), *((credit.below_percent, credit.credit_percent) for credit in settings.uptime.credits)]
    for index, ((limit, credit), (lower, more)) in enumerate(pairwise(tiers)):
        if index and (lower >= limit or more <= credit):
            yield Problem(
                f"uptime.credits[{index}]",
                f"{more} % credit below {lower} % uptime follows {credit} % credit below {limit} %; "
                "allowed: a lower limit with a higher credit",
            )


def _credits_begin_at_the_target(settings: Settings) -> Iterator[Problem]:
    target, first = settings.uptime.target_percent, settings.uptime.credits[:1]
    if first and first[0].below_percent > target:
        yield Problem(
            "uptime.credits[0].belowPercent",
            f"a month below {first[0].below_percent} % can meet the target and would be credited; "
            f"allowed: at most {target}",
        )


def _worker_variables_fit(settings: Settings) -> Iterator[Problem]:
    """Check the size of settings that become one variable of a Cloudflare Worker each; Cloudflare limits that size."""
    variables = {
        "status.operators": dict.fromkeys(settings.status.operators, "0" * 64),  # the SHA-256 of each operator's token
        "status.components": [component.model_dump() for component in settings.status.components],
        "uptime.credits": [{"below": 99_900, "credit": credit.credit_percent} for credit in settings.uptime.credits],
        "alarms.emails": settings.alarms.emails,
        "alarms.webhooks": settings.alarms.webhooks,
        "contact": settings.contact,
    }
    for key, document in variables.items():
        size = len(json.dumps(document).encode())
        if size > VARIABLE_BYTES:
            yield Problem(
                key,
                f"needs {size} bytes as a variable of a Cloudflare Worker; allowed: {VARIABLE_BYTES}; "
                "remove or shorten entries",
            )


def _alarm_addresses_are_unique(settings: Settings) -> Iterator[Problem]:
    alarms = settings.alarms
    for key, given in (("alarms.emails", alarms.emails), ("alarms.webhooks", alarms.webhooks)):
        addresses = [_normalised(address) for address in given]
        for index, address in enumerate(addresses):
            if address in addresses[:index]:
                # The message omits the address: a webhook's URL is a secret.
                first, second = addresses.index(address) + 1, index + 1
                yield Problem(key, f"entries {first} and {second} are the same address; allowed: each address once")


def _normalised(address: str) -> str:
    """Return an address in a form that is equal for the same receiver: hostnames and mailboxes ignore case."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address.lower()
    host, _, path = rest.partition("/")
    return f"{scheme}://{host.lower().removesuffix(':443').removesuffix('.')}/{path}"


def _component_ids_are_unique(settings: Settings) -> Iterator[Problem]:
    known: set[str] = set(STATUS_COMPONENTS)
    for index, added in enumerate(settings.status.components):
        if added.id in known:
            yield Problem(
                f"status.components[{index}].id",
                f"{added.id} is already used; allowed: any id but {', '.join(sorted(known))}",
            )
        known.add(added.id)


CROSS_CHECKS: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
    _production_is_redundant,
    _production_is_protected,
    _zones_lie_in_the_region,
    _image_pipeline_has_a_base,
    _rotation_covers_the_point_in_time_window,
    _rotation_grows,
    _former_groups_are_removed,
    problems_of_copies,
    _api_hostname_is_not_reserved,
    _partial_rollout_has_a_stable_version,
    _script_can_be_uploaded,
    _status_page_is_independent,
    _credits_grow,
    _credits_begin_at_the_target,
    _component_ids_are_unique,
    _worker_variables_fit,
    _alarm_addresses_are_unique,
)
