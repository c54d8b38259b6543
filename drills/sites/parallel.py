"""Ask several machines at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from drills.sites.site import SiteError

Result = TypeVar("Result")


def everywhere(function: Callable[[str], Result], members: Sequence[str]) -> dict[str, Result]:
    """Call a function for several members at once. Raises `SiteError` with the reasons of all that failed."""
    with ThreadPoolExecutor(max(len(members), 1)) as pool:
        running = {member: pool.submit(function, member) for member in members}
    failures = [error for future in running.values() if (error := future.exception())]
    if failures and all(isinstance(error, SiteError) for error in failures):
        raise SiteError("; ".join(map(str, failures)))
    return {member: future.result() for member, future in running.items()}
