"""Recomputes the published account of a month as defined in docs/uptime.md, without any code of the status page.

Each minute is classified separately, and all arithmetic is in integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from console.errors import InputError

WHOLE = 100_000  # thousandths of a percent
LONGEST_MONTH = 31 * 24 * 60


def _minute(text: object) -> int:
    """Convert a time in the account to minutes since 1970."""
    if not isinstance(text, str):
        raise ValueError("should be a time such as 2026-11-01T00:00:00.000Z")
    try:
        time = datetime.strptime(text, "%Y-%m-%dT%H:%M:00.000Z").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("should be a whole minute such as 2026-11-01T00:00:00.000Z") from None
    return int(time.timestamp()) // 60


Minute = Annotated[int, BeforeValidator(_minute)]
Count = Annotated[int, Field(ge=0, le=LONGEST_MONTH)]
Thousandths = Annotated[int, Field(ge=0, le=WHOLE)]
Percent = Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{4}$")]
Month = Annotated[str, Field(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Credit(_Part):
    """`credit` percent of the month's fee when uptime is below `below`."""

    below: Thousandths
    credit: Annotated[int, Field(ge=0, le=100)]


class Agreement(_Part):
    """The promised uptime and service credits."""

    target: Thousandths
    credits: tuple[Credit, ...]


class Minutes(_Part):
    """The number of counted minutes of each class."""

    up: Count
    down: Count
    unknown: Count
    excused: Count


class Statement(_Part):
    """The figures that the page publishes for the month."""

    month: Month
    complete: bool
    from_: Annotated[Minute, Field(alias="from")]
    to: Minute
    minutes: Minutes
    uptime: Annotated[Percent | None, Field(alias="uptimePercent")]
    at_least: Annotated[Percent | None, Field(alias="atLeastPercent")]
    target: Annotated[str, Field(alias="targetPercent", pattern=r"^[0-9]{1,3}\.[0-9]{3}$")]
    met: bool | None
    budget: Annotated[str, Field(alias="budgetMinutes", pattern=r"^[0-9]+\.[0-9]{2}$")]
    left: Annotated[str, Field(alias="leftMinutes", pattern=r"^-?[0-9]+\.[0-9]{2}$")]
    credit: Annotated[int, Field(alias="creditPercent")]


class Maintenance(_Part):
    """Announced maintenance."""

    id: str
    title: str
    status: Literal["scheduled", "in_progress", "completed", "cancelled"]
    components: tuple[str, ...]
    emergency: bool
    announced: Annotated[AwareDatetime, Field(alias="announcedAt")]
    starts: Annotated[Minute, Field(alias="startsAt")]
    ends: Annotated[Minute, Field(alias="endsAt")]


Run = tuple[Minute, Annotated[int, Field(ge=1, le=LONGEST_MONTH)], Literal["ok", "degraded", "down"]]


class Account(_Part):
    """A month as the page publishes it: the result and all its inputs."""

    month: Month
    agreement: Agreement
    essential: tuple[str, ...]
    statement: Statement
    maintenances: tuple[Maintenance, ...]
    runs: tuple[Run, ...]
    """First minute, number of minutes and state of each run of equal samples, in order of time."""

    @model_validator(mode="after")
    def _runs_follow_each_other(self) -> Account:
        reached, end = bounds(self.month)
        for minute, minutes, _ in self.runs:
            if minute < reached or minute + minutes > end:
                raise ValueError(f"runs: the run at {stamp(minute)} overlaps the previous one, or is outside the month")
            reached = minute + minutes
        return self


@dataclass(frozen=True)
class Difference:
    """A published figure that differs from the recomputed one."""

    figure: str
    published: object
    recomputed: object


def parse(text: str, place: str) -> Account:
    """Parse an account from `place`; raise an `InputError` with place, path and problem if it is invalid."""
    try:
        return Account.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(f"{place}: {path}: {first['msg']}; a month's account is at /sla/YYYY-MM.json") from None


