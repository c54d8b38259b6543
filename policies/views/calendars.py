"""How long a schedule may leave something undone: the longest gap of a cron expression or a systemd calendar.

Both are read as far as this platform writes them, in UTC. What is not understood has no gap, and so never passes.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Final

MINUTES_A_DAY: Final = 1440
DAYS: Final = 31  # the longest span that a day of the month leaves undone
_WEEKDAYS: Final = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}


@cache
def cron_gap_seconds(expression: str) -> float | None:
    """The longest time between two runs of a five-field cron expression; None where it is not understood."""
    fields = expression.split()
    if len(fields) != 5:
        return None
    minutes, hours = _field(fields[0], 0, 59), _field(fields[1], 0, 23)
    days = _days(fields[2], fields[3], fields[4])
    if minutes is None or hours is None or days is None:
        return None
    return _gap(minutes, hours, days)


def _days(day: str, month: str, weekday: str) -> int | None:
    """The most days between two on which it runs: every day, one day of the week, or one day of the month."""
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
    """The values that one field stands for."""
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
    """The longest time between two elapses of a systemd `OnCalendar=`; None where it is not understood.

    `*-*-* HH:MM:SS UTC`, each of them a number, `*` or `START/STEP`; `minutely`, `hourly`, `daily`, `weekly`.
    """
    words = {"minutely": 60.0, "hourly": 3600.0, "daily": 86400.0, "weekly": 7 * 86400.0}
    if expression in words:
        return words[expression]
    found = re.fullmatch(r"\*-\*-\* ([\d*/,]+):([\d*/,]+)(?::00)?(?: UTC)?", expression)
    if found is None:
        return None
    hours, minutes = (_started(part) for part in found.groups())
    return cron_gap_seconds(f"{minutes} {hours} * * *")


def _started(part: str) -> str:
    """Systemd's `0/5` is cron's `*/5`; leading zeros mean nothing."""
    return ",".join(re.sub(r"^0+(?=\d)", "", one).replace("0/", "*/", 1) for one in part.split(","))
