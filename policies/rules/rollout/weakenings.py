"""Weakenings of rollouts: machines that change at the same time, and health gates that do not wait."""

from __future__ import annotations

import json
from typing import Any

from policies.mutation.bindings import rebind
from policies.mutation.files import DATABASE, GATEWAY
from policies.mutation.operators import ABSENT, Operator, chain, drop, ending, named, put, substitute, unlink
from policies.mutation.weakening import Weakenings
from policies.rules.rollout.rules import HEALTHY
from policies.views.events import EVENT_RULE, EVENT_TARGET
from policies.views.machines import ATTACHMENT, GATE, INSTANCE

FAILURES = named("alarms-gate", "alarms-patching")


def pattern(**changes: Any) -> Operator:
    """Change what the rule for failed gates matches."""
    return put(EVENT_RULE, "eventPattern", lambda text: json.dumps({**json.loads(text), **changes}), FAILURES)


WEAKENINGS: Weakenings = {
    "gate-waits-for-health": {
        "a machine has no gate": drop(GATE),
        "a gate does not wait": put(GATE, "waitForSuccessTimeoutSeconds", ABSENT),
        "a gate checks nothing": put(GATE, "parameters.commands", "true"),
        "a gate always passes": put(GATE, "parameters.commands", f"{HEALTHY} --wait 1740 || true"),
        "a gate checks for one second": put(GATE, "parameters.commands", f"{HEALTHY} --wait 1"),
        "a gate times out at once": put(GATE, "waitForSuccessTimeoutSeconds", 1),
        "a gate's command times out at once": put(GATE, "parameters.executionTimeout", "1"),
        "a gate waits for a schedule": put(GATE, "applyOnlyAtCronInterval", True),
        "a gate runs another document": put(GATE, "name", "AWS-GatherSoftwareInventory"),
    },
    "gate-follows-the-volume": {"a gate checks before the volume is attached": unlink(GATE, ATTACHMENT)},
    "gates-chain-members": {"a member does not wait for another": unlink(INSTANCE, GATE, ending("-1", "-2"))},
    "gates-chain-groups": {
        "databases do not wait for consensus": unlink(INSTANCE, GATE, DATABASE, named("consensus")),
        "gateways do not wait for the coordinator": unlink(INSTANCE, GATE, GATEWAY, named("coordinator")),
    },
    "failed-gates-alarm": {
        "failed gates send no event": chain(drop(EVENT_RULE, FAILURES), drop(EVENT_TARGET, FAILURES)),
        "the rule matches gates that succeeded": put(
            EVENT_RULE,
            "eventPattern",
            lambda text: text.replace("Failed", "Success").replace("FAILED", "SUCCESS"),
            FAILURES,
        ),
        "the rule is disabled": put(EVENT_RULE, "state", "DISABLED", FAILURES),
        "the rule matches no maintenance window that times out": substitute(
            EVENT_RULE, "eventPattern", '"TIMED_OUT"', '"CANCELLED"', named("alarms-patching")
        ),
        "the rule matches another kind of event": pattern(**{"detail-type": ["nothing"]}),
        "the rule matches one gate only": pattern(
            detail={"status": ["Failed", "FAILED", "TIMED_OUT"], "association-id": ["x"]}
        ),
        "the rule matches another region": pattern(region=["mars-north-1"]),
        "the rule matches events without a gate": pattern(
            detail={"status": ["Failed", "FAILED", "TIMED_OUT"], "association-id": [None]}
        ),
        "the rule is on a bus without events of AWS": put(EVENT_RULE, "eventBusName", "backbuild", FAILURES),
    },
    "termination-is-refused": {
        "a machine can be terminated": put(INSTANCE, "disableApiTermination", False),
        "a machine stays on broken hardware": put(INSTANCE, "maintenanceOptions.autoRecovery", "disabled"),
    },
    "disruption-is-announced": {
        "maintenance is announced an hour ahead": rebind("NOTICE_HOURS", "status", json="1"),
    },
}
