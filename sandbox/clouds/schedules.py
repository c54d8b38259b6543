"""Rules for schedules: the cron dialects of Cloudflare and AWS, and AWS rate and at expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
# In both clouds Sunday is 1, unlike in Unix cron.
DAYS = {name: index for index, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], 1)}


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict[str, int])
    special: str = ""

    def accepts(self, text: str) -> bool:
        return all(self._part(part) for part in text.upper().split(","))

    def _part(self, part: str) -> bool:
        if self.special and re.fullmatch(self.special, part):
            return True
        span, _, step = part.partition("/")
        if "/" in part and not (step.isdigit() and 1 <= int(step) <= self.high):
            return False
        if span == "*":
            return True
        numbers = [self._number(text) for text in span.split("-")]
        known = [number for number in numbers if number is not None]
        return len(known) == len(numbers) <= 2 and known == sorted(known)

    def _number(self, text: str) -> int | None:
        number = self.names.get(text, int(text) if text.isdigit() else -1)
        return number if self.low <= number <= self.high else None


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of month", 1, 31, special=r"L|LW|\d{1,2}W|\?")
_MONTH = _Field("month", 1, 12, MONTHS)
_WEEKDAY = _Field("day of week", 1, 7, DAYS, special=r"L|\?|([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])")
_YEAR = _Field("year", 1970, 2199)


def worker_cron(value: str) -> str | None:
    """Accept a Cloudflare Workers cron trigger: minute, hour, day of month, month, day of week (1 is Sunday)."""
    return _cron(value, (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY), value)


def aws_schedule(value: str) -> str | None:
    """Accept an AWS schedule: `rate(5 minutes)`, `cron(0 2 ? * SUN *)` or `at(2026-01-01T02:00:00)`."""
    kind = re.fullmatch(r"(rate|cron|at)\((.*)\)", value)
    if kind is None:
        return f"{value!r} is not a schedule; write rate(30 minutes), cron(0 2 ? * SUN *) or at(2026-01-01T02:00:00)"
    if kind[1] == "rate":
        return _rate(kind[2], value)
    if kind[1] == "at":
        shape = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
        return None if re.fullmatch(shape, kind[2]) else f"{value!r} must be at(YYYY-MM-DDTHH:MM:SS)"
    fields = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY, _YEAR)
    if len(kind[2].split()) == 7:  # maintenance windows may have a field for seconds
        fields = (_Field("second", 0, 59), *fields)
    reason = _cron(kind[2], fields, value)
    if reason is None and (kind[2].split()[-4] == "?") == (kind[2].split()[-2] == "?"):
        return f"{value!r} must have ? as exactly one of day of month and day of week"
    return reason


def _rate(text: str, value: str) -> str | None:
    match = re.fullmatch(r"(\d+) (minute|hour|day)(s?)", text)
    if match is None or int(match[1]) < 1 or (int(match[1]) == 1) == bool(match[3]):
        return f"{value!r} must have the form rate(1 hour) or rate(30 minutes); the unit is singular only after 1"
    return None


def _cron(text: str, fields: tuple[_Field, ...], value: str) -> str | None:
    given = text.split()
    if len(given) != len(fields):
        return f"{value!r} must have {len(fields)} fields: {', '.join(each.name for each in fields)}"
    for each, part in zip(fields, given, strict=True):
        if not each.accepts(part):
            return (
                f"{value!r}: {part!r} is not a {each.name}; allowed is from {each.low} to {each.high}, *, lists, steps"
            )
    return None