def bounds(month: str) -> tuple[int, int]:
    """Return the first minute of a month, and the first minute of the next month."""
    year, number = map(int, month.split("-"))
    following = (year + number // 12, number % 12 + 1)
    first, end = (datetime(*date, 1, tzinfo=UTC) for date in ((year, number), following))
    return int(first.timestamp()) // 60, int(end.timestamp()) // 60


def count(account: Account) -> Minutes:
    """Classify each minute of the counted span."""
    seen = {minute: state for start, length, state in account.runs for minute in range(start, start + length)}
    excusing = {minute for window in _windows(account) for minute in window}
    counts = dict.fromkeys(Minutes.model_fields, 0)
    for minute in range(account.statement.from_, account.statement.to):
        state = seen.get(minute)
        if state in ("ok", "degraded"):
            counts["up"] += 1
        elif minute in excusing:
            counts["excused"] += 1
        else:
            counts["down" if state == "down" else "unknown"] += 1
    return Minutes(**counts)


def _windows(account: Account) -> Iterator[range]:
    """Yield the minutes of maintenance that is excluded from downtime, within the counted span."""
    for work in account.maintenances:
        if work.status != "cancelled" and not work.emergency and set(work.components) & set(account.essential):
            yield range(max(work.starts, account.statement.from_), min(work.ends, account.statement.to))


def state(account: Account) -> Statement:
    """Recompute the statement from the minutes of the account's counted span."""
    span, agreement = account.statement, account.agreement
    end = bounds(account.month)[1]
    minutes = count(account)
    known = minutes.up + minutes.down
    budget = (end - span.from_ - minutes.excused) * (WHOLE - agreement.target) // 1_000
    missed = [credit.credit for credit in agreement.credits if minutes.up * WHOLE < credit.below * known]
    return Statement.model_construct(
        month=account.month,
        complete=span.to == end,
        from_=span.from_,
        to=span.to,
        minutes=minutes,
        uptime=_percent(minutes.up, known),
        at_least=_percent(minutes.up, known + minutes.unknown),
        target=decimal(agreement.target, 3),
        met=_met(minutes, agreement.target),
        budget=decimal(budget, 2),
        left=decimal(budget - minutes.down * 100, 2),
        credit=max(missed, default=0),
    )


def differences(account: Account) -> list[Difference]:
    """Return the published figures that differ from the recomputed ones."""
    published, recomputed = figures(account.statement), figures(state(account))
    found = [
        Difference(figure, published[figure], value)
        for figure, value in recomputed.items()
        if published[figure] != value
    ]
    return [*_span_differences(account), *found]


def _span_differences(account: Account) -> Iterator[Difference]:
    """Check the counted span: it begins with the month or the first sample, and does not end before the last sample."""
    first, end = bounds(account.month)
    span, runs = account.statement, account.runs
    begins = {first} if not runs else {first, runs[0][0]}
    if span.from_ not in begins:
        yield Difference("from", stamp(span.from_), stamp(max(begins)))
    earliest = max(span.from_ + 1, runs[-1][0] + runs[-1][1] if runs else first)
    if not earliest <= span.to <= end:
        yield Difference("to", stamp(span.to), f"{stamp(earliest)} to {stamp(end)}")


def figures(statement: Statement) -> dict[str, object]:
    """Return the figures of a statement by their published names, without the span."""
    flat = statement.model_dump(by_alias=True, mode="json", exclude={"from_", "to", "minutes"})
    return {**{f"minutes.{name}": value for name, value in statement.minutes.model_dump().items()}, **flat}


def _met(minutes: Minutes, target: int) -> bool | None:
    """Whether the target is met even if all unknown minutes were down; None if it depends on them."""
    known = minutes.up + minutes.down
    if minutes.up * WHOLE < target * known:
        return False
    return True if known and minutes.up * WHOLE >= target * (known + minutes.unknown) else None


def _percent(part: int, whole: int) -> str | None:
    return None if whole == 0 else decimal(part * 1_000_000 // whole, 4)


def decimal(value: int, digits: int) -> str:
    """Format `value` * 10^-`digits` as a decimal."""
    units, rest = divmod(abs(value), 10**digits)
    return f"{'-' if value < 0 else ''}{units}.{rest:0{digits}}"


def stamp(minute: int) -> str:
    """Format a minute as a UTC time."""
    return f"{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%dT%H:%MZ}"
