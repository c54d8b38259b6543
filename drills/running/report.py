"""The result of one drill, as a reviewer reads it. Pure."""

from __future__ import annotations

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
    """`recovery` and `loss` in seconds, and the number of `commits` and of `lost` ones."""
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
