"""Retention: the drills that promises cite are kept and recent, and the status page shows the last restore."""

from __future__ import annotations

import re
from datetime import date

from policies.controls import DISCLOSURE, TESTING
from policies.graph import Graph, Resource, Undetermined
from policies.promises import cited_scenarios
from policies.rule import Severity, define
from policies.views.drills import KEPT, OUTPUT, Drill, newest_drills
from policies.views.edge import Worker, status_workers
from policies.views.shared import stack

SHOWN = "LAST_RESTORE"
COMMIT = re.compile("[0-9a-f]{40}")


@define(
    "retention",
    "cited-drills-are-recent",
    Severity.HIGH,
    "The newest report of each drill that a promise cites is kept, intact and not too old",
    over=stack,
    promises=("REC-5",),
    controls=TESTING,
    remedy="run `python -m drills run NAME --stack STACK --file` on a stack that allows drills, and commit its report "
    "(docs/drills.md)",
)
def cited_drills_recent(graph: Graph, whole: Resource) -> str | None:
    """A drill shows that the platform of its day keeps a promise, and a newer drill that fails refutes an older one.

    The required scenarios are those that promises.toml cites: a reviewer relies on these. A scenario that proves no
    promise yet is not required, else each new scenario would stop production until its first drill. Reports of every
    stack count, because no drill may break production. The date and the setting drills.maxAgeDays decide which report
    is too old.
    """
    if whole.read(OUTPUT) is None:
        return f"the stack has no output {OUTPUT}, so no report of a drill is known"
    if problems := whole.words(f"{OUTPUT}.problems"):
        return f"the reports in docs/drills are not intact: {'; '.join(problems)}"
    most = whole.number(f"{OUTPUT}.maxAgeDays")
    if most is None:
        return f"the output {OUTPUT} has no maxAgeDays"
    if graph.today is None:
        raise Undetermined(whole.urn, f"{OUTPUT}.newest", "cannot be compared with the date of the judgement")
    newest = newest_drills(graph)
    wrong = [
        f"{scenario} ({', '.join(promises)}): {reason}"
        for scenario, promises in cited_scenarios().items()
        if (reason := _wrong(newest.get(scenario), graph.today, most))
    ]
    return "; ".join(wrong) or None


def _wrong(drill: Drill | None, today: date, most_days: float) -> str | None:
    """Return why a scenario's newest report proves nothing today."""
    if drill is None:
        return "it has no report"
    if drill.verdict != KEPT:
        return f"its newest report {drill.report} is {drill.verdict}, not {KEPT}"
    if not COMMIT.fullmatch(drill.commit):
        return f"its newest report {drill.report} is about {drill.commit}, which is no commit"
    age = (today - drill.day).days
    if age < 0:
        return f"its newest report {drill.report} is of {drill.day}, which is after {today}"
    if age > most_days:
        return f"its newest report {drill.report} is {age} days old; at most {most_days:g} days are allowed"
    return None


@define(
    "retention",
    "status-page-shows-the-last-restore",
    Severity.MEDIUM,
    "The status page shows the last restore that a filed report verifies, and no other",
    over=status_workers,
    promises=("REC-5", "STA-1"),
    controls=DISCLOSURE,
    remedy="restore the binding LAST_RESTORE, which comes from docs/drills (components/status_page.py)",
)
def last_restore_shown(graph: Graph, worker: Worker) -> str | None:
    """Customers read there when a restore was last verified. It follows the reports, so no person reviews it."""
    if graph.stack.read(OUTPUT) is None:
        return f"the stack has no output {OUTPUT}, so no restore is verified"
    verified = graph.stack.read(f"{OUTPUT}.lastRestore")
    shown = worker.document(SHOWN)
    if shown != verified:
        return f"{SHOWN} is {shown}; the newest kept report of a restore says {verified}"
    return None
