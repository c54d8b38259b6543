"""Weakenings of the drills' reports: old, missing, stopped or edited ones, and a restore that no report verifies."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from policies.graph import STACK
from policies.mutation.bindings import rebind, redocument, unbind
from policies.mutation.operators import ABSENT, Operator, put
from policies.mutation.weakening import Weakenings
from policies.promises import cited_scenarios
from policies.rules.drills.rules import SHOWN

CITED = next(iter(cited_scenarios()))


def reported(**changes: Any) -> Operator:
    """Change the newest report of a cited scenario."""
    return put(STACK, "drills.newest", lambda newest: {**newest, CITED: {**newest[CITED], **changes}})


def moved(days: int) -> Operator:
    """Move the newest report of a cited scenario by some days."""

    def changed(newest: dict[str, Any]) -> dict[str, Any]:
        day = date.fromisoformat(newest[CITED]["date"]) + timedelta(days=days)
        return {**newest, CITED: {**newest[CITED], "date": day.isoformat()}}

    return put(STACK, "drills.newest", changed)


WEAKENINGS: Weakenings = {
    "cited-drills-are-recent": {
        "the newest report of a cited drill is a year old": moved(-400),
        "the newest report of a cited drill is of the future": moved(400),
        "the newest cited drill was stopped": reported(verdict="stopped"),
        "the newest cited drill has missed a promise": reported(verdict="missed"),
        "a cited drill ran with changes that are not committed": reported(commit=f"{'a' * 40}+"),
        "a cited drill ran on unknown code": reported(commit="unknown"),
        "a cited drill has no report": put(
            STACK, "drills.newest", lambda newest: {name: one for name, one in newest.items() if name != CITED}
        ),
        "no report is known": put(STACK, "drills.newest", {}),
        "a report was edited": put(STACK, "drills.problems", ["0001.json is not signed by ann: it was edited"]),
        "reports may have any age": put(STACK, "drills.maxAgeDays", ABSENT),
        "the stack does not say what drills found": put(STACK, "drills", ABSENT),
    },
    "status-page-shows-the-last-restore": {
        "the page shows a later restore": redocument(SHOWN, "status", at="2099-01-01T00:00:00+00:00"),
        "the page shows a faster restore": redocument(SHOWN, "status", recoverySeconds=1),
        "the page hides that it was the sandbox": redocument(SHOWN, "status", sandbox=False),
        "the page shows no restore": rebind(SHOWN, "status", json="null"),
        "the page knows no restore": unbind(SHOWN, "status"),
    },
}
