"""The copies of every backup: the location and bucket of each, its Worker binding, and the checks of `backups.copies`.

The setting `backups.copies` is the only list of copies. Machines write to the copy named `primary`; the backup Workers
(Cloudflare Workers) replicate every object from there to all other copies. Does not import Pulumi.
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

MINIMUM_COPIES = 3
"""With three, one copy can be damaged and another one unreachable, and one is left to restore from."""
# Buckets in these stores are declared by the platform, which chooses their place and their locks: no endpoint is given.
_DECLARED_STORES = {"amazonaws.com": "kind s3 without an endpoint", "r2.cloudflarestorage.com": "kind r2"}
READING = ("read_access_key_id", "read_secret_access_key")
"""The fields of the keys with which machines restore from a copy in another store: both or none."""
_FIELDS = {
    "r2": ({"jurisdiction"}, set[str]()),
    "s3": ({"region"}, {"role_arn", "lock_mode"}),
    "s3 with an endpoint": (
        {"region", "endpoint", "bucket", "access_key_id", "secret_access_key"},
        {"lock_mode", *READING},
    ),
}
"""The required and the optional fields of a copy, in addition to its name and kind."""


@dataclass(frozen=True)
class R2Copy:
    """A bucket in R2, in a jurisdiction. The platform declares it."""

    name: str
    bucket: str
    jurisdiction: str
    endpoint: str
    """The hostname of its S3-compatible API."""


@dataclass(frozen=True)
class AwsCopy:
    """A bucket in AWS S3. The platform declares it in `region`; with `role_arn`, in that role's account."""

    name: str
    bucket: str
    region: str
    role_arn: str | None
    lock_mode: str
    """With COMPLIANCE not even the account's root user can shorten a lock."""
    writer: str
    """The name of the IAM user with whose keys the backup Workers write."""
    reader: str
    """The name of the IAM user with whose keys machines restore."""


@dataclass(frozen=True)
class ForeignCopy:
    """A bucket in another S3-compatible store. The operator creates the bucket and its access keys.

    The bucket needs versioning and object lock.
    """

    name: str
    bucket: str
    region: str
    endpoint: str
    """The store's origin, `https://…`. Requests are path-style: the bucket is the first part of the path."""
    lock_mode: str
    access_key_id: str
    secret_access_key: str
    read_access_key_id: str | None
    """None, like the secret access key: machines cannot restore from this copy."""
    read_secret_access_key: str | None


Copy = R2Copy | AwsCopy | ForeignCopy


def copies_of(prefix: str, settings: Settings) -> tuple[Copy, ...]:
    """Return every copy of a stack, the primary first. `prefix` is the prefix of the stack's resource names."""
    copies = [_copy(prefix, settings, given) for given in settings.backups.copies]
    return tuple(sorted(copies, key=lambda copy: copy.name != PRIMARY))  # stable: the others keep their order


def _copy(prefix: str, settings: Settings, given: BackupCopy) -> Copy:
    bucket = f"{prefix}-backups" if given.name == PRIMARY else f"{prefix}-backups-{given.name}"
    if given.kind is CopyKind.R2:
        jurisdiction = str(given.jurisdiction)
        host = f"{settings.edge.account_id}.{jurisdiction}.r2.cloudflarestorage.com"
        return R2Copy(given.name, bucket, jurisdiction, host)
    lock_mode = given.lock_mode or (LockMode.COMPLIANCE if settings.protect else LockMode.GOVERNANCE)
    region = str(given.region)
    if given.endpoint is None:
        writer, reader = _writer(prefix, given.name), f"{prefix}-{given.name}-reader"
        return AwsCopy(given.name, bucket, region, given.role_arn, lock_mode, writer, reader)
    return ForeignCopy(
        given.name,
        str(given.bucket),
        region,
        given.endpoint.rstrip("/"),
        lock_mode,
        _secret(given.access_key_id),
        _secret(given.secret_access_key),
        None if given.read_access_key_id is None else _secret(given.read_access_key_id),
        None if given.read_secret_access_key is None else _secret(given.read_secret_access_key),
    )


def _writer(prefix: str, name: str) -> str:
    # Stacks of earlier releases have this user for the copy `offsite`. Renaming the user would replace its keys.
    return f"{prefix}-backup-writer" if name == "offsite" else f"{prefix}-{name}-writer"


