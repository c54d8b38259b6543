"""Print the outcomes of a drill as a table, and write them as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from drills.failover.drill import Outcome


def header(writers: Sequence[str]) -> str:
    """Return the table's first line."""
    stalls = [f"stall {name}" for name in writers]
    return _row("fault", "target", "held s", stalls, "judged", "redundant", "commits", "lost")


def line(outcome: Outcome) -> str:
    """Return an outcome's line."""
    after = "never" if outcome.redundant_after is None else f"{outcome.redundant_after:.1f}"
    over = " >" if outcome.stall > outcome.limit else "  "
    return _row(
        outcome.fault,
        outcome.target,
        f"{outcome.hold:.1f}",
        [f"{seconds:.1f}" for seconds in outcome.stalls.values()],
        f"{outcome.stall:.1f}{over}{outcome.limit:g}",
        after,
        str(outcome.commits),
        str(len(outcome.lost)),
    ) + "".join(f"\n  {problem}" for problem in problems(outcome))


def _row(fault: str, target: str, hold: str, stalls: Sequence[str], *rest: str) -> str:
    columns = [f"{fault:42}", f"{target:14}", f"{hold:>7}"]
    columns += [f"{text:>{max(len(text), 15)}}" for text in stalls]
    return " ".join([*columns, *(f"{text:>10}" for text in rest)])


def problems(outcome: Outcome) -> list[str]:
    """Return what makes an outcome a failure, a line each."""
    return [
        *(f"LOST: {one}" for one in outcome.lost[:10]),
        *(f"ACKNOWLEDGED BY A DEPOSED LEADER: {one}" for one in outcome.deposed[:10]),
        *(
            f"{group} HAS {len(members)} LEADERS: {', '.join(members) or 'none'}"
            for group, members in outcome.leaders.items()
            if len(members) != 1
        ),
        *(f"NOT HEALTHY: {name}: {why}" for name, why in outcome.unhealthy.items()),
    ]


def summary(outcomes: Sequence[Outcome], lease: Mapping[str, int]) -> list[str]:
    """Return a line for each kind of fault: its worst stall, in seconds, relative to the lease, and to the target."""
    lines: list[str] = []
    for kind in sorted({one.fault for one in outcomes}):
        same = [one for one in outcomes if one.fault == kind]
        worst = max(one.stall for one in same)
        slowest = max((one.redundant_after or 0 for one in same), default=0)
        lines.append(
            f"{kind:42} {len(same):3} times  stall {worst:5.1f} s = {worst / lease['ttl']:4.2f} leases, "
            f"{worst / same[0].limit:4.2f} of the target  redundant after {slowest:5.1f} s"
        )
    return lines


def as_json(seed: int, lease: Mapping[str, int], quiet: Mapping[str, float], outcomes: Sequence[Outcome]) -> Any:
    """Return the report as JSON values."""
    return {"seed": seed, "lease": lease, "quiet": quiet, "faults": [asdict(one) for one in outcomes]}
