"""The types of the report that the report Worker writes (workers/backups/report/report.js), and its parser."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from console.errors import CommandError

Count = Annotated[int, Field(ge=0)]
Copies = dict[str, "Copy"]
"""Copy by name."""


class _Part(BaseModel):
    """A part of the report. Unknown fields are ignored, because the Worker may be newer than this command."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)


class Rotation(_Part):
    """The rotation that the backup Workers use."""

    point_in_time_days: int
    minimum_fulls: int
    keep_days: dict[str, int]


class Copy(_Part):
    """The verified objects of a run in one copy: their number, and when the oldest verification was."""

    verified: Count
    oldest: AwareDatetime | None


class Run(_Part):
    """One backup run in one class."""

    class_: Annotated[str, Field(alias="class")]
    run: str
    kind: str
    finished_at: AwareDatetime
    objects: Count
    bytes: Count
    copies: Copies
    ages_out_at: AwareDatetime | None
    planned: bool
    depends_on: tuple[str, ...]
    point: str | None = None
    """The restore point of all groups to which a promoted full backup can be restored; None without one."""


class Wal(_Part):
    """The WAL of a group, from the segment `first` to the segment `last`."""

    objects: Count
    bytes: Count
    first: str | None
    last: str | None
    oldest: AwareDatetime | None
    newest: AwareDatetime | None
    copies: Copies


class Group(_Part):
    """The backups of one database group."""

    group: str
    runs: tuple[Run, ...]
    wal: Wal


class Finding(_Part):
    """A problem with an object, open or closed."""

    kind: str
    store: str
    key: str
    detail: str
    found_at: AwareDatetime
    closed_at: AwareDatetime | None
    outcome: str | None


class Alarm(_Part):
    """An alarm that was sent and has not ended."""

    id: str
    text: str
    since: AwareDatetime


class Worker(_Part):
    """The newest run of a backup Worker (a Cloudflare Worker)."""

    worker: str
    at: AwareDatetime
    outcome: str
    detail: object


class Planned(_Part):
    """A run that age-out will delete at `due_at`, unless another backup needs it by then."""

    class_: Annotated[str, Field(alias="class")]
    group: str
    run: str
    kind: str
    objects: Count
    bytes: Count
    due_at: AwareDatetime


class Report(_Part):
    """The report."""

    time: AwareDatetime
    copies: tuple[str, ...]
    rotation: Rotation
    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]
    alarms: tuple[Alarm, ...]
    workers: tuple[Worker, ...]
    planned: tuple[Planned, ...]

    @model_validator(mode="after")
    def _every_copy_is_counted(self) -> Report:
        for group in self.groups:
            for part in (*group.runs, group.wal):
                if set(part.copies) != set(self.copies):
                    counted = ", ".join(part.copies) or "none"
                    raise ValueError(f"{group.group}: counts the copies {counted}; expected: {', '.join(self.copies)}")
        return self


def parse(text: str, url: str) -> Report:
    """Parse a report from `url`. Raises `CommandError` with the field and the reason if it is not valid."""
    try:
        return Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if first["type"] == "json_invalid":
            raise CommandError(
                f"{url}: the response is not JSON; remedy: check that --url is the address of the report Worker"
            ) from None
        path = ".".join(map(str, first["loc"])) or "the document"
        raise CommandError(
            f"{url}: this version cannot read the report: {path}: {first['msg']}; "
            "remedy: use the commit that is deployed"
        ) from None
