"""Which stacks a drill may break and when, and that only one drill runs on a stack."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console.errors import CommandError, InputError
from model.settings import Maintenance, Settings, Tier, Weekday
from model.topology import Topology
from sandbox.engine import lock
from sandbox.engine.errors import EngineError
from sandbox.engine.workspace import find


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def is_production(settings: Settings) -> bool:
    """Return whether a stack serves customers, or holds data that must not be deleted."""
    return settings.tier is Tier.PRODUCTION or settings.protect


def in_window(maintenance: Maintenance, now: datetime) -> bool:
    """Return whether a moment is in the weekly maintenance window, which may last beyond midnight."""
    moment = now.astimezone(UTC)
    days = (moment.weekday() - list(Weekday).index(maintenance.weekday)) % 7  # since the window's weekday
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
    begin = midnight + timedelta(hours=maintenance.start_hour_utc)
    return begin <= moment < begin + timedelta(hours=maintenance.duration_hours)


def window_of(maintenance: Maintenance) -> str:
    """Return the weekly maintenance window in words."""
    return f"{maintenance.weekday.value} {maintenance.start_hour_utc:02}:00 UTC for {maintenance.duration_hours} h"


def refusal(topology: Topology) -> str | None:
    """Return why no drill may run on a stack; None if one may."""
    if topology.settings.drills.allowed:
        return None
    return f"{topology.stack} does not allow drills: set `drills: {{allowed: true}}` in Pulumi.{topology.stack}.yaml"


def require_at_aws(topology: Topology, now: datetime) -> None:
    """Raise `InputError` if no drill may begin on a real stack now."""
    settings = topology.settings
    if reason := refusal(topology):
        raise InputError(reason)
    if not is_production(settings) or in_window(settings.maintenance, now):
        return
    raise InputError(
        f"{topology.stack} is a production stack (`tier: production` or `protect: true`), and it is "
        f"{now.astimezone(UTC):%a %H:%M} UTC: drills may begin only in its maintenance window, "
        f"{window_of(settings.maintenance)}"
    )


def confirm(topology: Topology, *, interactive: bool, ask: Callable[[str], str]) -> None:
    """Let the operator of a production stack type its name twice. Raises `InputError` for anything else."""
    if not is_production(topology.settings):
        return
    if not interactive:
        raise InputError(
            f"{topology.stack} is a production stack: an operator must type its name, and stdin is not a terminal; "
            "run the command in a terminal"
        )
    for question in (f"This breaks {topology.stack} on purpose. Type the stack's name: ", "Type it again: "):
        typed = ask(question).strip()
        if typed != topology.stack:
            raise InputError(f"{typed!r} is not {topology.stack}; nothing was changed")


@contextmanager
def only_drill(topology: Topology, root: Path, command: str) -> Generator[None]:
    """Hold the stack's lock of drills during the block.

    Raises `InputError` if the stack allows no drills, or if another one runs, and `CommandError` for an engine's error
    in the block: by then, the drill may have changed something.
    """
    if reason := refusal(topology):
        raise InputError(reason)
    with only_one(root, topology.stack, command):
        try:
            yield
        except EngineError as error:
            raise CommandError(str(error)) from None


@contextmanager
def only_one(root: Path, stack: str, command: str) -> Generator[None]:
    """Hold a stack's lock of drills during the block. Raises `InputError` if another drill runs."""
    with ExitStack() as held:
        try:
            held.enter_context(lock.hold(find(root, stack).folder / "drill.lock", command))
        except EngineError as error:
            raise InputError(str(error)) from None
        yield