def _secret(value: Any) -> str:
    return cast("str", value.get_secret_value())


def binding_name(copy: Copy) -> str:
    """Return the name, or for S3 the prefix of the names, of a copy's bindings in the backup Workers."""
    return f"COPY_{copy.name.upper()}"


def binding_of(copies: Sequence[Copy]) -> list[dict[str, str]]:
    """Return the binding `COPIES` of the backup Workers: one entry for each copy."""
    return [_binding_entry(copy) for copy in copies]


def _binding_entry(copy: Copy) -> dict[str, str]:
    if isinstance(copy, R2Copy):
        return {"name": copy.name, "kind": "r2"}
    place = {"bucket": copy.bucket, "region": copy.region, "lockMode": copy.lock_mode}
    endpoint = {"endpoint": copy.endpoint} if isinstance(copy, ForeignCopy) else {}
    return {"name": copy.name, "kind": "s3", **place, **endpoint}


def address_of(copy: Copy) -> dict[str, str]:
    """Return where S3 clients find a copy: `endpoint` (a host name, for path-style requests), `region`, `bucket`."""
    if isinstance(copy, R2Copy):
        return {"endpoint": copy.endpoint, "region": "auto", "bucket": copy.bucket}
    if isinstance(copy, ForeignCopy):
        return {"endpoint": urlsplit(copy.endpoint).netloc, "region": copy.region, "bucket": copy.bucket}
    suffix = "amazonaws.com.cn" if partition_of(copy.region) == "aws-cn" else "amazonaws.com"
    return {"endpoint": f"s3.{copy.region}.{suffix}", "region": copy.region, "bucket": copy.bucket}


def migrated(backups: Any) -> Any:
    """Return the section `backups` with the keys of earlier releases converted to the list `copies`.

    A section with both is returned unchanged. Validation then rejects its old keys and names the new ones.
    """
    if not isinstance(backups, dict):
        return backups  # pyright: ignore[reportUnknownVariableType] (validation rejects it)
    section = cast("dict[str, Any]", backups)
    if "copies" in section or not section.keys() & OLD_KEYS.keys():
        return section
    old = {
        PRIMARY: {"kind": "r2", "jurisdiction": section.get("jurisdiction")},
        "replica": _migrated_copy("r2", section.get("replica")),
        "offsite": _migrated_copy("s3", section.get("offsite")),
    }
    copies = [{"name": name, **fields} for name, fields in old.items() if fields is not None]
    return {key: value for key, value in section.items() if key not in OLD_KEYS} | {"copies": copies}


OLD_KEYS = {
    "jurisdiction": "{name: primary, kind: r2, jurisdiction: …}",
    "replica": "{name: replica, kind: r2, jurisdiction: …}",
    "offsite": "{name: offsite, kind: s3, region: …}",
}
"""The keys of `backups` in earlier releases, each with the entry of `backups.copies` that replaces it."""


def _migrated_copy(kind: str, fields: Any) -> dict[str, Any] | None:
    return {"kind": kind, **cast("dict[str, Any]", fields)} if isinstance(fields, dict) else None


