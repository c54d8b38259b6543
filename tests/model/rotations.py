"""Hypothesis strategies for all valid rotations."""

from __future__ import annotations

from hypothesis import strategies as st

from model.rotation import Retention, retention_of
from model.settings import Rotation

GROUPS = ["coordinator", "worker-1", "worker-11"]  # one name is a prefix of another


@st.composite
def rotation_changes(draw: st.DrawFn) -> dict[str, int]:
    """Return settings by path in which each class is kept longer than the previous one."""
    hourly = draw(st.integers(1, 90))
    daily = draw(st.integers(hourly + 1, 366))
    monthly = draw(st.integers(daily // 31 + 1, 120))
    yearly = draw(st.integers(monthly * 31 // 366 + 1, 30))
    return {
        "backups.pointInTimeDays": draw(st.integers(1, hourly)),
        "backups.rotation.hourlyDays": hourly,
        "backups.rotation.dailyDays": daily,
        "backups.rotation.monthlyMonths": monthly,
        "backups.rotation.yearlyYears": yearly,
        "backups.rotation.minimumFulls": draw(st.integers(1, 30)),
    }


def _retention(changes: dict[str, int]) -> tuple[Retention, ...]:
    prefix = "backups.rotation."
    fields = {path.removeprefix(prefix): value for path, value in changes.items() if path.startswith(prefix)}
    return retention_of(Rotation.model_validate(fields), GROUPS, (17,))


RETENTIONS = rotation_changes().map(_retention)
