"""The copies of every backup: where each one lies, what it is called, and what the Workers are told of it. Pure.

`backups.copies` of the settings is the only list of them. The machines write to the copy named `primary`; the Workers
bring every object from there to all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from model.partitions import partition_of
from model.problems import Problem
from model.settings import PRIMARY, BackupCopy, CopyKind, LockMode, Region, Settings

LEAST = 3
"""One that is damaged, one that is out of reach, and one to restore from."""
# These stores have kinds of their own, which place and protect the bucket.
_OWN_KINDS = {"amazonaws.com": "kind s3 without an endpoint", "r2.cloudflarestorage.com": "kind r2"}
_FIELDS = {
    "r2": ({"jurisdiction"}, set[str]()),
    "s3": ({"region"}, {"role_arn", "lock_mode"}),
    "s3 with an endpoint": (
        {"region", "endpoint", "bucket", "access_key_id", "secret_access_key"},
        {"lock_mode"},
    ),
}
"""Fields that a copy must and may have beside its name and kind."""


@dataclass(frozen=True)
class R2Copy:
    """A bucket in R2, within the borders of a jurisdiction; the platform declares it."""

    name: str
    bucket: str
    jurisdiction: str
    endpoint: str
    """The host of its S3-compatible interface."""


@dataclass(frozen=True)
class AwsCopy:
    """A bucket in S3, in a region and through `role_arn` in another account; the platform declares it."""

    name: str
    bucket: str
    region: str
    role_arn: str | None
    lock_mode: str
    """COMPLIANCE: nobody, the account's root included, shortens a lock."""
    writer: str
    """The IAM user whose keys the Workers hold."""


@dataclass(frozen=True)
class ForeignCopy:
    """A bucket in another S3-compatible store. The operator makes it, with versioning and object lock, and its keys."""

    name: str
    bucket: str
    region: str
    endpoint: str
    """The origin, `https://…`; the bucket is the first part of the path."""
    lock_mode: str
    access_key_id: str
    secret_access_key: str


Copy = R2Copy | AwsCopy | ForeignCopy


def copies_of(prefix: str, settings: Settings) -> tuple[Copy, ...]:
    """Every copy of a stack, the primary first; `prefix` begins the names of what the stack declares."""
    copies = [_copy(prefix, settings, given) for given in settings.backups.copies]
    return tuple(sorted(copies, key=lambda copy: copy.name != PRIMARY))  # stable: the others stay in their order


def _copy(prefix: str, settings: Settings, given: BackupCopy) -> Copy:
    bucket = f"{prefix}-backups" if given.name == PRIMARY else f"{prefix}-backups-{given.name}"
    if given.kind is CopyKind.R2:
        jurisdiction = str(given.jurisdiction)
        host = f"{settings.edge.account_id}.{jurisdiction}.r2.cloudflarestorage.com"
        return R2Copy(given.name, bucket, jurisdiction, host)
    lock_mode = given.lock_mode or (LockMode.COMPLIANCE if settings.protect else LockMode.GOVERNANCE)
    region = str(given.region)
    if given.endpoint is None:
        return AwsCopy(given.name, bucket, region, given.role_arn, lock_mode, _writer(prefix, given.name))
    return ForeignCopy(
        given.name,
        str(given.bucket),
        region,
        given.endpoint.rstrip("/"),
        lock_mode,
        _secret(given.access_key_id),
        _secret(given.secret_access_key),
    )


def _writer(prefix: str, name: str) -> str:
    # The first S3 copy of the platform was called `offsite`. Another name of its user would replace the user's keys.
    return f"{prefix}-backup-writer" if name == "offsite" else f"{prefix}-{name}-writer"


def _secret(value: Any) -> str:
    return cast("str", value.get_secret_value())


def binding_name(copy: Copy) -> str:
    """What the Workers' bindings for a copy are called, or begin with."""
    return f"COPY_{copy.name.upper()}"


def binding_of(copies: Sequence[Copy]) -> list[dict[str, str]]:
    """What the Workers are told of all copies: the binding `COPIES`."""
    return [_told(copy) for copy in copies]


def _told(copy: Copy) -> dict[str, str]:
    if isinstance(copy, R2Copy):
        return {"name": copy.name, "kind": "r2"}
    place = {"bucket": copy.bucket, "region": copy.region, "lockMode": copy.lock_mode}
    endpoint = {"endpoint": copy.endpoint} if isinstance(copy, ForeignCopy) else {}
    return {"name": copy.name, "kind": "s3", **place, **endpoint}


def translated(backups: Any) -> Any:
    """The section `backups` in which the keys of earlier releases, if any, have become the list `copies`.

    A section that has both is left as it is: its old keys are then refused, each with the name of the new one.
    """
    if not isinstance(backups, dict):
        return backups  # pyright: ignore[reportUnknownVariableType] (refused as it is)
    section = cast("dict[str, Any]", backups)
    if "copies" in section or not section.keys() & OLD_KEYS.keys():
        return section
    old = {
        PRIMARY: {"kind": "r2", "jurisdiction": section.get("jurisdiction")},
        "replica": _given("r2", section.get("replica")),
        "offsite": _given("s3", section.get("offsite")),
    }
    copies = [{"name": name, **fields} for name, fields in old.items() if fields is not None]
    return {key: value for key, value in section.items() if key not in OLD_KEYS} | {"copies": copies}


OLD_KEYS = {
    "jurisdiction": "{name: primary, kind: r2, jurisdiction: …}",
    "replica": "{name: replica, kind: r2, jurisdiction: …}",
    "offsite": "{name: offsite, kind: s3, region: …}",
}
"""Keys of `backups` in earlier releases, and the entry of `backups.copies` that each has become."""


