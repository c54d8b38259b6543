"""The report as the Worker writes it (workers/backups/report/report.js), typed; what is not that is refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from console.errors import CommandError

Count = Annotated[int, Field(ge=0)]
Copies = dict[str, "Copy"]
"""Copy by name."""


class _Part(BaseModel):
    """Fields that this version does not know are left alone: the Worker may be newer."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)


class Rotation(_Part):
    """What the Workers go by."""

    point_in_time_days: int
    minimum_fulls: int
    keep_days: dict[str, int]


class Copy(_Part):
    """How many objects have been found right in one copy, and when the one that waits the longest was."""

    verified: Count
    oldest: AwareDatetime | None


class Run(_Part):
    """One backup in one class."""

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


class Wal(_Part):
    """All WAL of a group: from which segment to which."""

    objects: Count
    bytes: Count
    first: str | None
    last: str | None
    oldest: AwareDatetime | None
    newest: AwareDatetime | None
    copies: Copies


class Group(_Part):
    """What there is of one database group."""

    group: str
    runs: tuple[Run, ...]
    wal: Wal


class Finding(_Part):
    """Something that is or was wrong with an object."""

    kind: str
    store: str
    key: str
    detail: str
    found_at: AwareDatetime
    closed_at: AwareDatetime | None
    outcome: str | None


class Alarm(_Part):
    """Something that people have been told of and that lasts."""

    id: str
    text: str
    since: AwareDatetime


class Worker(_Part):
    """The newest run of a Worker."""

    worker: str
    at: AwareDatetime
    outcome: str
    detail: object


class Planned(_Part):
    """What goes at its time, unless something comes to need it."""

    class_: Annotated[str, Field(alias="class")]
    group: str
    run: str
    kind: str
    objects: Count
    bytes: Count
    due_at: AwareDatetime


class Report(_Part):
    """All of it."""

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
                    said = ", ".join(part.copies) or "none"
                    raise ValueError(f"{group.group}: counts the copies {said}; expected: {', '.join(self.copies)}")
        return self


def parse(text: str, url: str) -> Report:
    """Read a report that came from `url`; raises `CommandError` naming what is wrong with it, and where."""
    try:
        return Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if first["type"] == "json_invalid":
            raise CommandError(f"{url} answers no JSON; remedy: check that --url is the backup report's") from None
        path = ".".join(map(str, first["loc"])) or "the document"
        raise CommandError(
            f"{url} answers no report that this version reads: {path}: {first['msg']}; "
            "remedy: use the version that is deployed"
        ) from None
