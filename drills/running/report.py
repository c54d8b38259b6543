"""The result of one drill, as a reviewer reads it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from drills.running.timeline import Event

Verdict = Literal["kept", "missed", "stopped"]

SANDBOX = (
    (
        "This drill ran on the live sandbox: real Debian machines, PostgreSQL, Patroni, etcd, pgBackRest, HAProxy and "
        "Cloudflare Workers on one computer, and stand-ins for the clouds."
    ),
    (
        "Not exercised: Citus; EC2, EBS, Systems Manager, Secrets Manager and IAM themselves; Cloudflare's network; "
        "R2's own durability; the distance between regions."
    ),
)

UNTRIED = (
    "The code for drills there was tried against stand-ins only: moto for EC2 and Systems "
    "Manager's parameters, and stubs of Systems Manager's commands, of Cloudflare's API and of Pulumi's CLI."
)


def aws_limitations(clock_seconds: float) -> tuple[str, ...]:
    """Return what a report of a drill at AWS must say about where it was measured.

    `clock_seconds`: within how many seconds the clocks of the machines and of the operator's computer agree.
    """
    return (
        (
            "This drill ran on a stack at AWS and Cloudflare. A machine lost power by EC2's StopInstances without a "
            "shutdown of its system; its volumes stayed attached."
        ),
        (
            "The clients of the database ran on its own machines, and did not go through the gateways. The operator's "
            "computer asked the API, which goes through Cloudflare, the tunnel and a gateway. What was acknowledged to "
            "a client just before its machine lost power is not counted."
        ),
        (
            f"Times of the fault and of commits are from different clocks, which agree within {clock_seconds:.1f} s."
            if math.isfinite(clock_seconds)
            else "No machine's clock was read."
        ),
        (
            "Not exercised: the loss of a zone's network, of volumes or of buckets; a failure of EC2, EBS, Systems "
            "Manager, R2 or S3 themselves."
        ),
    )


@dataclass(frozen=True)
class Check:
    """One thing that must hold after a drill."""

    text: str
    holds: bool
    found: str


@dataclass
class Report:
    """One drill."""

    scenario: str
    title: str
    stack: str
    on: str
    begun: str
    ended: str
    commit: str
    topology: str
    """The SHA-256 of the stack's topology: what the report is about."""
    promises: Sequence[str]
    limits: Mapping[str, float]
    measured: Mapping[str, float | None]
    """In seconds: `fault` since the beginning, `recovery`, the longest wait `stall`, and `loss`. Then the number of
    `commits` and of `lost` ones."""
    checks: Sequence[Check]
    events: Sequence[Event]
    verdict: Verdict
    stopped: str | None = None
    """Why the drill could not be finished, and at which step."""
    restored: Mapping[str, Any] | None = None
    """The result of the last restore in the drill."""
    limitations: Sequence[str] = field(default=SANDBOX)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON's types."""
        return asdict(self)
