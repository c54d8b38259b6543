"""The names of restore points, which machines make in all groups at once."""

from __future__ import annotations

from datetime import UTC, datetime

POINT = "backbuild-%Y%m%dT%H%M%SZ"


def time_of(point: str) -> datetime:
    """Return the time in the name of a restore point. Raises `ValueError` for another text."""
    return datetime.strptime(point, POINT).replace(tzinfo=UTC)
