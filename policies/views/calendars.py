"""The longest gap between two runs of a schedule: a cron expression, a systemd calendar, or an AWS schedule.

Only the forms that this platform uses are read, in UTC. The gap of other forms is None: a rule that needs it fails.
"""

from __future__ import annotations

import datetime
import re
from functools import cache
from itertools import pairwise
from typing import Final

MINUTES_A_DAY: Final = 1440
DAYS: Final = 31  # the longest time between two runs on a day of the month
_WEEKDAYS: Final = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}


@cache
def cron_gap_seconds(expression: str) -> float | None:
    """The longest time between two runs of a five-field cron expression; None if it cannot be read."""
    fields = expression.split()
    if len(fields) != 5:
        return None
    minutes, hours = _field(fields[0], 0, 59), _field(fields[1], 0, 23)
    days = _days(fields[2], fields[3], fields[4])
    if minutes is None or hours is None or days is None:
        return None
    return _gap(minutes, hours, days)


def _days(day: str, month: str, weekday: str) -> int | None:
    """Return the most days between two runs: every day, one day of the week, or one day of the month."""
    if month != "*":
        return 366
    if day == "*" and weekday == "*":
        return 1
    if day == "*":
        chosen = _weekdays(weekday)
        return None if chosen is None else max((b - a for a, b in pairwise([*chosen, chosen[0] + 7])), default=7)
    numbers = _field(day, 1, 31)
    return None if weekday != "*" or numbers is None else DAYS if len(numbers) < 31 else 1


def _weekdays(text: str) -> list[int] | None:
    return _field(re.sub("[A-Z]{3}", lambda found: str(_WEEKDAYS.get(found[0], 9)), text.upper()), 0, 6)


def _field(text: str, first: int, last: int) -> list[int] | None:
    """Return the values of one field."""
    values: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\*|\d+(?:-\d+)?)(?:/(\d+))?", part)
        if found is None:
            return None
        low, _, high = (f"{first}-{last}" if found[1] == "*" else found[1]).partition("-")
        end = int(high) if high else (last if found[2] else int(low))
        if not (first <= int(low) <= end <= last) or found[2] == "0":
            return None
        values.update(range(int(low), end + 1, int(found[2] or 1)))
    return sorted(values)


def _gap(minutes: list[int], hours: list[int], days: int) -> float:
    times = [hour * 60 + minute for hour in hours for minute in minutes]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    gaps.append(times[0] + MINUTES_A_DAY * days - times[-1])
    return max(gaps) * 60.0


@cache
def calendar_gap_seconds(expression: str) -> float | None:
    """The longest time between two elapses of a systemd `OnCalendar=`; None if it cannot be read.

    `*-*-* HH:MM:SS UTC`: HH and MM are a number, `*` or `START/STEP`, SS is a number; `minutely`, `hourly`, `daily`,
    `weekly`.
    """
    words = {"minutely": 60.0, "hourly": 3600.0, "daily": 86400.0, "weekly": 7 * 86400.0}
    if expression in words:
        return words[expression]
    found = re.fullmatch(r"\*-\*-\* ([\d*/,]+):([\d*/,]+)(?::[0-5]\d)?(?: UTC)?", expression)
    if found is None:
        return None
    hours, minutes = (_started(part) for part in found.groups())
    return cron_gap_seconds(f"{minutes} {hours} * * *")


def _started(part: str) -> str:
    """Convert a part of a systemd calendar to cron's form: `0/5` becomes `*/5`, and leading zeros are removed."""
    return ",".join(re.sub(r"^0+(?=\d)", "", one).replace("0/", "*/", 1) for one in part.split(","))


_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_EIGHT_YEARS: Final = [datetime.date(2025, 1, 1) + datetime.timedelta(days=day) for day in range(8 * 365 + 2)]


@cache
def window_gap_days(schedule: str) -> float | None:
    """The most days between two runs of an AWS schedule, `cron(0 3 ? * SUN *)` or `rate(7 days)`, by the calendar."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", schedule)
    if rate:
        return int(rate[1]) / {"minute": MINUTES_A_DAY, "hour": 24, "day": 1}[rate[2]]
    found = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) \*\)", schedule)
    if found is None:
        return None
    chosen = {name: number + 1 for number, name in enumerate(_MONTHS)}
    weekdays = {name: number + 1 for name, number in _WEEKDAYS.items()}  # AWS counts from Sunday, which is 1
    minutes, hours = _field(found[1], 0, 59), _field(found[2], 0, 23)
    days, months = _named(found[3], {}, 1, 31), _named(found[4], chosen, 1, 12)
    on = _named(found[5], weekdays, 1, 7)
    if minutes is None or hours is None or days is None or months is None or on is None:
        return None
    runs = [
        date for date in _EIGHT_YEARS if date.day in days and date.month in months and date.isoweekday() % 7 + 1 in on
    ]
    gaps = [(later - earlier).days for earlier, later in pairwise(runs)]
    return float(max(gaps)) if gaps else None


def _named(text: str, names: dict[str, int], first: int, last: int) -> list[int] | None:
    numbers = re.sub("[A-Z]{3}", lambda found: str(names.get(found[0], 99)), text.upper())
    return _field("*" if numbers == "?" else numbers, first, last)