def _given(kind: str, fields: Any) -> dict[str, Any] | None:
    return {"kind": kind, **cast("dict[str, Any]", fields)} if isinstance(fields, dict) else None


def problems_of_copies(settings: Settings) -> Iterator[Problem]:
    """What keeps the copies from being that many independent ones."""
    copies = settings.backups.copies
    yield from _whole(copies)
    sound: list[tuple[str, BackupCopy]] = []
    for index, copy in enumerate(copies):
        key = f"backups.copies[{index}]"
        found = [*_fields(key, copy), *_named_once(key, copies, index)]
        yield from found
        if not found:
            sound.append((key, copy))
    for index, (key, copy) in enumerate(sound):
        yield from _apart(key, copy, sound[:index])
        if copy.kind is CopyKind.S3:
            yield from (_at_aws if copy.endpoint is None else _elsewhere)(key, copy, settings.database.region)


def _whole(copies: Sequence[BackupCopy]) -> Iterator[Problem]:
    primaries = [copy for copy in copies if copy.name == PRIMARY]
    if not primaries:
        yield Problem(
            "backups.copies",
            f"no copy is named {PRIMARY}; add {OLD_KEYS['jurisdiction']}, the bucket that the machines write to",
        )
    if any(copy.kind is not CopyKind.R2 for copy in primaries):
        index = next(index for index, copy in enumerate(copies) if copy in primaries)
        yield Problem(f"backups.copies[{index}].kind", "the primary is always in R2; allowed: r2")
    if len(copies) < LEAST or all(copy.kind is CopyKind.R2 for copy in copies):
        yield Problem(
            "backups.copies",
            f"{len(copies)} copies, {sum(copy.kind is CopyKind.S3 for copy in copies)} of them of kind s3; "
            f"allowed: {LEAST} or more, one of kind s3 at least, so that no single provider holds them all",
        )


def _named_once(key: str, copies: Sequence[BackupCopy], index: int) -> Iterator[Problem]:
    name = copies[index].name
    first = next(number for number, copy in enumerate(copies) if copy.name == name)
    if first != index:
        yield Problem(f"{key}.name", f"copies[{first}] is called {name}, too; give each copy a name of its own")


def _fields(key: str, copy: BackupCopy) -> Iterator[Problem]:
    kind = "s3 with an endpoint" if copy.kind is CopyKind.S3 and copy.endpoint is not None else copy.kind.value
    needed, optional = _FIELDS[kind]
    names = {name: str(field.alias) for name, field in BackupCopy.model_fields.items()}
    given = {name for name in names if getattr(copy, name) is not None}
    for name in sorted(needed - given):
        yield Problem(f"{key}.{names[name]}", f"is missing; a copy of kind {kind} needs it")
    for name in sorted(given - needed - optional - {"name", "kind"}):
        allowed = ", ".join(sorted(names[one] for one in {"name", "kind"} | needed | optional))
        yield Problem(f"{key}.{names[name]}", f"is not for a copy of kind {kind}; allowed: {allowed}")


def _apart(key: str, copy: BackupCopy, others: Sequence[tuple[str, BackupCopy]]) -> Iterator[Problem]:
    for other_key, other in others:
        if place_of(other) == place_of(copy):
            field = "jurisdiction" if copy.kind is CopyKind.R2 else "region"
            yield Problem(
                f"{key}.{field}",
                f"{copy.name} would lie where {other.name} does ({place_of(copy)}, {other_key}); "
                f"allowed: {'another jurisdiction' if copy.kind is CopyKind.R2 else 'another region or store'}",
            )


def place_of(copy: BackupCopy) -> str:
    """Where a copy lies; two in one place are lost together."""
    if copy.kind is CopyKind.R2:
        return f"R2, jurisdiction {copy.jurisdiction}"
    store = "AWS" if copy.endpoint is None else urlsplit(copy.endpoint).netloc.lower()
    return f"{store}, region {copy.region}"


def _at_aws(key: str, copy: BackupCopy, database: str) -> Iterator[Problem]:
    region, partition = str(copy.region), partition_of(database)
    try:
        TypeAdapter[str](Region).validate_python(region)
    except ValidationError as error:
        yield Problem(f"{key}.region", str(error.errors()[0]["msg"]).removeprefix("Value error, "))
        return
    if region == database:
        yield Problem(
            f"{key}.region", f"{copy.name} must not lie in the database's region; allowed: any but {database}"
        )
    # No credentials are valid in two partitions, and no role can be assumed across them.
    if partition_of(region) != partition:
        yield Problem(
            f"{key}.region",
            f"{region} is in the AWS partition {partition_of(region)}, where the credentials for {database} are not "
            f"valid; allowed: another region of {partition}",
        )
    if copy.role_arn is not None and copy.role_arn.split(":")[1] != partition:
        yield Problem(
            f"{key}.roleArn", f"the role is in another AWS partition than {database}; allowed: arn:{partition}:iam::…"
        )


def _elsewhere(key: str, copy: BackupCopy, _database: str) -> Iterator[Problem]:
    address = urlsplit(str(copy.endpoint))
    host = (address.hostname or "").lower()
    if address.path.strip("/"):
        yield Problem(
            f"{key}.endpoint", "has a path; allowed: https:// and the store's host, the bucket is a key of its own"
        )
    for suffix, instead in _OWN_KINDS.items():
        if host == suffix or host.endswith(f".{suffix}"):
            yield Problem(
                f"{key}.endpoint", f"{host} needs no endpoint; allowed here: a store elsewhere. Use {instead}"
            )