def problems_of_copies(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each way in which `backups.copies` is invalid or its copies are not independent."""
    copies = settings.backups.copies
    yield from _list_problems(copies)
    valid: list[tuple[str, BackupCopy]] = []
    for index, copy in enumerate(copies):
        key = f"backups.copies[{index}]"
        found = [*_field_problems(key, copy), *_name_problems(key, copies, index)]
        yield from found
        if not found:
            valid.append((key, copy))
    for index, (key, copy) in enumerate(valid):
        yield from _place_problems(key, copy, valid[:index])
        if copy.kind is CopyKind.S3 and copy.endpoint is None:
            yield from _aws_problems(key, copy, settings.database.region)
        elif copy.kind is CopyKind.S3:
            yield from _endpoint_problems(key, copy)


def _list_problems(copies: Sequence[BackupCopy]) -> Iterator[Problem]:
    primaries = [copy for copy in copies if copy.name == PRIMARY]
    if not primaries:
        yield Problem(
            "backups.copies",
            f"no copy is named {PRIMARY}; add {OLD_KEYS['jurisdiction']}, the bucket that the machines write to",
        )
    if any(copy.kind is not CopyKind.R2 for copy in primaries):
        index = next(index for index, copy in enumerate(copies) if copy in primaries)
        yield Problem(f"backups.copies[{index}].kind", f"the copy named {PRIMARY} must be in R2; allowed: r2")
    if len(copies) < MINIMUM_COPIES or all(copy.kind is CopyKind.R2 for copy in copies):
        yield Problem(
            "backups.copies",
            f"{len(copies)} copies, {sum(copy.kind is CopyKind.S3 for copy in copies)} of them of kind s3; "
            f"allowed: {MINIMUM_COPIES} or more, at least one of kind s3, so that no single provider has all copies",
        )


def _name_problems(key: str, copies: Sequence[BackupCopy], index: int) -> Iterator[Problem]:
    name = copies[index].name
    first = next(number for number, copy in enumerate(copies) if copy.name == name)
    if first != index:
        yield Problem(f"{key}.name", f"copies[{first}] has the name {name}, too; allowed: a different name for each")


def _field_problems(key: str, copy: BackupCopy) -> Iterator[Problem]:
    kind = "s3 with an endpoint" if copy.kind is CopyKind.S3 and copy.endpoint is not None else copy.kind.value
    needed, optional = _FIELDS[kind]
    names = {name: str(field.alias) for name, field in BackupCopy.model_fields.items()}
    given = {name for name in names if getattr(copy, name) is not None}
    for name in sorted(needed - given):
        yield Problem(f"{key}.{names[name]}", f"is missing; a copy of kind {kind} needs it")
    for name in sorted(given - needed - optional - {"name", "kind"}):
        allowed = ", ".join(sorted(names[one] for one in {"name", "kind"} | needed | optional))
        yield Problem(f"{key}.{names[name]}", f"is not a key of a copy of kind {kind}; allowed: {allowed}")
    for name, other in (READING, READING[::-1]):
        if other in given & optional and name not in given:
            yield Problem(f"{key}.{names[name]}", f"is missing; set it, or remove {names[other]}: both are one key")


def _place_problems(key: str, copy: BackupCopy, others: Sequence[tuple[str, BackupCopy]]) -> Iterator[Problem]:
    for other_key, other in others:
        if place_of(other) == place_of(copy):
            field = "jurisdiction" if copy.kind is CopyKind.R2 else "region"
            yield Problem(
                f"{key}.{field}",
                f"{copy.name} is in the same place as {other.name} ({place_of(copy)}, {other_key}); "
                f"allowed: {'another jurisdiction' if copy.kind is CopyKind.R2 else 'another region or store'}",
            )


def place_of(copy: BackupCopy) -> str:
    """Return the place of a copy. One failure can destroy all copies in the same place."""
    if copy.kind is CopyKind.R2:
        return f"R2, jurisdiction {copy.jurisdiction}"
    store = "AWS" if copy.endpoint is None else urlsplit(copy.endpoint).netloc.lower()
    return f"{store}, region {copy.region}"


def _aws_problems(key: str, copy: BackupCopy, database: str) -> Iterator[Problem]:
    region, partition = str(copy.region), partition_of(database)
    try:
        TypeAdapter[str](Region).validate_python(region)
    except ValidationError as error:
        yield Problem(f"{key}.region", str(error.errors()[0]["msg"]).removeprefix("Value error, "))
        return
    if region == database:
        yield Problem(
            f"{key}.region", f"{copy.name} is in the database's region; allowed: any region except {database}"
        )
    # Credentials are valid in one AWS partition only, and a role cannot be assumed across partitions.
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


def _endpoint_problems(key: str, copy: BackupCopy) -> Iterator[Problem]:
    address = urlsplit(str(copy.endpoint))
    host = (address.hostname or "").lower()
    if address.path.strip("/"):
        yield Problem(
            f"{key}.endpoint",
            f"has a path; allowed: https:// and the store's hostname. Set the bucket's name in {key}.bucket",
        )
    for suffix, instead in _DECLARED_STORES.items():
        if host == suffix or host.endswith(f".{suffix}"):
            yield Problem(f"{key}.endpoint", f"{host} must not be an endpoint; allowed: another store. Use {instead}")
