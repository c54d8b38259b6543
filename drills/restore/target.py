"""What to restore: the newest data, a time or a restore point. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from console.errors import InputError
from model.restore_points import POINT, time_of

_NAME = re.compile(r"backbuild-\d{8}T\d{6}Z")
# A run that ended this long before a time is followed by a restore point before that time: there are two a minute.
OLDEST_YEAR = 2000
MARGIN = timedelta(minutes=1)


@dataclass(frozen=True)
class Target:
    """A moment to restore to."""

    text: str
    """As the operator gave it."""
    before: datetime | None
    """A restore begins with a run that ended before this time; None: with the newest one."""
    upto: str | None
    """The name that the latest allowed restore point has, or would have; None: the newest one."""
    exact: bool
    """Whether `upto` is the name of an existing restore point."""


def target_of(text: str) -> Target:
    """Return the target that an operator's text means. Raises `InputError`."""
    if text == "latest":
        return Target(text, None, None, exact=False)
    try:
        if _NAME.fullmatch(text):
            return Target(text, time_of(text), text, exact=True)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"--to {text} is not `latest`, a time in ISO 8601 such as 2026-11-24T02:30:00Z, or a restore point's name"
        ) from None
    if moment.tzinfo is None:
        raise InputError(f"--to {text} has no time zone; write {text}Z for UTC")
    if moment.year < OLDEST_YEAR:
        raise InputError(f"--to {text} is before the year {OLDEST_YEAR}; write the year with four digits")
    if moment.year > datetime.now(UTC).year + 1:
        raise InputError(f"--to {text} is in the future; use `latest` for the newest data")
    moment = moment.astimezone(UTC)
    if moment > datetime.now(UTC):
        raise InputError(f"--to {text} is in the future; use `latest` for the newest data")
    return Target(text, moment - MARGIN, moment.strftime(POINT), exact=False)
