"""Expand Cloudflare's cron expressions to the minutes, hours and days at which they fire. Pure."""

from __future__ import annotations

from sandbox.clouds.schedules import DAYS, MONTHS


def expand(cron: str) -> dict[str, list[int] | None]:
    """Return the `minutes`, `hours`, `days`, `months` and `weekdays` (Sunday is 0) of an expression; None is any day.

    Raises `ValueError` for `L`, `W` and `#`, which the sandbox does not support.
    """
    minute, hour, day, month, weekday = cron.upper().split()
    # Cloudflare counts the days of the week from Sunday, 1.
    weekdays = _days(weekday, 1, 7, DAYS)
    return {
        "minutes": _numbers(minute, 0, 59, {}),
        "hours": _numbers(hour, 0, 23, {}),
        "days": _days(day, 1, 31, {}),
        "months": _numbers(month, 1, 12, MONTHS),
        "weekdays": None if weekdays is None else [number - 1 for number in weekdays],
    }


def _days(text: str, low: int, high: int, names: dict[str, int]) -> list[int] | None:
    return None if text in {"*", "?"} else _numbers(text, low, high, names)


def _numbers(text: str, low: int, high: int, names: dict[str, int]) -> list[int]:
    return sorted({number for part in text.split(",") for number in _part(part, low, high, names)})


def _part(text: str, low: int, high: int, names: dict[str, int]) -> range:
    span, _, step = text.partition("/")
    first, _, last = span.partition("-")
    if first == "*":
        return range(low, high + 1, int(step or 1))
    begin = names.get(first) or int(first)
    # A number with a step begins there: 5/10 is 5, 15, 25 and so on.
    end = (names.get(last) or int(last)) if last else (high if step else begin)
    return range(begin, end + 1, int(step or 1))
